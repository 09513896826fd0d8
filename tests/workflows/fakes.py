"""A small world for workflow tests: a venue that does what the test says, a ledger that agrees.

Hand-written, in memory, behind the same ports as the real activities.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from temporalio import activity
from temporalio.exceptions import ApplicationError

from tests.workflows.fake_control import INSTRUMENT, TERMS, FakeControl
from workflows.domain.books import Book, Level
from workflows.domain.denials import Denied
from workflows.domain.fees import Fees
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import (
    ChildReport,
    RejectionFamily,
    SubmitKind,
    SubmitOutcome,
    VenueStatus,
)
from workflows.domain.triggers import Fired, TriggerState
from workflows.messages import OrderSnapshot
from workflows.ports import (
    AcceptOrder,
    ArmWatch,
    CancelChild,
    Checked,
    CheckOrder,
    FiredWatch,
    FollowedPrices,
    FollowPrices,
    GivenUp,
    GiveUp,
    LedgerPort,
    MarketRequest,
    MarketSnapshot,
    MarketVolume,
    OpenedOrder,
    OpenKind,
    OpenOrder,
    Portfolio,
    PortfolioRequest,
    PricesPort,
    Protected,
    ProtectRequest,
    RaiseAlarm,
    ReadChild,
    ReadUntil,
    RecordAction,
    RecordedAction,
    Reserve,
    Reserved,
    Resolve,
    Resolved,
    SavedOrder,
    SaveOrder,
    SteeringPort,
    Submit,
    VenueDataPort,
    VenuePort,
    VenueView,
    Verdict,
    ViewRequest,
    ViewsPort,
    ViewsRequest,
    VolumeRequest,
    WatchName,
    WatchPort,
    WatchStatus,
    WatchView,
)

Answer = Callable[["FakeWorld", ChildIntent], SubmitOutcome]


def report_of(
    intent: ChildIntent, filled: Decimal, status: VenueStatus, *, booked: Decimal | None = None
) -> ChildReport:
    """Totals of a child that executed `filled`, of which `booked` (default all) has its fills."""
    known = filled if booked is None else booked
    price = intent.price or Decimal(50_000)
    return ChildReport(
        client_order_id=intent.client_order_id,
        venue_order_id=f"v-{intent.client_order_id[:8]}",
        status=status,
        executed_quantity=filled,
        filled_quantity=known,
        filled_quote=known * price,
        fees={"USDT": known * price / 1000} if known else {},
    )


def fills(fraction: str = "1") -> Answer:
    """The venue executes this fraction at once and ends the order."""

    def answer(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
        filled = (intent.quantity * Decimal(fraction)).quantize(INSTRUMENT.step)
        whole = filled == intent.quantity
        status = VenueStatus.FILLED if whole else VenueStatus.EXPIRED
        return world.acked(report_of(intent, filled, status))

    return answer


def rests(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
    """The order rests in the book, unfilled."""
    return world.acked(report_of(intent, Decimal(0), VenueStatus.OPEN))


def executes_before_its_fills_show(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
    """Filled by the venue's word, but no fill is booked until somebody waits for it."""
    report = report_of(intent, intent.quantity, VenueStatus.FILLED, booked=Decimal(0))
    return world.acked(report)


def rejects(family: RejectionFamily, code: str = "-2010") -> Answer:
    """A definite rejection."""

    def answer(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
        return SubmitOutcome(kind=SubmitKind.REJECTED, code=code, reason="no", family=family)

    return answer


def lost(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
    """No trustworthy answer."""
    return SubmitOutcome(kind=SubmitKind.UNKNOWN, reason="timeout")


def crashes(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
    """The worker dies after the claim: the activity reports nothing useful."""
    raise ApplicationError("the worker died")


def not_sent(code: str) -> Answer:
    """Proven that nothing left."""

    def answer(world: "FakeWorld", intent: ChildIntent) -> SubmitOutcome:
        return SubmitOutcome(kind=SubmitKind.NOT_SENT, code=code, reason="nothing was sent")

    return answer


@dataclass
class FakeWorld(
    VenuePort,
    VenueDataPort,
    LedgerPort,
    SteeringPort,
    WatchPort,
    PricesPort,
    ViewsPort,
    FakeControl,
):
    """What happened is in the lists; what shall happen is in the scripts."""

    script: list[Answer] = field(default_factory=list)
    default: Answer = field(default_factory=lambda: fills())
    resolutions: list[Resolved] = field(default_factory=list)
    quote: Quote | None = field(
        default_factory=lambda: Quote(
            bid=Decimal("49999.99"), ask=Decimal("50000.01"), read_at_ms=0
        )
    )
    instrument: Instrument | None = INSTRUMENT
    accept_denial: Denied | None = None
    reserve_denials: list[Denied | None] = field(default_factory=list)
    market_fails: bool = False
    reads_fail: bool = False
    reads_hang: bool = False
    reserve_fails: bool = False
    before_save: Callable[[], Awaitable[None]] | None = None
    saved_before: OrderSnapshot | None = None
    """The end that an earlier try of the same task stored."""
    must_resolve: list[int] = field(default_factory=list)
    give_up_answers: list[GivenUp] = field(default_factory=list)
    resolved: list[Resolve] = field(default_factory=list)
    cancel_fills: bool = False
    submits: list[Submit] = field(default_factory=list)
    reserved: list[Reserve] = field(default_factory=list)
    given_up: list[GiveUp] = field(default_factory=list)
    cancels: list[CancelChild] = field(default_factory=list)
    reads: list[ReadChild] = field(default_factory=list)
    opened: list[OpenOrder] = field(default_factory=list)
    saved: list[OrderSnapshot] = field(default_factory=list)
    actions: list[RecordAction] = field(default_factory=list)
    action_denial: Denied | None = None
    watches: dict[str, WatchView] = field(default_factory=dict)
    armed: list[ArmWatch] = field(default_factory=list)
    free_position: Decimal = Decimal(-10)
    volumes: list[VolumeRequest] = field(default_factory=list)
    volume: Decimal = Decimal(1000)
    check_denial: Denied | None = None
    alarms: list[RaiseAlarm] = field(default_factory=list)
    reports: dict[str, ChildReport] = field(default_factory=dict)
    intents: dict[str, ChildIntent] = field(default_factory=dict)

    def acked(self, report: ChildReport) -> SubmitOutcome:
        self.reports[report.client_order_id] = report
        return SubmitOutcome(kind=SubmitKind.ACKED, report=report)

    def fill_now(self, client_order_id: str, quantity: Decimal) -> ChildReport:
        """The market trades against a resting order; the report is what the feed would send."""
        intent = self.intents[client_order_id]
        whole = quantity == intent.quantity
        status = VenueStatus.FILLED if whole else VenueStatus.OPEN
        report = report_of(intent, quantity, status)
        self.reports[client_order_id] = report
        return report

    @activity.defn(name="submit")
    async def submit(self, request: Submit) -> SubmitOutcome:
        self.submits.append(request)
        self.intents[request.intent.client_order_id] = request.intent
        answer = self.script.pop(0) if self.script else self.default
        return answer(self, request.intent)

    @activity.defn(name="cancel_child")
    async def cancel_child(self, request: CancelChild) -> None:
        self.cancels.append(request)
        intent = request.intent
        known = self.reports[intent.client_order_id]
        if known.status.is_terminal:
            return
        if self.cancel_fills:
            self.fill_now(intent.client_order_id, intent.quantity)
        else:
            self.reports[intent.client_order_id] = replace(known, status=VenueStatus.CANCELLED)

    @activity.defn(name="read_child")
    async def read_child(self, request: ReadChild) -> ChildReport:
        self.reads.append(request)
        if self.reads_hang and request.until is ReadUntil.NOW:
            await asyncio.sleep(3_600)
        if self.reads_fail:
            raise ApplicationError("no answer", type="VenueUnavailable")
        report = self.reports[request.intent.client_order_id]
        if request.until is ReadUntil.SETTLED and not report.is_settled:
            report = report_of(request.intent, report.executed_quantity, report.status)
            self.reports[request.intent.client_order_id] = report
        return report

    @activity.defn(name="resolve")
    async def resolve(self, request: Resolve) -> Resolved:
        while not self.resolutions:  # a test answers once it has seen what is asked
            await asyncio.sleep(0.01)
        self.resolved.append(request)
        return self.resolutions.pop(0)

    @activity.defn(name="read_market")
    async def read_market(self, request: MarketRequest) -> MarketSnapshot:
        if self.market_fails:
            raise ApplicationError("no answer", type="VenueUnavailable")
        return MarketSnapshot(instrument=self.instrument, quote=self.quote)

    @activity.defn(name="open_order")
    async def open_order(self, order: OpenOrder) -> OpenedOrder:
        self.opened.append(order)
        seen = MarketSnapshot(instrument=self.instrument, quote=self.quote)
        market = None if self.market_fails else seen
        return OpenedOrder(kind=OpenKind.NEW, terms=TERMS, market=market)

    @activity.defn(name="accept_order")
    async def accept_order(self, order: AcceptOrder) -> Verdict:
        if self.accept_denial is not None or order.first is None:
            return Verdict(denied=self.accept_denial)
        return Verdict(reserved=await self.reserve(order.first))

    @activity.defn(name="reserve")
    async def reserve(self, request: Reserve) -> Reserved:
        self.reserved.append(request)
        if self.reserve_fails:
            raise ApplicationError("the ledger is broken", type="Broken", non_retryable=True)
        if self.must_resolve:
            return Reserved(epoch="e1", resolve_attempt=self.must_resolve.pop(0))
        denied = self.reserve_denials.pop(0) if self.reserve_denials else None
        return Reserved(epoch="e1", denied=denied)

    @activity.defn(name="give_up")
    async def give_up(self, request: GiveUp) -> GivenUp:
        self.given_up.append(request)
        return self.give_up_answers.pop(0) if self.give_up_answers else GivenUp()

    @activity.defn(name="save_order")
    async def save_order(self, request: SaveOrder) -> SavedOrder:
        if self.before_save is not None:
            await self.before_save()
        self.saved.append(request.snapshot)
        return SavedOrder(stored=self.saved_before)

    # --- steering, triggers, prices -------------------------------------------------------------

    @activity.defn(name="record_action")
    async def record_action(self, request: RecordAction) -> RecordedAction:
        self.actions.append(request)
        return RecordedAction(denied=self.action_denial)

    @activity.defn(name="read_protected")
    async def read_protected(self, request: ProtectRequest) -> Protected:
        return Protected(position=self.free_position, free=self.free_position)

    @activity.defn(name="check_order")
    async def check_order(self, request: CheckOrder) -> Checked:
        return Checked(terms=TERMS, denied=self.check_denial)

    @activity.defn(name="raise_alarm")
    async def raise_alarm(self, alarm: RaiseAlarm) -> None:
        self.alarms.append(alarm)

    @activity.defn(name="arm_watch")
    async def arm_watch(self, request: ArmWatch) -> WatchView:
        self.armed.append(request)
        new = WatchView(
            watch_id=request.watch_id,
            status=WatchStatus.ARMED,
            state=request.state or TriggerState(),
        )
        return self.watches.setdefault(request.watch_id, new)

    @activity.defn(name="disarm_watch")
    async def disarm_watch(self, request: WatchName) -> WatchView:
        known = self.watches[request.watch_id]
        if known.status is WatchStatus.ARMED:
            known = replace(known, status=WatchStatus.DISARMED)
            self.watches[request.watch_id] = known
        return known

    @activity.defn(name="read_watch")
    async def read_watch(self, request: WatchName) -> WatchView:
        return self.watches[request.watch_id]

    def fires(self, watch_id: str, price: str) -> FiredWatch:
        """The follower fires this watch; the answer is what it then signals."""
        fired = Fired(price=Decimal(price), at_ms=1_000)
        known = self.watches[watch_id]
        self.watches[watch_id] = replace(known, status=WatchStatus.FIRED, fired=fired)
        return FiredWatch(watch_id=watch_id, fired=fired)

    @activity.defn(name="follow_prices")
    async def follow_prices(self, request: FollowPrices) -> FollowedPrices:
        return FollowedPrices(is_idle=True)

    @activity.defn(name="read_volume")
    async def read_volume(self, request: VolumeRequest) -> MarketVolume:
        self.volumes.append(request)
        return MarketVolume(volume=self.volume)

    @activity.defn(name="glance_at_views")
    async def glance_at_views(self, request: ViewsRequest) -> tuple[VenueView, ...]:
        return tuple([await self.read_view(view) for view in request.views])

    @activity.defn(name="read_portfolio")
    async def read_portfolio(self, request: PortfolioRequest) -> Portfolio:
        raise ApplicationError("no portfolio here", non_retryable=True)

    @activity.defn(name="read_view")
    async def read_view(self, request: ViewRequest) -> VenueView:
        if self.market_fails or self.quote is None:
            raise ApplicationError("no answer", type="VenueUnavailable")
        return VenueView(
            venue=request.venue,
            account=request.account,
            symbol=request.symbol,
            instrument=self.instrument,
            book=Book(
                bids=(Level(price=self.quote.bid, quantity=Decimal(5)),),
                asks=(Level(price=self.quote.ask, quantity=Decimal(5)),),
                read_at_ms=0,
            ),
            fees=Fees(maker=Decimal("0.001"), taker=Decimal("0.001"), buys_pay_base=True),
            free={},
        )
