"""The world of an execution of several orders: scripted venues, and a small ledger beside them.

`Desk` is what the workers run: it finds the world of the workflow that asks, so that one set of
workers serves many tests at once. Hand-written, in memory, behind the same ports as the real
activities; what each venue does is in `scripted_venue`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.workflows.fakes import TERMS
from tests.workflows.scripted_venue import ZERO, Trade, Venue, leg_of
from workers.workflow_code import WORKFLOWS, sandbox
from workflows import names
from workflows.domain.denials import Denied
from workflows.domain.reports import ChildReport, SubmitOutcome
from workflows.ports import (
    AcceptLegs,
    CancelChild,
    EngineTerms,
    ExecutionsPort,
    GivenUp,
    GiveUp,
    KnownLeg,
    LegsVerdict,
    MarketRequest,
    MarketSnapshot,
    OpenedExecution,
    OpenExecution,
    OpenExecutionKind,
    Portfolio,
    PortfolioRequest,
    RaiseAlarm,
    ReadChild,
    ReadUntil,
    Reserve,
    Reserved,
    Resolve,
    Resolved,
    ResolveKind,
    SavedExecution,
    SaveExecution,
    Submit,
    VenueDataPort,
    VenuePort,
    VenueView,
    ViewRequest,
    ViewsPort,
    ViewsRequest,
)

ACCOUNT = "main"
EPOCH = "e1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of the workflow, as `verb leg`; `at` by Temporal's clock."""

    what: str
    at: datetime


@dataclass
class ExecutionWorld:
    """The venues and the ledger of one execution; what happened is in the lists.

    `steps` has everything in its order: accept, reserve, give_up, submit, cancel, resolve, alarm,
    save.
    """

    venues: dict[str, Venue]
    opened_as: OpenExecutionKind = OpenExecutionKind.NEW
    terms: EngineTerms = TERMS
    opened_denial: Denied | None = None
    stored: str | None = None
    """The result of an execution that ended before under this id."""
    legs: tuple[KnownLeg, ...] = ()
    """What a lost workflow left."""
    denials: dict[str, list[Denied]] = field(default_factory=dict)
    """By leg: what the ledger says to the next requests for it."""
    saved_before: str | None = None
    tells_at_once: bool = True
    """Whether the venues show their books within the workflow's task, and with its registration."""
    steps: list[Step] = field(default_factory=list)
    opened: list[OpenExecution] = field(default_factory=list)
    accepted: list[AcceptLegs] = field(default_factory=list)
    submits: list[Submit] = field(default_factory=list)
    cancels: list[CancelChild] = field(default_factory=list)
    resolved: list[Resolve] = field(default_factory=list)
    given_up: list[GiveUp] = field(default_factory=list)
    alarms: list[RaiseAlarm] = field(default_factory=list)
    saved: list[SaveExecution] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Rules that the workflow broke: of the ledger, or of the venues."""
    reserved: set[str] = field(default_factory=set)

    def did(self, *verbs: str) -> list[str]:
        """What happened, in its order; only these verbs if any are named."""
        return [
            step.what for step in self.steps if not verbs or step.what.partition(" ")[0] in verbs
        ]

    def when(self, what: str) -> datetime:
        """When this happened first, by Temporal's clock."""
        return next(step.at for step in self.steps if step.what == what)

    @property
    def trades(self) -> list[Trade]:
        """All trades at all venues."""
        return [trade for venue in self.venues.values() for trade in venue.trades]

    def cash_flow(self, quote: str = "USDT") -> Decimal:
        """Quote units that came in, all fees but those in base units paid."""
        total = ZERO
        for venue in self.venues.values():
            for trade in venue.trades:
                total -= trade.quantity * trade.price * trade.side.sign
                if trade.fee_asset == quote:
                    total -= trade.fee
                elif trade.fee_asset == venue.third:
                    total -= trade.fee * venue.third_rate
        return total

    def exposure(self, base: str = "BTC") -> Decimal:
        """Base units bought less sold, fees in base units paid: what is left over."""
        return sum(
            (
                trade.quantity * trade.side.sign - (trade.fee if trade.fee_asset == base else ZERO)
                for trade in self.trades
            ),
            ZERO,
        )

    def note(self, verb: str, leg: str = "") -> None:
        at = activity.info().scheduled_time
        self.steps.append(Step(what=f"{verb} {leg}".strip(), at=at))

    def check(self, holds: bool, rule: str) -> None:
        if not holds:
            self.broken.append(rule)

    def deny(self, order_id: str) -> Denied | None:
        waiting = self.denials.get(order_id.partition(":")[2])
        return waiting.pop(0) if waiting else None


class Desk(ExecutionsPort, ViewsPort, VenuePort, VenueDataPort):
    """The activities of all executions: each is answered by the world of its workflow."""

    def __init__(self) -> None:
        self.worlds: dict[str, ExecutionWorld] = {}

    @property
    def _world(self) -> ExecutionWorld:
        workflow_id = activity.info().workflow_id
        assert workflow_id is not None
        return self.worlds[workflow_id]

    @activity.defn(name="open_execution")
    async def open_execution(self, execution: OpenExecution) -> OpenedExecution:
        world = self._world
        world.opened.append(execution)
        opened = OpenedExecution(
            kind=world.opened_as,
            terms=world.terms,
            stored=world.stored,
            denied=world.opened_denial,
            legs=world.legs,
            epoch=EPOCH if world.legs else "",
        )
        if world.opened_as is not OpenExecutionKind.NEW or not world.tells_at_once:
            return opened
        try:
            return replace(opened, views=await _views(world, execution.views))
        except ApplicationError:
            return opened

    @activity.defn(name="accept_legs")
    async def accept_legs(self, request: AcceptLegs) -> LegsVerdict:
        world = self._world
        world.note("accept", "+".join(leg.order_id.partition(":")[2] for leg in request.legs))
        world.accepted.append(request)
        for leg in request.legs:
            if denied := world.deny(leg.order_id):
                return LegsVerdict(denied=denied, denied_leg=leg.order_id)
        world.reserved |= {leg.first.intent.client_order_id for leg in request.legs}
        return LegsVerdict(reserved=tuple(Reserved(epoch=EPOCH) for _ in request.legs))

    @activity.defn(name="reserve")
    async def reserve(self, request: Reserve) -> Reserved:
        world = self._world
        world.note("reserve", leg_of(request.intent))
        if denied := world.deny(request.intent.order_id):
            return Reserved(epoch=EPOCH, denied=denied)
        world.reserved.add(request.intent.client_order_id)
        return Reserved(epoch=EPOCH)

    @activity.defn(name="give_up")
    async def give_up(self, request: GiveUp) -> GivenUp:
        world = self._world
        world.note("give_up")
        world.given_up.append(request)
        world.reserved.discard(request.client_order_id)
        return GivenUp()

    @activity.defn(name="save_execution")
    async def save_execution(self, request: SaveExecution) -> SavedExecution:
        world = self._world
        world.note("save", request.status)
        world.saved.append(request)
        is_live = any(
            not order.status.is_terminal
            for venue in world.venues.values()
            for order in venue.orders.values()
        )
        world.check(not (request.status.is_terminal and is_live), "it ended while an order lived")
        return SavedExecution(stored=world.saved_before)

    @activity.defn(name="raise_alarm")
    async def raise_alarm(self, alarm: RaiseAlarm) -> None:
        world = self._world
        world.note("alarm", alarm.code)
        world.alarms.append(alarm)

    @activity.defn(name="glance_at_views")
    async def glance_at_views(self, request: ViewsRequest) -> tuple[VenueView, ...]:
        if not self._world.tells_at_once:
            raise _no_answer()
        return await _views(self._world, request.views)

    @activity.defn(name="read_view")
    async def read_view(self, request: ViewRequest) -> VenueView:
        return (await _views(self._world, (request,)))[0]

    @activity.defn(name="read_portfolio")
    async def read_portfolio(self, request: PortfolioRequest) -> Portfolio:
        venue = self._world.venues[request.venue]
        if venue.views_fail:
            raise _no_answer()
        held = {name: amount for name, amount in venue.free.items() if amount}
        assets = [*dict.fromkeys((*held, *request.assets))]
        wanted = [name for name in assets if name != request.cash]
        if request.only:
            wanted = [name for name in wanted if name in request.only]
            held = {name: held[name] for name in held if name in (*wanted, request.cash)}
        return Portfolio(
            venue=request.venue,
            account=request.account,
            total=held,
            free=dict(held),
            markets={name: venue.market(f"{name}/{request.cash}") for name in wanted},
        )

    @activity.defn(name="read_market")
    async def read_market(self, request: MarketRequest) -> MarketSnapshot:
        venue = self._world.venues[request.venue]
        if venue.views_fail:
            raise _no_answer()
        known = venue.listings.get(request.symbol)
        if known is None:
            return MarketSnapshot(instrument=None, quote=None)
        return MarketSnapshot(instrument=known.instrument, quote=venue.quote(request.symbol))

    @activity.defn(name="submit")
    async def submit(self, request: Submit) -> SubmitOutcome:
        world, intent = self._world, request.intent
        world.note("submit", leg_of(intent))
        world.submits.append(request)
        is_reserved = intent.client_order_id in world.reserved
        world.check(is_reserved, f"{leg_of(intent)} was sent without a reservation")
        rules = world.venues[intent.venue].listings[intent.symbol].instrument
        world.check(rules.is_on_step(intent.quantity), f"{leg_of(intent)} is off the step")
        is_on_tick = intent.price is None or rules.is_on_tick(intent.price)
        world.check(is_on_tick, f"{leg_of(intent)} is off the tick")
        return await world.venues[intent.venue].place(intent)

    @activity.defn(name="cancel_child")
    async def cancel_child(self, request: CancelChild) -> None:
        world, venue = self._world, self._world.venues[request.intent.venue]
        world.note("cancel", leg_of(request.intent))
        world.cancels.append(request)
        if venue.refused_cancels:
            venue.refused_cancels -= 1
            raise _no_answer()
        venue.cancel(request.intent)

    @activity.defn(name="read_child")
    async def read_child(self, request: ReadChild) -> ChildReport:
        venue = self._world.venues[request.intent.venue]
        if venue.reads_fail:
            raise _no_answer()
        order = venue.orders[request.intent.client_order_id]
        if request.until is ReadUntil.SETTLED:
            order.are_fills_shown = True
        return order.report

    @activity.defn(name="resolve")
    async def resolve(self, request: Resolve) -> Resolved:
        world, venue = self._world, self._world.venues[request.intent.venue]
        world.note("resolve", leg_of(request.intent))
        world.resolved.append(request)
        await venue.resolves.wait()
        order = venue.orders.get(request.intent.client_order_id)
        if order is None:
            return Resolved(kind=ResolveKind.PROVEN_ABSENT)
        return Resolved(kind=ResolveKind.ADOPTED, report=order.report)


async def _views(world: ExecutionWorld, wanted: Iterable[ViewRequest]) -> tuple[VenueView, ...]:
    wanted = tuple(wanted)
    await asyncio.sleep(max((world.venues[each.venue].views_take_s for each in wanted), default=0))
    if any(world.venues[each.venue].views_fail for each in wanted):
        raise _no_answer()
    return tuple(world.venues[each.venue].view(each) for each in wanted)


def _no_answer() -> ApplicationError:
    return ApplicationError("no answer", type="VenueUnavailable")


@asynccontextmanager
async def desk_on(client: Client, *venues: str, account: str = ACCOUNT) -> AsyncIterator[Desk]:
    """Workers for every queue of these venues; put a world under each execution's id."""
    desk = Desk()
    async with AsyncExitStack() as running:
        await running.enter_async_context(
            Worker(
                client,
                task_queue=names.ORDERS_QUEUE,
                workflows=WORKFLOWS,
                activities=[
                    desk.open_execution,
                    desk.accept_legs,
                    desk.reserve,
                    desk.give_up,
                    desk.save_execution,
                    desk.raise_alarm,
                    desk.glance_at_views,
                    desk.read_market,
                ],
                workflow_runner=sandbox(),
            )
        )
        for venue in venues:
            changing, reading = (
                names.venue_queue(venue, account),
                names.venue_data_queue(venue, account),
            )
            await running.enter_async_context(
                Worker(client, task_queue=changing, activities=[desk.submit, desk.cancel_child])
            )
            reads = [
                desk.read_view,
                desk.read_portfolio,
                desk.read_market,
                desk.read_child,
                desk.resolve,
            ]
            await running.enter_async_context(Worker(client, task_queue=reading, activities=reads))
        yield desk
