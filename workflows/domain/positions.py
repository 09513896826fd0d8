"""Positions and what they earned: average cost as the truth, first-in-first-out as a view of it.

Rule: the state holds the cost of what is held, never the average, and every fill moves it by one
signed trade of the inventory, net of a fee in the base asset, at the fill's price. For both methods
and after every fill: realised_net + unrealised = cash - fees in third assets + quantity * mark, to
the last digit. Only the cost of a part that is closed is a quotient; it is rounded once, and what
is realised and what stays in the cost take the same figure.

Fills count in the order of (venue time, trade id). Another order keeps quantity, cash and total and
splits them differently. It must not know where fills come from, nor clocks or marks of its own.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

from workflows.domain.exact import exact, rounded
from workflows.domain.orders import Side

_ZERO = Decimal(0)
_COST_PLACES = 30
"""Beyond the 18 decimals of any asset, so that an average of dust is right too."""


class FeeKind(StrEnum):
    """In what a fee was paid, as seen from the symbol that was traded."""

    QUOTE = "quote"
    BASE = "base"
    OTHER = "other"


def base_and_quote(symbol: str) -> tuple[str, str]:
    """The assets of a symbol such as BTC/USDT."""
    base, _, quote = symbol.partition("/")
    return base, quote


def fee_kind(fee_asset: str, symbol: str) -> FeeKind:
    """In what a fee of this asset counts."""
    base, quote = base_and_quote(symbol)
    if fee_asset == quote:
        return FeeKind.QUOTE
    return FeeKind.BASE if fee_asset == base else FeeKind.OTHER


class FillPlace(NamedTuple):
    """Where a fill stands among those of its position: numbers as numbers, before any text."""

    traded_at: Any
    """A moment; of one kind within one position."""
    is_text: bool
    number: int
    trade_id: str
    side: str
    """Both sides of a trade with oneself bear one id."""


def place_of(traded_at: Any, trade_id: str, side: str = "") -> FillPlace:
    """The place of a fill; without `side` it is before both sides of the trade."""
    is_number = trade_id.isascii() and trade_id.isdigit()
    return FillPlace(traded_at, not is_number, int(trade_id) if is_number else 0, trade_id, side)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFill:
    """One fill. Quantity in base units, price in quote units; a negative fee is a rebate.

    `fee_rate`: quote units per unit of a third asset when the fee was paid; 0 until it is known.
    """

    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = _ZERO
    fee_kind: FeeKind = FeeKind.QUOTE
    fee_rate: Decimal = _ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """What a position is worth at `mark`, in quote units."""

    mark: Decimal
    unrealised: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionState:
    """A position at average cost. `quantity` signed, in base units; the rest in quote units.

    `cost` of what is held bears the sign of the quantity. `fees_quote` are all fees, `fees_other`
    those in third assets among them; `cash` is what fills and fees in the quote asset moved.
    """

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realised_gross: Decimal = _ZERO
    fees_quote: Decimal = _ZERO
    fees_other: Decimal = _ZERO
    cash: Decimal = _ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Quote units per base unit, rounded for show; None when flat."""
        return average(self.cost, self.quantity)

    @property
    def realised_net(self) -> Decimal:
        """Realised less all fees."""
        with exact():
            return self.realised_gross - self.fees_quote

    def valued(self, mark: Decimal) -> Valuation:
        """At a mark; fees are not in `unrealised`."""
        return _valued(self.quantity, self.cost, self.realised_net, mark)


def book(state: PositionState, fill: PositionFill) -> PositionState:
    """The position after one more fill."""
    with exact():
        moved, value, fee_value = _moves(fill)
        cost, gross = _at_average(state, moved, fill.price)
        fee_cash = fill.fee if fill.fee_kind is FeeKind.QUOTE else _ZERO
        is_other = fill.fee_kind is FeeKind.OTHER
        return PositionState(
            quantity=state.quantity + moved,
            cost=cost,
            realised_gross=state.realised_gross + gross,
            fees_quote=state.fees_quote + fee_value,
            fees_other=state.fees_other + (fee_value if is_other else _ZERO),
            cash=state.cash - value - fee_cash,
        )


def with_fee_valued(state: PositionState, fee: Decimal, rate: Decimal) -> PositionState:
    """The position once a fee in a third asset, counted as nothing so far, has its rate."""
    with exact():
        return replace(
            state,
            fees_quote=state.fees_quote + fee * rate,
            fees_other=state.fees_other + fee * rate,
        )


def average(cost: Decimal, quantity: Decimal) -> Decimal | None:
    """Cost of one base unit, to 18 decimals; None of nothing."""
    return None if not quantity else rounded(Fraction(cost) / Fraction(quantity))


def _moves(fill: PositionFill) -> tuple[Decimal, Decimal, Decimal]:
    """Base units net of the fee, quote units of the trade (both signed), value of the fee."""
    traded = fill.side.sign * fill.quantity
    value = traded * fill.price
    if fill.fee_kind is FeeKind.BASE:
        return traded - fill.fee, value, fill.fee * fill.price
    rate = fill.fee_rate if fill.fee_kind is FeeKind.OTHER else Decimal(1)
    return traded, value, fill.fee * rate


def _at_average(state: PositionState, moved: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
    """Cost afterwards and what was realised; `moved` base units, signed."""
    held = state.quantity
    if held * moved >= 0:
        return state.cost + moved * price, _ZERO
    if abs(moved) >= abs(held):
        # all of it at this price, and what is left over is opened at it
        return (held + moved) * price, held * price - state.cost
    part = rounded(Fraction(state.cost) * Fraction(-moved) / Fraction(held), _COST_PLACES)
    return state.cost - part, -moved * price - part


def _valued(quantity: Decimal, cost: Decimal, net: Decimal, mark: Decimal) -> Valuation:
    with exact():
        unrealised = quantity * mark - cost
        return Valuation(mark=mark, unrealised=unrealised, total=net + unrealised)


# --- first in, first out ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What is left of one fill: signed base units, and their price in quote units."""

    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoView:
    """The same position with the oldest lots closed first. Units as in PositionState."""

    lots: tuple[Lot, ...]
    realised_gross: Decimal
    fees_quote: Decimal

    @property
    def quantity(self) -> Decimal:
        """Signed base units."""
        with exact():
            return sum((lot.quantity for lot in self.lots), _ZERO)

    @property
    def cost(self) -> Decimal:
        """Quote units, signed as the quantity."""
        with exact():
            return sum((lot.quantity * lot.price for lot in self.lots), _ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Quote units per base unit, rounded for show; None when flat."""
        return average(self.cost, self.quantity)

    @property
    def realised_net(self) -> Decimal:
        """Realised less all fees."""
        with exact():
            return self.realised_gross - self.fees_quote

    def valued(self, mark: Decimal) -> Valuation:
        """At a mark: the total is that of average cost."""
        return _valued(self.quantity, self.cost, self.realised_net, mark)


class FifoLots:
    """The lots of one position while its fills come in, in their order.

    `flat` is where it began, when it did not begin with nothing: without a position both methods
    have realised the same. Raises ValueError for a beginning that holds something.
    """

    def __init__(self, flat: PositionState | None = None) -> None:
        start = flat or PositionState()
        if start.quantity:
            raise ValueError("only a flat position has no lots")
        self._lots: deque[Lot] = deque()
        self._gross, self._fees = start.realised_gross, start.fees_quote

    def add(self, fill: PositionFill) -> None:
        """One more fill."""
        with exact():
            moved, _, fee_value = _moves(fill)
            self._fees += fee_value
            self._close_and_open(moved, fill.price)

    def _close_and_open(self, moved: Decimal, price: Decimal) -> None:
        while moved and self._lots and self._lots[0].quantity * moved < 0:
            oldest = self._lots[0]
            closed = min(abs(moved), abs(oldest.quantity)).copy_sign(oldest.quantity)
            self._gross += closed * (price - oldest.price)
            moved += closed
            if closed == oldest.quantity:
                self._lots.popleft()
            else:
                self._lots[0] = replace(oldest, quantity=oldest.quantity - closed)
        if moved:
            self._lots.append(Lot(quantity=moved, price=price))

    def view(self) -> FifoView:
        """As it is now."""
        return FifoView(lots=tuple(self._lots), realised_gross=self._gross, fees_quote=self._fees)


def fifo(fills: Iterable[PositionFill]) -> FifoView:
    """The lots that are left of all fills of one position, in their order."""
    lots = FifoLots()
    for fill in fills:
        lots.add(fill)
    return lots.view()
