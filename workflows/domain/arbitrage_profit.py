"""What an arbitrage came to: matched and residual quantity, realised and residual profit.

All amounts are in the symbol's quote asset; fees in a third asset are converted at the rate of
fill time by the caller's `rates`, fees in base change the quantities instead of the values. The
sum is kept exact by its definition: `total` is all cash flows plus the residual at its mark, and
what a quotient rounds off moves between `realised` and `residual_pnl`, never out of the sum.

Source: Delta Executor's definitions of two-leg profit (B, S, M, R). It must not know orders,
venues or books.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction

from workflows.domain.exact import exact, rounded

_ZERO = Decimal(0)
_REALISED_PLACES = 12


class MissingRateError(LookupError):
    """A fee was paid in an asset whose rate in quote units is not known."""

    def __init__(self, asset: str) -> None:
        super().__init__(f"no rate for fees in {asset}")
        self.asset = asset


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSum:
    """What all orders of one side executed: base units, and the sum of price times quantity.

    Fees are positive when paid, negative for a rebate. `other_fee` are those in third assets, in
    quote units. `base_fee_value` is what `base_fee` was worth at its own fills' price.
    """

    quantity: Decimal
    quote: Decimal
    base_fee: Decimal
    quote_fee: Decimal
    other_fee: Decimal
    base_fee_value: Decimal = _ZERO

    def plus(self, more: "LegSum") -> "LegSum":
        """Both together, to the last digit."""
        with exact():
            return LegSum(
                **{each.name: getattr(self, each.name) + getattr(more, each.name) for each in _SUMS}
            )


_SUMS = fields(LegSum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The touch where a residual would be traded away, and the taker's fee there (fraction)."""

    bid: Decimal
    ask: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """An arbitrage in numbers. Quantities in base units, all else in quote units.

    `unit_cost` and `unit_proceeds` are all-in (0 for an empty leg), rounded to 18 decimals.
    `residual` is long above 0, short below. `total` is exact whenever there is a mark, and
    `realised + residual_pnl == total` always. `residual_mark` is None without a residual, and
    when no mark was given: the residual then stands at its cost and adds no profit.
    """

    net_bought: Decimal
    net_sold: Decimal
    matched: Decimal
    residual: Decimal
    unit_cost: Decimal
    unit_proceeds: Decimal
    realised: Decimal
    residual_mark: Decimal | None
    residual_pnl: Decimal
    total: Decimal
    fees_total: Decimal
    buy_cost: Decimal
    sell_proceeds: Decimal


def leg_sum(
    quantity: Decimal,
    quote: Decimal,
    fees: Mapping[str, Decimal],
    base: str,
    quote_asset: str,
    rates: Mapping[str, Decimal],
) -> LegSum:
    """Fills of one side: base units, their value, and their fees by asset.

    `rates` are quote units per unit of a third asset at the time of the fills. Raises
    MissingRateError for a fee in a third asset that has none.
    """
    base_fee = fees.get(base, _ZERO)
    other = _ZERO
    for asset, fee in fees.items():
        if asset in (base, quote_asset) or not fee:
            continue
        if asset not in rates:
            raise MissingRateError(asset)
        with exact():
            other += fee * rates[asset]
    return LegSum(
        quantity=quantity,
        quote=quote,
        base_fee=base_fee,
        quote_fee=fees.get(quote_asset, _ZERO),
        other_fee=other,
        base_fee_value=rounded(Fraction(base_fee) * _per_unit(quote, quantity)),
    )


def profit(buys: LegSum, sells: LegSum, marks: Marks | None) -> Profit:
    """The profit of what both sides executed, with the residual at `marks`.

    Without marks a residual is valued at its own cost: `total` is then what is realised.
    """
    with exact():
        bought = buys.quantity - buys.base_fee
        sold = sells.quantity + sells.base_fee
        cost = buys.quote + buys.quote_fee + buys.other_fee
        proceeds = sells.quote - sells.quote_fee - sells.other_fee
        residual, matched = bought - sold, min(bought, sold)
    unit_cost, unit_proceeds = _per_unit(cost, bought), _per_unit(proceeds, sold)
    realised = rounded(Fraction(matched) * (unit_proceeds - unit_cost), _REALISED_PLACES)
    mark = _mark(residual, marks)
    with exact():
        if mark is not None:
            total = proceeds - cost + residual * mark
        elif not residual:
            # nothing is left over: all of the cash is realised, also what a quotient rounds off
            total = realised = proceeds - cost
        else:
            total = realised
        residual_pnl = total - realised
        fees_total = sum(
            (each.quote_fee + each.other_fee + each.base_fee_value for each in (buys, sells)),
            _ZERO,
        )
    return Profit(
        net_bought=bought,
        net_sold=sold,
        matched=matched,
        residual=residual,
        unit_cost=rounded(unit_cost),
        unit_proceeds=rounded(unit_proceeds),
        realised=realised,
        residual_mark=mark,
        residual_pnl=residual_pnl,
        total=total,
        fees_total=fees_total,
        buy_cost=cost,
        sell_proceeds=proceeds,
    )


def _per_unit(value: Decimal, quantity: Decimal) -> Fraction:
    """Quote units per base unit; 0 for an empty leg."""
    return Fraction(value) / Fraction(quantity) if quantity else Fraction(0)


def _mark(residual: Decimal, marks: Marks | None) -> Decimal | None:
    """What a unit of the residual is worth when it is traded away: after the fee."""
    if not residual or marks is None:
        return None
    with exact():
        if residual > 0:
            return marks.bid * (1 - marks.fee)
        return marks.ask * (1 + marks.fee)
