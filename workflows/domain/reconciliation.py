"""What our books and a venue differ in, as pure comparisons: both sides in, differences out.

Theory of operation. A venue's trades and the ledger's fills cancel each other by symbol, trade id
and side; what is left on one side alone is a difference once it is old enough to be no race. Sums
are compared only when both sides stood still. A difference is a finding and never a correction:
nothing here books, and no fill is made up from a balance. It must not know venues or the ledger.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from workflows.domain.exact import exact
from workflows.domain.orders import Side

_ZERO = Decimal(0)


class DifferenceKind(StrEnum):
    """What differs. `object` names one thing within the account."""

    MISSING_FILL = "missing_fill"
    """The venue lists a trade that the ledger has not booked."""
    UNKNOWN_FILL = "unknown_fill"
    """The ledger has a fill that the venue does not list."""
    FILL_FIGURES = "fill_figures"
    """Both have the trade, with other figures."""
    OPEN_ORDER = "open_order"
    """The ledger holds an order live that the venue does not know."""
    EXECUTED_QUANTITY = "executed_quantity"
    """The venue has executed more of an order than there are fills of it."""
    EXTERNAL_ORDER = "external_order"
    """An order of the account that is not ours."""
    BALANCE = "balance"
    """Opening balance, fills and transfers are not what the venue holds."""
    POSITION = "position"
    """The positions in a symbol are not what its trades come to."""

    @property
    def is_break(self) -> bool:
        """False for what is only told: once it is recorded, the books hold all that there is."""
        return self is not DifferenceKind.EXTERNAL_ORDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. `ours` and `theirs` in the unit of the object, `value` in quote units."""

    kind: DifferenceKind
    object: str
    ours: Decimal | None = None
    theirs: Decimal | None = None
    value: Decimal | None = None
    detail: str = ""


class TradeKey(NamedTuple):
    """What makes a trade unique within an account."""

    symbol: str
    trade_id: str
    side: Side

    def __str__(self) -> str:
        return f"{self.symbol}/{self.trade_id}/{self.side}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFacts:
    """One trade as one side has it. Quantity in base units, price in quote units."""

    key: TradeKey
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    traded_at_ms: int

    @property
    def value(self) -> Decimal:
        """In quote units."""
        with exact():
            return self.price * self.quantity

    def is_same(self, other: "TradeFacts") -> bool:
        """Price, size and fee agree; a fee of nothing has no asset. The time is not compared."""
        mine = (self.price, self.quantity, self.fee, self.fee_asset if self.fee else "")
        its = (other.price, other.quantity, other.fee, other.fee_asset if other.fee else "")
        return mine == its


@dataclass(slots=True)
class Unmatched:
    """Trades that only one side has told of so far; what both told of is forgotten.

    `conflicts` are those that both told of, differently; ours comes first.
    """

    ours: dict[TradeKey, TradeFacts] = field(default_factory=dict)
    theirs: dict[TradeKey, TradeFacts] = field(default_factory=dict)
    conflicts: dict[TradeKey, tuple[TradeFacts, TradeFacts]] = field(default_factory=dict)

    def ours_told(self, trade: TradeFacts) -> None:
        """The ledger has it."""
        other = self.theirs.pop(trade.key, None)
        if other is None:
            self.ours[trade.key] = trade
        elif not trade.is_same(other):
            self.conflicts[trade.key] = (trade, other)

    def theirs_told(self, trade: TradeFacts) -> None:
        """The venue lists it."""
        other = self.ours.pop(trade.key, None)
        if other is None:
            self.theirs[trade.key] = trade
        elif not other.is_same(trade):
            self.conflicts[trade.key] = (other, trade)

    @property
    def is_even(self) -> bool:
        """Both sides have told of the same trades."""
        return not (self.ours or self.theirs or self.conflicts)

    def differences(self, *, before_ms: int) -> list[Difference]:
        """Those of trades before that time; younger ones may only be on their way."""
        return [
            *(
                missing_fill(trade)
                for trade in self.theirs.values()
                if trade.traded_at_ms < before_ms
            ),
            *(
                unknown_fill(trade)
                for trade in self.ours.values()
                if trade.traded_at_ms < before_ms
            ),
            *(_fill_figures(ours, theirs) for ours, theirs in self.conflicts.values()),
        ]


def missing_fill(trade: TradeFacts, detail: str = "not booked") -> Difference:
    """The venue lists this trade, the ledger does not."""
    return Difference(
        kind=DifferenceKind.MISSING_FILL,
        object=str(trade.key),
        theirs=trade.quantity,
        value=trade.value,
        detail=detail,
    )


def unknown_fill(trade: TradeFacts) -> Difference:
    """The ledger has this fill, the venue does not list it."""
    return Difference(
        kind=DifferenceKind.UNKNOWN_FILL,
        object=str(trade.key),
        ours=trade.quantity,
        value=trade.value,
        detail="the venue does not list it",
    )


def _fill_figures(ours: TradeFacts, theirs: TradeFacts) -> Difference:
    told = f"venue {theirs.price} x {theirs.quantity}, fee {theirs.fee} {theirs.fee_asset}"
    booked = f"ledger {ours.price} x {ours.quantity}, fee {ours.fee} {ours.fee_asset}"
    with exact():
        value = abs(theirs.value - ours.value)
    return Difference(
        kind=DifferenceKind.FILL_FIGURES,
        object=str(theirs.key),
        ours=ours.quantity,
        theirs=theirs.quantity,
        value=value,
        detail=f"{told}; {booked}",
    )


# --- sums -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Rebuilt:
    """What trades come to: `moved` by asset, and `positions` by symbol net of base fees."""

    moved: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)

    def add(self, trade: TradeFacts) -> None:
        """One more trade, counted once by the caller."""
        symbol = trade.key.symbol
        base, quote = assets_of(symbol)
        with exact():
            signed = trade.quantity * trade.key.side.sign
            self._move(base, signed)
            self._move(quote, -signed * trade.price)
            self._move(trade.fee_asset, -trade.fee)
            net = signed - trade.fee if trade.fee_asset == base else signed
            self.positions[symbol] = self.positions.get(symbol, _ZERO) + net

    def _move(self, asset: str, amount: Decimal) -> None:
        if amount:
            self.moved[asset] = self.moved.get(asset, _ZERO) + amount


def assets_of(symbol: str) -> tuple[str, str]:
    """Base and quote of a unified spot symbol."""
    base, _, quote = symbol.partition("/")
    return base, quote


def added(*parts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The sum of amounts by asset."""
    total: dict[str, Decimal] = {}
    with exact():
        for part in parts:
            for asset, amount in part.items():
                total[asset] = total.get(asset, _ZERO) + amount
    return total


def compare_balances(
    ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], worth: Mapping[str, Decimal]
) -> list[Difference]:
    """By asset; what one side does not name is nothing. `worth`: quote units per unit."""
    return [
        _sums_differ(DifferenceKind.BALANCE, asset, mine, told, worth.get(asset))
        for asset, mine, told in _unequal(ours, theirs)
    ]


def compare_positions(
    ours: Mapping[str, Decimal], rebuilt: Mapping[str, Decimal], worth: Mapping[str, Decimal]
) -> list[Difference]:
    """By symbol, over all strategies; `worth`: quote units per unit of an asset."""
    return [
        _sums_differ(DifferenceKind.POSITION, symbol, mine, told, worth.get(assets_of(symbol)[0]))
        for symbol, mine, told in _unequal(ours, rebuilt)
    ]


def _unequal(
    ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal]
) -> Iterable[tuple[str, Decimal, Decimal]]:
    for name in sorted({*ours, *theirs}):
        mine, told = ours.get(name, _ZERO), theirs.get(name, _ZERO)
        if mine != told:
            yield name, mine, told


def _sums_differ(
    kind: DifferenceKind, name: str, ours: Decimal, theirs: Decimal, worth: Decimal | None
) -> Difference:
    with exact():
        gap = theirs - ours
        value = None if worth is None else abs(gap) * worth
    return Difference(
        kind=kind, object=name, ours=ours, theirs=theirs, value=value, detail=f"by {_signed(gap)}"
    )


def _signed(amount: Decimal) -> str:
    """With its sign, and without zeros that say nothing."""
    text = f"{amount:+f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def worth_of(marks: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """One unit of each asset in units of the quote asset that most symbols have.

    An asset that is marked only against another one is valued by way of that.
    """
    if not marks:
        return {}
    quotes = Counter(assets_of(symbol)[1] for symbol in sorted(marks))
    main = quotes.most_common(1)[0][0]
    worth = {main: Decimal(1)}
    for symbol, price in sorted(marks.items(), key=lambda each: assets_of(each[0])[1] != main):
        base, quote = assets_of(symbol)
        if quote in worth:
            with exact():
                worth.setdefault(base, price * worth[quote])
    return worth
