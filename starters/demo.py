"""The demo: a fresh local stack, orders, arbitrages, a killed worker, a halt, and the proof of all.

Rule: nothing is staged. The parts are those of `python -m workers up`, the crash is a SIGKILL, and
the last word has the checker, which compares the exchanges' own logs with the ledger. Whatever the
demo started is stopped when it ends, also after an error or Ctrl-C.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from temporalio.service import RPCError

from activities.ledger.engine import open_engine
from activities.ledger.views import LedgerViews
from starters.api.models import ORDERS_PATH
from starters.client import DeltaClient, DeltaError
from starters.connections import Connections
from starters.demo_beside import Beside
from starters.demo_controls import ControlDesk
from starters.demo_crash import Killer
from starters.demo_executions import ExecutionDesk
from starters.demo_gap import Touches
from starters.demo_market import Market
from starters.demo_orders import SYMBOL, VENUE, Desk
from starters.demo_result import DemoFailed, DemoResult
from starters.demo_settings import DemoOptions, demo_settings, empty_home, on_free_ports
from starters.demo_show import Screen
from starters.demo_show_controls import books_shown
from starters.demo_show_executions import executions_shown
from workers.checker import CheckError, check_settled
from workers.connection import connect
from workers.embedded_postgres import PostgresError
from workers.local_stack import LocalStack, StackRunningError
from workers.ports import PortTakenError
from workers.settings import Settings
from workers.supervisor import SupervisorError
from workers.up import STOP_SIGNALS

DONE, FAILED = 0, 1
READY_WITHIN_S = 60.0
_POLL_S = 0.1
_PORT_TRIES = 5
_DEFAULTS = DemoOptions()
# What can go wrong with the parts of the stack; anything else is our bug.
_TROUBLE = (
    DemoFailed,
    DeltaError,
    CheckError,
    PortTakenError,
    PostgresError,
    StackRunningError,
    SupervisorError,
    RPCError,
    httpx.HTTPError,
    OSError,
    TimeoutError,
)


def run_demo(settings: Settings, options: DemoOptions = _DEFAULTS) -> int:
    """Run the demo; 0 when everything held, else 1 and the reason was said.

    Raises SettingsError for settings that do not fit together.
    """
    screen = Screen(as_json=options.as_json)
    chosen = demo_settings(settings)
    result = DemoResult(market=_market_of(chosen))
    try:
        asyncio.run(_until_stopped(chosen, options, screen, result))
    except _TROUBLE as error:
        result.failure = " ".join(str(error).split()) or type(error).__name__
        screen.verdict(result)
        screen.line(f"logs: {_short(chosen.home.logs)}")
    screen.summary(result)
    return DONE if result.ok else FAILED


async def _until_stopped(
    settings: Settings, options: DemoOptions, screen: Screen, result: DemoResult
) -> None:
    """Run to the end or to the first stop signal; a second one cannot disturb the clean-up."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = asyncio.create_task(_run(settings, options, screen, result))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not running.done():
        running.cancel()
        await asyncio.wait((running,))
    if running.cancelled():
        screen.line("stopped; nothing is left running", "dim")
        return
    running.result()


async def _run(
    settings: Settings, options: DemoOptions, screen: Screen, result: DemoResult
) -> None:
    await empty_home(settings)
    screen.heading("Delta Executor", f"a fresh local stack in {_short(settings.home.root)}")
    screen.line(result.market)
    since = time.monotonic()
    async with AsyncExitStack() as opened:
        events = _WorkerEvents(screen)
        stack = await _started(opened, settings, screen, events)
        opened.callback(screen.line, "stopping everything ...", "dim")
        opened.callback(events.mute)
        for note in stack.notes:
            screen.line(note, "dim")
        events.is_up = True
        names = ", ".join(name for name, part in stack.parts.items() if part.running)
        screen.line(f"up after {time.monotonic() - since:.1f} s: {names}")
        await _unless_broken(stack, _show(stack, options, screen, result))
    _farewell(screen, settings)


async def _started(
    opened: AsyncExitStack, settings: Settings, screen: Screen, events: "_WorkerEvents"
) -> LocalStack:
    """The stack on free ports; on others when somebody takes one of them meanwhile."""
    for tries_left in reversed(range(_PORT_TRIES)):
        chosen, taken = on_free_ports(settings)
        if taken:
            ports = ", ".join(f"{each.port} ({each.part})" for each in taken)
            screen.line(f"ports in use, so others are taken: {ports}", "yellow")
        stack = LocalStack(chosen, on_event=events.tell)
        try:
            with screen.waiting("starting PostgreSQL, Temporal, exchanges, workers and the API"):
                return await opened.enter_async_context(stack)
        except PortTakenError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


class _WorkerEvents:
    """Says when the supervisor has brought a worker back; silent while all start and stop."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.is_up = False

    def tell(self, part: str, event: str) -> None:
        """Called by the stack for each part."""
        if self.is_up and part.startswith("worker-") and event == "healthy":
            self._screen.line(f"the supervisor has started {part} again", "dim")

    def mute(self) -> None:
        """The stack is about to stop."""
        self.is_up = False


async def _unless_broken(stack: LocalStack, showing: Coroutine[None, None, None]) -> None:
    """A part that cannot be kept alive ends the demo at once, whatever it waits for."""
    tasks = asyncio.create_task(showing), asyncio.create_task(stack.failed())
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _show(
    stack: LocalStack, options: DemoOptions, screen: Screen, result: DemoResult
) -> None:
    """The demo itself, on a running stack."""
    settings = stack.settings
    temporal = await connect(settings)
    killer = Killer(stack, temporal)
    with screen.waiting("waiting until the accounts are reconciled with their exchanges"):
        await _accounts_ready(settings)
    screen.line(f"accounts ready {killer.since_start_s():.1f} s after the start")
    result.urls = {
        "all orders": f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}/workflows",
        "HTTP API": f"{settings.api_url}{ORDERS_PATH}",
        "API docs": f"{settings.api_url}/docs",
    }
    async with (
        AsyncExitStack() as opened,
        Market.open(stack.paper_url(VENUE) or "", SYMBOL) as market,
    ):
        connections = Connections(settings)
        opened.push_async_callback(connections.close)
        desk = Desk(
            client=DeltaClient(temporal),
            market=market,
            rules=await market.rules(),
            killer=killer,
            screen=screen,
            result=result,
            options=options,
        )
        await desk.market_order()
        await desk.limit_order()
        async with Beside.begun(desk, connections):
            await desk.twap()
        await _show_executions(stack, desk)
        await ControlDesk(
            desk=desk,
            connections=connections,
            settings=settings,
            control_url=_control_url(settings, VENUE),
        ).show()
    await _prove(settings, screen, result)
    if options.keep:
        screen.heading("Still running", "have a look; Ctrl-C stops everything")
        screen.urls(result.urls)
        await asyncio.Event().wait()


async def _show_executions(stack: LocalStack, desk: Desk) -> None:
    """What trades at both exchanges at once."""
    settings = stack.settings
    urls = {venue: stack.paper_url(venue) or "" for venue in settings.exchanges}
    controls = {venue: _control_url(settings, venue) for venue in urls}
    async with Touches.open(urls, SYMBOL) as touches:
        executions = ExecutionDesk(
            client=desk.client,
            touches=touches,
            rules=desk.rules,
            controls=controls,
            screen=desk.screen,
            result=desk.result,
        )
        await executions.arbitrage()
        await executions.refused_arbitrage()
        await executions.rebalance()


def _control_url(settings: Settings, venue: str) -> str:
    """Where the exchange is told to be unkind."""
    return f"http://127.0.0.1:{settings.paper_control_port_of(venue)}"


async def _prove(settings: Settings, screen: Screen, result: DemoResult) -> None:
    """The table of what was done, and the checker's word on it."""
    screen.heading("What was done")
    screen.orders(result.orders)
    screen.picture(executions_shown(result.executions), indent=0)
    screen.line("profit: net of fees, in USDT; alone: one leg without the other", "dim")
    if result.controls is not None:
        screen.picture(books_shown(result.controls.books), indent=0)
    screen.heading("Proof")
    with screen.waiting("comparing the exchanges' logs with the ledger"):
        result.check = await check_settled(settings, all_finished=True)
    result.judge()
    screen.verdict(result)


async def _accounts_ready(settings: Settings) -> None:
    """Wait until the feed of each account vouches for it."""
    wanted = {(venue, each) for venue in settings.exchanges for each in settings.accounts(venue)}
    engine = open_engine(settings.reader_dsn(), pool_size=1)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                views = await LedgerViews(engine).readiness()
                if wanted <= {(each.exchange, each.account) for each in views if each.ready}:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        names = ", ".join("/".join(each) for each in sorted(wanted))
        raise DemoFailed(f"not ready within {READY_WITHIN_S:g} s: {names}") from None
    finally:
        await engine.dispose()


def _market_of(settings: Settings) -> str:
    if settings.replay_trades is None:
        return f"synthetic market, seed {settings.paper_seed}"
    return f"replay of {settings.replay_trades.name} at {settings.replay_speed:f} times its pace"


def _farewell(screen: Screen, settings: Settings) -> None:
    home = _short(settings.home.root)
    screen.line("everything is stopped", "dim")
    screen.line(f"this stack again, with its history: DELTA_HOME={home} make up", "dim")
    screen.line("a new one to trade on: make up; to look around after a demo: --keep", "dim")


def _short(path: Path) -> str:
    """Relative to where the user is, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
