"""The composition root of a worker: builds every part once and hands each what it needs.

A worker process holds one Temporal client, one database pool and one gateway per account. It
polls `orders` (workflows and their ledger steps) and, for each account, one queue for calls that
change something and one for reads. Killing it at any moment is allowed.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker

from activities.account_feed import FeedActivities
from activities.control import ControlActivities
from activities.executions import ExecutionActivities
from activities.gateways import Gateways
from activities.ledger.engine import LEDGER_AWAY, check_durable, open_engine
from activities.ledger_activities import LedgerActivities
from activities.markets import Markets
from activities.orders import VenueActivities
from activities.prices import PricesActivities
from activities.public_data import PublicDataActivities
from activities.reads import ProofWindow, VenueDataActivities
from activities.steering import SteeringActivities
from activities.syncing import SyncActivities
from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import VenueGateway
from activities.views import VenueViews, ViewActivities
from activities.watches import WatchActivities
from workers.accounts import accounts_of, venue_config
from workers.connection import connect
from workers.failpoint_interceptor import FailpointInterceptor
from workers.failpoint_rules import arm_failpoints
from workers.loops import loops_of, run_until
from workers.risk_defaults import limits_of
from workers.search_attributes import ensure_registered
from workers.settings import Settings
from workers.stores import Stores, stores_on
from workers.sync_schedules import start_schedules
from workers.version import version
from workers.workflow_code import WORKFLOWS, sandbox
from workflows import names
from workflows.account_feed import AccountFeed
from workflows.durations import seconds
from workflows.ports import EngineTerms, FollowAccount

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=15)
"""Longer than the longest exchange call, shorter than the supervisor's patience."""
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a dead worker's cached workflows wait before another worker takes them."""
HEARTBEATS_PASS_EVERY = timedelta(seconds=1)
"""Else they are held back for most of their timeout, and one that comes late is a dead worker."""


def terms_of(settings: Settings) -> EngineTerms:
    """The settings that an order carries with it."""
    return EngineTerms(
        accept_timeout_s=settings.accept_timeout,
        order_timeout_s=settings.order_timeout,
        twap_slices=settings.twap_default_slices,
        twap_interval_s=settings.twap_default_interval,
        schedule_to_start_s=settings.validity_window_s,
        submit_timeout_s=settings.submit_timeout_s,
        glances=True,
        tells_waiting=True,
        reads_aside=True,
        suspends=True,
        max_order_value=settings.max_order_value,
        iceberg_visible_ratio=settings.iceberg_default_visible_ratio,
    )


def proof_window_of(settings: Settings) -> ProofWindow:
    """When a look-up that finds nothing is proof."""
    return ProofWindow(
        validity_ms=int(settings.validity_window_s * 1000),
        read_lag_ms=int(settings.read_lag_s * 1000),
    )


@asynccontextmanager
async def open_gateways(settings: Settings) -> AsyncIterator[dict[tuple[str, str], VenueGateway]]:
    """One gateway per account, closed at the end."""
    async with AsyncExitStack() as stack:
        gateways: dict[tuple[str, str], VenueGateway] = {}
        for venue, account in accounts_of(settings):
            gateway = open_gateway(venue_config(settings, venue, account))
            stack.push_async_callback(gateway.close)
            gateways[venue, account] = gateway
        yield gateways


async def run_worker(settings: Settings, venues: Collection[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT; then finish what is running, within the grace.

    With `venues` it takes what is to be done at these exchanges only, and leaves the others to
    other workers.
    """
    arm_failpoints(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runtime = Runtime(
        telemetry=TelemetryConfig(
            metrics=PrometheusConfig(
                bind_address=f"{settings.metrics_host}:{settings.metrics_port}"
            )
        )
    )
    client = await connect(settings, runtime=runtime)
    await ensure_registered(client, settings.temporal_target)
    engine = open_engine(settings.dsn())
    try:
        await _refuse_unsafe(engine)
        async with open_gateways(settings) as gateways:
            stores = stores_on(engine, limits_of(settings))
            await start_feeds(client, settings)
            await start_schedules(client, settings)
            async with AsyncExitStack() as running:
                for worker in build_workers(client, settings, gateways, stores, venues):
                    await running.enter_async_context(worker)
                log.info("worker_ready", accounts=[f"{v}/{a}" for v, a in gateways])
                await run_until(stop, loops_of(client, settings, gateways, stores))
    finally:
        with contextlib.suppress(OSError):
            await engine.dispose()


async def _refuse_unsafe(engine: AsyncEngine) -> None:
    """Raises NotDurableError; a database that is away is waited for by whoever needs it."""
    try:
        await check_durable(engine)
    except LEDGER_AWAY as error:
        log.warning("ledger_away", error=type(error).__name__)


async def start_feeds(client: Client, settings: Settings) -> None:
    """Every account has its feed before anything is polled; a running one is left alone."""
    for venue, account in accounts_of(settings):
        await client.start_workflow(
            AccountFeed.run,
            FollowAccount(venue=venue, account=account),
            id=names.account_feed_id(venue, account),
            task_queue=names.ORDERS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"account feed of {account} at {venue}",
        )


def sync_of(
    client: Client, settings: Settings, gateways: Gateways, stores: Stores
) -> SyncActivities:
    """Comparing accounts with the ledger."""
    return SyncActivities(
        gateways, stores.orders, stores.compared, stores.sync, client, settings.symbols
    )


def build_workers(
    client: Client,
    settings: Settings,
    gateways: Gateways,
    stores: Stores,
    venues: Collection[str] | None = None,
) -> list[Worker]:
    """One worker per queue; `venues` as in `run_worker`."""
    markets, views = Markets(gateways), VenueViews(gateways)
    looks = ViewActivities(gateways, views, markets)
    window = proof_window_of(settings)
    reads = VenueDataActivities(gateways, stores.orders, stores.lost, window, markets)
    build_id = version()  # else Temporal's library hashes everything that is loaded
    workers = [
        Worker(
            client,
            task_queue=names.ORDERS_QUEUE,
            build_id=build_id,
            workflows=WORKFLOWS,
            activities=[
                *_ledger_steps(client, settings, gateways, stores, markets, views),
                reads.read_market,
                looks.glance_at_views,
            ],
            workflow_runner=sandbox(),
            interceptors=[FailpointInterceptor()] if settings.exec_failpoints else [],
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            graceful_shutdown_timeout=GRACE,
        )
    ]
    orders = VenueActivities(gateways, stores.orders)
    every = seconds(settings.trades_every_s)
    feed = FeedActivities(gateways, stores.orders, client, settings.symbols, every)
    prices = PricesActivities(gateways, stores.watches, client)
    sync = sync_of(client, settings, gateways, stores)
    public = PublicDataActivities(gateways)
    for venue, account in (place for place in gateways if venues is None or place[0] in venues):
        rate_limit = settings.venue(venue, account).rate_limit
        workers += [
            Worker(
                client,
                task_queue=names.venue_queue(venue, account),
                build_id=build_id,
                activities=[orders.submit, orders.cancel_child],
                max_task_queue_activities_per_second=float(rate_limit) if rate_limit else None,
                graceful_shutdown_timeout=GRACE,
            ),
            Worker(
                client,
                task_queue=names.venue_data_queue(venue, account),
                build_id=build_id,
                activities=[
                    reads.read_market,
                    reads.resolve,
                    reads.read_child,
                    looks.read_view,
                    looks.read_portfolio,
                    feed.follow_account,
                    prices.follow_prices,
                    prices.read_volume,
                    sync.sync_account,
                    public.list_symbols,
                    public.read_window,
                ],
                max_heartbeat_throttle_interval=HEARTBEATS_PASS_EVERY,
                graceful_shutdown_timeout=GRACE,
            ),
        ]
    return workers


def _ledger_steps(
    client: Client,
    settings: Settings,
    gateways: Gateways,
    stores: Stores,
    markets: Markets,
    views: VenueViews,
) -> list[Callable[..., Any]]:
    """The short steps that workflows take as local activities."""
    terms, accounts = terms_of(settings), gateways.keys()
    ledger = LedgerActivities(stores.orders, terms, markets, accounts)
    executions = ExecutionActivities(stores.executions, terms, views, accounts)
    steering = SteeringActivities(stores.steering, terms, accounts)
    watches = WatchActivities(stores.watches, client)
    control = ControlActivities(stores.lost, terms)
    return [
        ledger.open_order,
        ledger.accept_order,
        ledger.reserve,
        ledger.give_up,
        ledger.save_order,
        executions.open_execution,
        executions.accept_legs,
        executions.save_execution,
        executions.raise_alarm,
        steering.record_action,
        steering.read_protected,
        steering.check_order,
        watches.arm_watch,
        watches.disarm_watch,
        watches.read_watch,
        control.read_switch,
        control.record_verdict,
        control.take_over,
        control.end_lost,
        sync_of(client, settings, gateways, stores).accounts_of_venue,
    ]
