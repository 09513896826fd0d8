"""A venue that does to each leg what the test says, and otherwise what its book gives.

It trades like one: its trades move its balances and are the only source of its reports, so that a
test can hold a told profit against the cash that really flowed. It must not know workflows.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from workflows.domain.books import Book, Level
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce
from workflows.domain.reports import (
    ChildReport,
    SubmitKind,
    SubmitOutcome,
    VenueStatus,
)
from workflows.ports import AssetMarket, Fees, VenueView, ViewRequest

ZERO = Decimal(0)
SYMBOL = "BTC/USDT"
Answer = Callable[["Venue", ChildIntent], Awaitable[SubmitOutcome]]
"""What a venue does with one request to trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade of ours; the fee is negative for a rebate."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


@dataclass(slots=True)
class Order:
    """One child order as its venue has it."""

    intent: ChildIntent
    status: VenueStatus = VenueStatus.OPEN
    trades: list[Trade] = field(default_factory=list)
    are_fills_shown: bool = True

    @property
    def executed(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades), ZERO)

    @property
    def report(self) -> ChildReport:
        """What the engine reads: totals, made of the trades alone."""
        shown = self.trades if self.are_fills_shown else []
        fees: dict[str, Decimal] = defaultdict(Decimal)
        for trade in shown:
            fees[trade.fee_asset] += trade.fee
        return ChildReport(
            client_order_id=self.intent.client_order_id,
            venue_order_id=f"v-{self.intent.client_order_id[:8]}",
            status=self.status,
            executed_quantity=self.executed,
            filled_quantity=sum((trade.quantity for trade in shown), ZERO),
            filled_quote=sum((trade.quantity * trade.price for trade in shown), ZERO),
            fees=dict(fees),
        )


@dataclass(slots=True, kw_only=True)
class Listing:
    """One symbol at a venue: its rules and its book, which stands still unless a test moves it."""

    instrument: Instrument
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def against(self, side: Side) -> tuple[Level, ...]:
        return self.asks if side is Side.BUY else self.bids


def listing(
    venue: str,
    symbol: str = SYMBOL,
    *,
    bid: str | Decimal = "50000",
    ask: str | Decimal = "50001",
    depth: str = "100",
    tick: str = "0.01",
    step: str = "0.001",
    min_notional: str = "5",
) -> Listing:
    """A symbol with one level on each side."""
    base, quote = symbol.split("/")
    rules = Instrument(
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=None,
        min_notional=Decimal(min_notional),
        is_trading=True,
    )
    return Listing(instrument=rules, bids=levels((bid, depth)), asks=levels((ask, depth)))


def levels(*pairs: tuple[str | Decimal, str | Decimal]) -> tuple[Level, ...]:
    """Levels of a book from (price, quantity), best first."""
    return tuple(Level(price=Decimal(price), quantity=Decimal(size)) for price, size in pairs)


@dataclass
class Venue:
    """One exchange. `answers` says by leg what the next requests come to; else the book decides.

    `fee` is what a taker pays; with `third` it is paid in that asset, at `third_rate` quote units
    each. `resolves` holds every look-up back until it is set.
    """

    name: str
    listings: dict[str, Listing] = field(default_factory=dict)
    fee: Decimal = Decimal("0.001")
    buys_pay_base: bool = False
    third: str | None = None
    third_rate: Decimal = Decimal(600)
    free: dict[str, Decimal] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    at_cancel: dict[str, Decimal] = field(default_factory=dict)
    """By leg: what the market still fills of it, as a fraction, just before a cancel acts."""
    refused_cancels: int = 0
    """So many cancels find no venue."""
    reads_fail: bool = False
    views_fail: bool = False
    views_take_s: float = 0
    read_age_ms: int = 0
    resolves: asyncio.Event = field(default_factory=asyncio.Event)
    orders: dict[str, Order] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resolves.set()
        if not self.listings:
            self.listings[SYMBOL] = listing(self.name)
        if not self.free:
            self.free = {"BTC": Decimal(1_000), "USDT": Decimal(100_000_000)}

    @property
    def fees(self) -> Fees:
        return Fees(maker=self.fee, taker=self.fee, buys_pay_base=self.buys_pay_base)

    def order(self, leg: str) -> Order:
        """The order of this leg; KeyError when the venue has none."""
        found = [each for each in self.orders.values() if leg_of(each.intent) == leg]
        if not found:
            raise KeyError(f"{self.name} has no order of leg {leg}")
        return found[-1]

    def executed(self, leg: str) -> Decimal:
        """Base units that this leg executed here."""
        return sum(
            (each.executed for each in self.orders.values() if leg_of(each.intent) == leg), ZERO
        )

    def open_order(self, intent: ChildIntent) -> Order:
        """The order comes into being: the only place where one does."""
        assert intent.client_order_id not in self.orders, f"{leg_of(intent)} was sent twice"
        self.orders[intent.client_order_id] = Order(intent)
        return self.orders[intent.client_order_id]

    def trade(self, order: Order, quantity: Decimal, price: Decimal | None = None) -> None:
        """Execute this much: at `price`, or walking the book and at the limit beyond it."""
        if quantity <= 0:
            return
        for level in self._levels(order.intent, quantity, price):
            self._book(order, level)
        if order.executed >= order.intent.quantity:
            order.status = VenueStatus.FILLED

    def fill(self, leg: str, quantity: str | Decimal | None = None) -> ChildReport:
        """The market trades with a resting leg; the report is what the feed would signal."""
        order = self.order(leg)
        rest = order.intent.quantity - order.executed
        self.trade(order, rest if quantity is None else Decimal(quantity), order.intent.price)
        return order.report

    def _levels(
        self, intent: ChildIntent, quantity: Decimal, price: Decimal | None
    ) -> Iterable[Level]:
        if price is not None:
            yield Level(price=price, quantity=quantity)
            return
        left, last = quantity, intent.price
        for level in self.listings[intent.symbol].against(intent.side):
            is_beyond = (
                intent.price is not None and (level.price - intent.price) * intent.side.sign > 0
            )
            if is_beyond or not left:
                break
            taken, last = min(left, level.quantity), level.price
            left -= taken
            yield Level(price=level.price, quantity=taken)
        if left:
            assert last is not None, "a market order met an empty book"
            yield Level(price=last, quantity=left)

    def _book(self, order: Order, level: Level) -> None:
        intent, rules = order.intent, self.listings[order.intent.symbol].instrument
        value, is_buy = level.quantity * level.price, intent.side is Side.BUY
        fee, asset = value * self.fee, rules.quote
        if self.third is not None:
            fee, asset = (fee / self.third_rate).quantize(Decimal("1e-8")), self.third
        elif is_buy and self.buys_pay_base:
            fee, asset = level.quantity * self.fee, rules.base
        trade = Trade(
            order_id=intent.order_id,
            symbol=intent.symbol,
            side=intent.side,
            quantity=level.quantity,
            price=level.price,
            fee=fee,
            fee_asset=asset,
        )
        order.trades.append(trade)
        self.trades.append(trade)
        moves = {rules.base: level.quantity, rules.quote: -value}
        for name, amount in moves.items():
            self.free[name] = self.free.get(name, ZERO) + amount * intent.side.sign
        self.free[asset] = self.free.get(asset, ZERO) - fee

    async def place(self, intent: ChildIntent) -> SubmitOutcome:
        """What the script says of this leg, else what the book gives."""
        script = self.answers.get(leg_of(intent)) or self.answers.get(
            leg_of(intent).rpartition("-")[0]
        )
        answer = script.pop(0) if script else crosses
        return await answer(self, intent)

    def cancel(self, intent: ChildIntent) -> None:
        """Take it off the book, after what `at_cancel` says the market still fills."""
        order = self.orders[intent.client_order_id]
        if order.status.is_terminal:
            return
        fraction = self.at_cancel.pop(leg_of(intent), ZERO)
        still = lots(self, intent, (intent.quantity - order.executed) * fraction)
        self.trade(order, still, intent.price)
        if not order.status.is_terminal:
            order.status = VenueStatus.CANCELLED

    def view(self, request: ViewRequest) -> VenueView:
        """Book, rules, fees and funds now."""
        known = self.listings.get(request.symbol)
        view = VenueView(
            venue=self.name, account=request.account, symbol=request.symbol, instrument=None
        )
        if known is None:
            return view
        now_ms = time.time_ns() // 1_000_000 - self.read_age_ms
        return replace(
            view,
            instrument=known.instrument,
            book=Book(bids=known.bids, asks=known.asks, read_at_ms=now_ms),
            fees=self.fees,
            free=dict(self.free),
        )

    def market(self, symbol: str) -> AssetMarket:
        """Rules, touch and fees of one symbol; nothing of one that is not listed."""
        known = self.listings.get(symbol)
        if known is None:
            return AssetMarket(instrument=None, quote=None, fees=None)
        return AssetMarket(instrument=known.instrument, quote=self.quote(symbol), fees=self.fees)

    def quote(self, symbol: str) -> Quote | None:
        """The touch now; None while one side of the book is empty."""
        known = self.listings[symbol]
        if not known.bids or not known.asks:
            return None
        now_ms = time.time_ns() // 1_000_000
        return Quote(bid=known.bids[0].price, ask=known.asks[0].price, read_at_ms=now_ms)


def leg_of(intent: ChildIntent) -> str:
    """The leg's name: buy, sell, complete-1, unwind-2, ..."""
    return intent.order_id.partition(":")[2]


def lots(venue: Venue, intent: ChildIntent, quantity: Decimal) -> Decimal:
    """The quantity floored to the venue's step."""
    step = venue.listings[intent.symbol].instrument.step
    return quantity // step * step


async def crosses(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
    """Trade with the book within the limit; the rest waits if it is GTC, and ends otherwise."""
    order, limit = venue.open_order(intent), intent.price
    available = sum(
        (
            level.quantity
            for level in venue.listings[intent.symbol].against(intent.side)
            if limit is None or (limit - level.price) * intent.side.sign >= 0
        ),
        ZERO,
    )
    venue.trade(order, min(available, intent.quantity))
    waits = intent.child_type is ChildType.LIMIT and intent.time_in_force is TimeInForce.GTC
    if not order.status.is_terminal and not waits:
        order.status = VenueStatus.EXPIRED
    return acked(order)


def acked(order: Order) -> SubmitOutcome:
    """The venue's answer with the order as it is now."""
    return SubmitOutcome(kind=SubmitKind.ACKED, report=order.report)
