"""The two legs of an arbitrage before their size is known: what each sends, how far it reaches.

Slippage is a gate, not an addition to the limit: a book whose best level is worse than the plan's
price by more than the tolerance starts nothing, and only what lies within the tolerance counts as
depth. A market leg has no limit; its worst price is taken to be that of the gate.

It must not know clocks, orders, venues, or the other leg.
Quantities in base units; prices in quote units; fees and tolerances are fractions.
"""

from dataclasses import dataclass
from decimal import Decimal

from workflows.domain.books import Book, Level, depth_within, walk
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFacts:
    """One venue as it is now. `buys_pay_base`: a buy's fee is taken from what it bought."""

    instrument: Instrument
    book: Book
    taker_fee: Decimal
    buys_pay_base: bool
    free_base: Decimal
    free_quote: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTerms:
    """What the plan asks for. `buy_limit` and `sell_limit` are those of explicit legs, which are
    sent as they are; None: the plan's price with `limit_tolerance`, to the filling side.
    `buy_slippage` and `sell_slippage` are explicit legs' own gates. `max_notional` is of one leg.
    """

    amount: Decimal
    buy_price: Decimal
    sell_price: Decimal
    buy_limit: Decimal | None
    sell_limit: Decimal | None
    limit_tolerance: Decimal
    slippage_tolerance: Decimal
    buy_slippage: Decimal | None
    sell_slippage: Decimal | None
    min_profit: Decimal
    min_profit_worst: Decimal | None
    max_loss_bps: Decimal
    max_notional: Decimal | None
    buy_is_market: bool
    sell_is_market: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLeg:
    """One leg with its limit (None: a market order). `gate` is the worst price that starts it."""

    side: Side
    facts: VenueFacts
    plan_price: Decimal
    limit: Decimal | None
    is_explicit: bool
    gate: Decimal

    @property
    def levels(self) -> tuple[Level, ...]:
        """What it trades with, best first."""
        return self.facts.book.against(self.side)

    @property
    def touch(self) -> Decimal:
        """The best of these; `check_leg` has seen that there is one."""
        return self.levels[0].price

    @property
    def worst(self) -> Decimal:
        """The worst price at which it may fill."""
        return self.gate if self.limit is None else self.limit

    @property
    def dearest(self) -> Decimal:
        """The highest price at which an order limit may value it: its own, or the asks'."""
        return max((self.worst, *(level.price for level in self.facts.book.asks[:1])))

    @property
    def reach(self) -> Decimal:
        """The worst level that counts as depth: within the gate, and within the limit."""
        return (min if self.side is Side.BUY else max)(self.gate, self.worst)

    @property
    def depth(self) -> Decimal:
        """Base units within reach."""
        return depth_within(self.levels, self.side, self.reach)

    def value(self, quantity: Decimal) -> Decimal:
        """What a quantity within the depth comes to in the book of now, in quote units."""
        walked = walk(self.levels, quantity)
        assert walked is not None, "the quantity is capped by the depth"
        return walked.value


def priced_legs(
    terms: EntryTerms, buy: VenueFacts, sell: VenueFacts
) -> tuple[PricedLeg, PricedLeg]:
    """The buy and the sell leg as the plan wants them sent; the rules of both must be valid."""
    return (
        _priced(
            Side.BUY,
            buy,
            price=terms.buy_price,
            explicit=terms.buy_limit,
            is_market=terms.buy_is_market,
            tolerances=(terms.limit_tolerance, _own(terms.buy_slippage, terms)),
        ),
        _priced(
            Side.SELL,
            sell,
            price=terms.sell_price,
            explicit=terms.sell_limit,
            is_market=terms.sell_is_market,
            tolerances=(terms.limit_tolerance, _own(terms.sell_slippage, terms)),
        ),
    )


def check_rules(rules: Instrument) -> Denied | None:
    """The venue trades the symbol, on a grid that makes sense."""
    detail = f"symbol={rules.symbol} exchange={rules.venue}"
    if not rules.has_valid_rules:
        return Denied(code=DenialCode.SYMBOL_RULES_INVALID, field="symbol", detail=detail)
    if not rules.is_trading:
        return Denied(code=DenialCode.SYMBOL_NOT_TRADING, field="symbol", detail=detail)
    return None


def check_leg(leg: PricedLeg) -> Denied | None:
    """Its limit can be sent, and the best level of its book is within its gate."""
    rules, exchange = leg.facts.instrument, f"exchange={leg.facts.instrument.venue}"
    price_field = f"{leg.side}_price"
    if leg.limit is not None and leg.limit <= 0:
        detail = f"limit={leg.limit:f} tick={rules.tick:f} {exchange}"
        return Denied(code=DenialCode.OUT_OF_RANGE, field=price_field, detail=detail)
    if leg.limit is not None and leg.is_explicit and not rules.is_on_tick(leg.limit):
        detail = f"{leg.side} leg price={leg.limit:f} tick={rules.tick:f} {exchange}"
        return Denied(code=DenialCode.PRECISION, field="orders", detail=detail)
    if not leg.levels:
        detail = f"depth=0 {exchange}"
        return Denied(code=DenialCode.INSUFFICIENT_DEPTH, field="amount", detail=detail)
    # every average is at least as bad as the best level, and the size keeps it within the gate
    if (leg.touch - leg.gate) * leg.side.sign > 0:
        detail = f"best={leg.touch:f} plan={leg.plan_price:f} worst={leg.gate:f} {exchange}"
        return Denied(code=DenialCode.SLIPPAGE, field=price_field, detail=detail)
    return None


def _own(own: Decimal | None, terms: EntryTerms) -> Decimal:
    return terms.slippage_tolerance if own is None else own


def _priced(
    side: Side,
    facts: VenueFacts,
    *,
    price: Decimal,
    explicit: Decimal | None,
    is_market: bool,
    tolerances: tuple[Decimal, Decimal],
) -> PricedLeg:
    with exact():
        at_limit, gate = (price * (1 + side.sign * tolerance) for tolerance in tolerances)
    limit = explicit
    if is_market:
        limit = None
    elif explicit is None:
        limit = facts.instrument.round_price(at_limit, side)
    return PricedLeg(
        side=side,
        facts=facts,
        plan_price=price,
        limit=limit,
        is_explicit=explicit is not None,
        gate=gate,
    )
