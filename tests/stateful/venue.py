"""A venue behind an unreliable network, and the gateway to it.

The venue keeps Binance's rules: a signature is valid for its window only, and an order id is
unique among open orders only, so a repeated market order is a second order. Requests arrive when
their fate says, or never; so do answers. Reads show the state of a while ago. The venue tells
the model what it did, and the model judges. It must not know the ledger or the workflow.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    VenueClockError,
    VenueError,
    VenueOrder,
    VenueRejectedError,
    VenueUnavailableError,
)
from tests.stateful.model import Model
from tests.stateful.runs import Pause, Scheduler
from tests.workflows.fakes import INSTRUMENT
from workflows.domain.instruments import Instrument
from workflows.domain.orders import ChildIntent, ChildType, TimeInForce
from workflows.domain.reports import ExecutionReport, Fill, RejectionFamily, VenueStatus

WINDOW_MS, READ_LAG_MS, SKEW_MS, HTTP_DEADLINE_MS = 5_000, 10_000, 1_000, 6_000
OFFSET_AGE_MS = 30_000
PRICE = Decimal(50_000)


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What the network does to one request; ms after it was sent, None: never.

    `answer_ms` counts from the arrival. `reset_ms`: the caller sees a broken connection then.
    `twice`: the HTTP client repeats it by itself, which it does with a DELETE only.
    """

    arrive_ms: int | None = 0
    answer_ms: int | None = 0
    reset_ms: int | None = None
    twice: bool = False


KIND = Fate()


@dataclass(kw_only=True)
class Exchange:
    """One request on its way."""

    execute: Callable[[], Any]
    fate: Fate
    sent_ms: int
    is_delete: bool = False
    is_done: bool = False
    answer: Any = None
    error: VenueError | None = None

    @property
    def arrives_ms(self) -> int | None:
        return None if self.fate.arrive_ms is None else self.sent_ms + self.fate.arrive_ms

    @property
    def answers_ms(self) -> int | None:
        if self.arrives_ms is None or self.fate.answer_ms is None:
            return None
        return self.arrives_ms + self.fate.answer_ms

    def arrive(self) -> None:
        self.is_done = True
        for _ in range(2 if self.fate.twice and self.is_delete else 1):
            try:
                self.answer, self.error = self.execute(), None
            except VenueError as error:
                self.answer, self.error = None, error


@dataclass(kw_only=True)
class Order:
    """An order at the venue; `past` holds (time, status, fills by then), oldest first."""

    intent: ChildIntent
    number: int
    status: VenueStatus = VenueStatus.OPEN
    fills: list[Fill] = field(default_factory=list)
    past: list[tuple[int, VenueStatus, int]] = field(default_factory=list)

    @property
    def executed(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def left(self) -> Decimal:
        return self.intent.quantity - self.executed


class Venue:
    """The book of one account, and what the tests make it do next."""

    def __init__(self, scheduler: Scheduler, model: Model) -> None:
        self._scheduler = scheduler
        self._model = model
        self.orders: list[Order] = []
        self.exchanges: list[Exchange] = []
        self.fates: dict[str, list[Fate]] = {}
        self.jump_ms = 0
        self.lag_ms = self.fill_lag_ms = 0
        self.match = Decimal(0)
        self.rejects = False
        self.fills_before_cancel = Decimal(0)

    @property
    def clock_ms(self) -> int:
        return self._scheduler.now_ms + self.jump_ms

    # --- the network ----------------------------------------------------------------------------

    def send(self, kind: str, execute: Callable[[], Any]) -> Exchange:
        fates = self.fates.get(kind)
        fate = fates.pop(0) if fates else KIND
        now_ms, is_delete = self._scheduler.now_ms, kind == "cancel"
        exchange = Exchange(execute=execute, fate=fate, sent_ms=now_ms, is_delete=is_delete)
        self.exchanges.append(exchange)
        return exchange

    def step(self) -> bool:
        """Let arrive what is due; True if anything did."""
        now = self._scheduler.now_ms
        due = [each for each in self.exchanges if _is_due(each, now)]
        for exchange in due:
            exchange.arrive()
        self.exchanges = [each for each in self.exchanges if _is_coming(each)]
        return bool(due)

    def due_ms(self) -> int | None:
        dues = [each.arrives_ms for each in self.exchanges if each.arrives_ms is not None]
        return min(dues, default=None)

    # --- the book -------------------------------------------------------------------------------

    def place(self, intent: ChildIntent, attempt: int, signed_at_ms: int) -> ExecutionReport:
        """Take an order in, or refuse it."""
        age_ms = self.clock_ms - signed_at_ms
        if age_ms > WINDOW_MS or age_ms <= -SKEW_MS:
            raise VenueClockError("-1021", code="-1021", family=RejectionFamily.CLOCK)
        if self.rejects:
            self.rejects = False
            raise VenueRejectedError("no funds", code="-2010", family=RejectionFamily.BALANCE)
        if any(order.status is VenueStatus.OPEN for order in self.orders):
            raise OutcomeUnknownError("duplicate order id")
        order = Order(intent=intent, number=len(self.orders) + 1)
        self.orders.append(order)
        self._model.on_accepted(attempt)
        self._note(order)
        self.trade(order, self.match)
        if order.status is VenueStatus.OPEN and _is_immediate(intent):
            self.finish(order, VenueStatus.EXPIRED)
        return self.report(order, lag_ms=0)

    def trade(self, order: Order, fraction: Decimal) -> None:
        """The market takes this fraction of what is left."""
        quantity = (order.left * fraction).quantize(INSTRUMENT.step)
        if order.status is not VenueStatus.OPEN or not quantity:
            return
        order.fills.append(_fill(order, quantity, self.clock_ms))
        self._model.on_executed(quantity)
        if order.left:
            self._note(order)
        else:
            self.finish(order, VenueStatus.FILLED)

    def finish(self, order: Order, status: VenueStatus) -> None:
        """No more of it executes."""
        order.status = status
        self._model.on_venue_end(status)
        self._note(order)

    def cancel(self, venue_order_id: str) -> None:
        """Take an order off; refused when it is not open."""
        order = self._by_id(venue_order_id)
        self.trade(order, self.fills_before_cancel)
        if order.status is not VenueStatus.OPEN:
            raise OrderAbsentError("unknown order sent")
        self.finish(order, VenueStatus.CANCELLED)

    # --- reads ----------------------------------------------------------------------------------

    def find(self) -> ExecutionReport:
        visible = [order for order in self.orders if self._seen(order, self.lag_ms)]
        if not visible:
            raise OrderAbsentError("no such order")
        return self.report(visible[0], lag_ms=self.lag_ms)

    def read(self, venue_order_id: str) -> VenueOrder:
        order = self._by_id(venue_order_id)
        if not self._seen(order, self.lag_ms):
            raise OrderAbsentError("no such order")
        intent = order.intent
        return VenueOrder(
            symbol=intent.symbol,
            side=intent.side,
            quantity=intent.quantity,
            price=intent.price,
            report=self.report(order, lag_ms=self.lag_ms),
        )

    def report(self, order: Order, *, lag_ms: int) -> ExecutionReport:
        """The order as it was `lag_ms` ago, its fills older still."""
        _, status, count = self._seen(order, lag_ms)[-1]
        told = self._seen(order, lag_ms + self.fill_lag_ms)
        return ExecutionReport(
            client_order_id=order.intent.client_order_id,
            venue_order_id=str(order.number),
            status=status,
            executed_quantity=sum((f.quantity for f in order.fills[:count]), Decimal(0)),
            fills=tuple(order.fills[: told[-1][2] if told else 0]),
            venue_time_ms=self.clock_ms,
        )

    def _seen(self, order: Order, lag_ms: int) -> list[tuple[int, VenueStatus, int]]:
        return [each for each in order.past if each[0] <= self._scheduler.now_ms - lag_ms]

    def _by_id(self, venue_order_id: str) -> Order:
        return self.orders[int(venue_order_id) - 1]

    def _note(self, order: Order) -> None:
        order.past.append((self._scheduler.now_ms, order.status, len(order.fills)))


class FakeGateway:
    """`VenueGateway` for the submit, cancel and read activities. The offset is per worker."""

    venue, account = "binance", "main"

    def __init__(
        self, scheduler: Scheduler, venue: Venue, model: Model, claimed_at_ms: dict[int, int]
    ) -> None:
        self._scheduler = scheduler
        self._venue = venue
        self._model = model
        self._claimed_at_ms = claimed_at_ms
        self._offsets: dict[int, tuple[int, int]] = {}

    async def instrument(self, symbol: str) -> Instrument:
        await self._scheduler.point("instrument")
        return INSTRUMENT

    async def clock_offset_ms(self) -> int:
        worker = self._worker()
        kept = self._offsets.get(worker)
        if kept is None or self._scheduler.now_ms - kept[1] > OFFSET_AGE_MS:
            venue_ms = await self.venue_time_ms()
            offset = venue_ms - self._scheduler.worker_clock_ms
            kept = self._offsets[worker] = (offset, self._scheduler.now_ms)
        return kept[0]

    async def venue_time_ms(self) -> int:
        answer: int = await self._ask("time", lambda: self._venue.clock_ms)
        return answer

    async def submit(self, intent: ChildIntent, *, signed_at_ms: int) -> ExecutionReport:
        assert self._scheduler.current is not None
        attempt, worker = self._scheduler.current.about, self._worker()
        age_ms = self._scheduler.now_ms - self._claimed_at_ms.get(attempt, 0)
        self._model.on_send(attempt, age_ms)
        await self._scheduler.point("submit.before")
        signature_ms = self._signature(signed_at_ms)
        try:
            answer: ExecutionReport = await self._exchange(
                "submit", lambda: self._venue.place(intent, attempt, signature_ms)
            )
        except VenueClockError:
            self._offsets.pop(worker, None)
            raise
        except VenueUnavailableError as error:
            raise OutcomeUnknownError("no answer") from error
        return answer

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> ExecutionReport:
        answer: ExecutionReport = await self._ask("find", self._venue.find)
        return answer

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder:
        answer: VenueOrder = await self._ask("read", lambda: self._venue.read(venue_order_id))
        return answer

    async def cancel(self, symbol: str, venue_order_id: str) -> None:
        await self._ask("cancel", lambda: self._venue.cancel(venue_order_id))

    def _signature(self, signed_at_ms: int) -> int:
        return signed_at_ms

    async def _ask(self, kind: str, execute: Callable[[], Any]) -> Any:
        await self._scheduler.point(f"{kind}.before")
        return await self._exchange(kind, execute)

    async def _exchange(self, kind: str, execute: Callable[[], Any]) -> Any:
        exchange = self._venue.send(kind, execute)
        gives_up_ms = exchange.sent_ms + HTTP_DEADLINE_MS
        if exchange.fate.reset_ms is not None:
            gives_up_ms = min(gives_up_ms, exchange.sent_ms + exchange.fate.reset_ms)
        answers_ms = exchange.answers_ms
        is_answered = answers_ms is not None and answers_ms <= gives_up_ms
        due_ms = answers_ms if is_answered else gives_up_ms
        await Pause(due_ms=due_ms)
        await self._scheduler.point(f"{kind}.after")
        if not is_answered or not exchange.is_done:
            raise VenueUnavailableError("no answer")
        if exchange.error is not None:
            raise exchange.error
        return exchange.answer

    def _worker(self) -> int:
        assert self._scheduler.current is not None
        return self._scheduler.current.worker


def _is_due(exchange: Exchange, now_ms: int) -> bool:
    arrives_ms = exchange.arrives_ms
    return arrives_ms is not None and arrives_ms <= now_ms and not exchange.is_done


def _is_coming(exchange: Exchange) -> bool:
    return exchange.arrives_ms is not None and not exchange.is_done


def _is_immediate(intent: ChildIntent) -> bool:
    return intent.child_type is ChildType.MARKET or intent.time_in_force is not TimeInForce.GTC


def _fill(order: Order, quantity: Decimal, clock_ms: int) -> Fill:
    return Fill(
        trade_id=f"{order.number}-{len(order.fills) + 1}",
        price=order.intent.price or PRICE,
        quantity=quantity,
        fee=Decimal(0),
        fee_asset="USDT",
        is_maker=False,
        traded_at_ms=clock_ms,
    )
