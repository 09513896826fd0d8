"""What a rebalancing would trade: one portfolio, its target weights, and the adjustments between.

Weights come from values (amount times price), never from amounts. Fees are solved for, so that
the goals are fractions of what is left after them. Amounts in base units, values and prices in
units of the cash asset. It knows of no venues: `rebalancing_venues` splits the adjustments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact, floored, rounded, times
from workflows.domain.orders import Side

BELOW_MINIMUM = "below minimum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """Target weights, fractions of the whole value; what they leave of 1 stays in cash.

    An asset is out of its band when its weight is further from the target than the larger of
    `band_abs` and `band_rel` times the target. Adjustments worth less than `min_trade_value`
    are left out.
    """

    targets: Mapping[str, Decimal]
    cash: str
    band_abs: Decimal = Decimal(0)
    band_rel: Decimal = Decimal(0)
    to_edge: bool = False
    all_if_any: bool = False
    min_trade_value: Decimal = Decimal(0)

    def target(self, asset: str) -> Decimal:
        """The asset's weight; none is 0."""
        return self.targets.get(asset, Decimal(0))

    def band(self, asset: str) -> Fraction:
        """How far its weight may be from the target."""
        relative = Fraction(self.band_rel) * Fraction(self.target(asset))
        return max(Fraction(self.band_abs), relative)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One asset over all venues: the amount, its price (None: unknown), and how it trades.

    `fee` is the fraction of the value that trading it costs, `step` its finest lot.
    """

    amount: Decimal
    price: Decimal | None
    fee: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One asset's trade, in whole lots; `value` is at the price that the weights are made with."""

    asset: str
    side: Side
    quantity: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An adjustment that is left out, and why. `is_cut`: one order may not have so much."""

    asset: str
    side: Side
    quantity: Decimal
    value: Decimal
    reason: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalancing:
    """The plan: every asset out of its band is in `sells`, in `buys` or in `skipped`."""

    value: Decimal
    value_after_fees: Decimal
    weights: dict[str, Decimal]
    out_of_band: tuple[str, ...]
    sells: tuple[Adjustment, ...]
    buys: tuple[Adjustment, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An asset that is to be traded until it is worth `goal` of the value after fees."""

    asset: str
    goal: Fraction
    value: Fraction
    holding: Holding


def plan_rebalancing(
    aims: Aims, holdings: Mapping[str, Holding], cash: Decimal
) -> Rebalancing | Denied:
    """The plan for these holdings beside `cash`; a missing price refuses all of it."""
    universe = _universe(aims, holdings)
    for asset in universe:
        if asset not in holdings or not holdings[asset].price:
            return _no_price(aims, asset)
    values = {asset: _value(holdings[asset]) for asset in universe}
    total = sum(values.values(), Fraction(cash))
    if total <= 0:
        return Denied(code=DenialCode.INSUFFICIENT_FUNDS, detail="portfolio_value=0")
    weights = {asset: value / total for asset, value in values.items()}
    out = tuple(asset for asset in universe if _is_out(aims, asset, weights[asset]))
    traded = universe if out and aims.all_if_any else out
    wanted = [
        _Wanted(asset, _goal(aims, asset, weights[asset]), values[asset], holdings[asset])
        for asset in traded
    ]
    after = _value_after_fees(total, wanted)
    trades, skipped = _adjustments(aims, wanted, after)
    return Rebalancing(
        value=rounded(total),
        value_after_fees=rounded(after),
        weights={asset: rounded(weight) for asset, weight in weights.items()}
        | {aims.cash: rounded(Fraction(cash) / total)},
        out_of_band=out,
        sells=tuple(each for each in trades if each.side is Side.SELL),
        buys=tuple(each for each in trades if each.side is Side.BUY),
        skipped=skipped,
    )


def below_minimum(trade: Adjustment, min_trade_value: Decimal) -> Skipped | None:
    """The trade as skipped, when it is less than a lot or less than the caller wants traded."""
    if not trade.quantity:
        return skip(trade, trade.quantity, f"{BELOW_MINIMUM}: less than one lot")
    if trade.value < min_trade_value:
        return skip(trade, trade.quantity, f"{BELOW_MINIMUM}: min_trade_value={min_trade_value:f}")
    return None


def skip(trade: Adjustment, quantity: Decimal, reason: str, *, is_cut: bool = False) -> Skipped:
    """This much of the trade is left out."""
    return Skipped(
        asset=trade.asset,
        side=trade.side,
        quantity=quantity,
        value=value_of(trade, quantity),
        reason=reason,
        is_cut=is_cut,
    )


def value_of(trade: Adjustment, quantity: Decimal) -> Decimal:
    """The value of another quantity at the trade's price."""
    if quantity == trade.quantity:
        return trade.value
    return rounded(Fraction(trade.value) / Fraction(trade.quantity) * Fraction(quantity))


def scaled(trade: Adjustment, share: Fraction, step: Decimal) -> Adjustment:
    """A share of the trade, floored to the lot."""
    lots = int(Fraction(trade.quantity) * share / Fraction(step))
    quantity = times(step, lots)
    return Adjustment(
        asset=trade.asset, side=trade.side, quantity=quantity, value=value_of(trade, quantity)
    )


def _universe(aims: Aims, holdings: Mapping[str, Holding]) -> tuple[str, ...]:
    """What is held or has a target, cash aside, in an order of its own."""
    held = [asset for asset, holding in holdings.items() if holding.amount]
    return tuple(sorted({*held, *aims.targets} - {aims.cash}))


def _no_price(aims: Aims, asset: str) -> Denied:
    field = "targets" if asset in aims.targets else "assets"
    return Denied(code=DenialCode.MISSING_PRICE, field=field, detail=f"asset={asset}")


def _value(holding: Holding) -> Fraction:
    return Fraction(holding.amount) * Fraction(holding.price or 0)


def _is_out(aims: Aims, asset: str, weight: Fraction) -> bool:
    return abs(weight - Fraction(aims.target(asset))) > aims.band(asset)


def _goal(aims: Aims, asset: str, weight: Fraction) -> Fraction:
    """Where the weight is to go. Toward an edge, a weight inside its band is there already."""
    target, band = Fraction(aims.target(asset)), aims.band(asset)
    if not aims.to_edge:
        return target
    return min(max(weight, target - band), target + band)


def _value_after_fees(total: Fraction, wanted: list[_Wanted]) -> Fraction:
    """The root of V' = V - sum of fee * |goal * V' - value|, exactly.

    Newton's steps from V down: the right side is piecewise linear and the left minus it convex,
    so each step solves one piece, and no piece is met twice.
    """
    after = total
    for _ in range(len(wanted) + 2):
        slope, level = Fraction(1), total
        for each in wanted:
            fee = Fraction(each.holding.fee)
            signed = fee if each.goal * after >= each.value else -fee
            slope += signed * each.goal
            level += signed * each.value
        solved = level / slope
        if solved == after:
            break
        after = solved
    return after


def _adjustments(
    aims: Aims, wanted: list[_Wanted], after: Fraction
) -> tuple[list[Adjustment], tuple[Skipped, ...]]:
    trades: list[Adjustment] = []
    skipped: list[Skipped] = []
    for each in wanted:
        excess = each.value - each.goal * after
        if not excess:
            continue
        trade = _adjustment(each, excess)
        left_out = below_minimum(trade, aims.min_trade_value)
        if left_out is None:
            trades.append(trade)
        else:
            skipped.append(left_out)
    return trades, tuple(skipped)


def _adjustment(wanted: _Wanted, excess: Fraction) -> Adjustment:
    """Floored toward zero. A goal of 0 sells the whole holding, as far as lots go."""
    holding = wanted.holding
    price = holding.price
    assert price, "every asset of the universe has its price"
    quantity = times(holding.step, int(abs(excess) / Fraction(price) / Fraction(holding.step)))
    if excess > 0:
        quantity = min(quantity, floored(holding.amount, holding.step))
    with exact():
        value = quantity * price
    side = Side.SELL if excess > 0 else Side.BUY
    return Adjustment(asset=wanted.asset, side=side, quantity=quantity, value=value)
