"""Exchange filters: ticks, lots, notionals, parts of icebergs, deltas, numbers of open orders.

Rule: pure checks; the first broken filter is raised as a refusal. Knows nothing of balances.
"""

from collections.abc import Iterable
from decimal import Decimal

from activities.venues.simulator import triggers
from activities.venues.simulator.orders import NewOrder, Order
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import SymbolSpec


def check_price(spec: SymbolSpec, price: Decimal) -> None:
    """PRICE_FILTER: on the tick, between one tick and the maximum (quote per base)."""
    if not spec.tick <= price <= spec.max_price or price % spec.tick:
        raise RefusedError(Reason.PRICE_FILTER)


def check_quantity(spec: SymbolSpec, quantity: Decimal) -> None:
    """LOT_SIZE: whole lots, between the least and the largest quantity (base)."""
    if not spec.least_quantity <= quantity <= spec.max_quantity or quantity % spec.lot:
        raise RefusedError(Reason.LOT_SIZE)


def check_notional(spec: SymbolSpec, notional: Decimal) -> None:
    """NOTIONAL: price x quantity (quote) between the minimum and the maximum."""
    if not spec.min_notional <= notional <= spec.max_notional:
        raise RefusedError(Reason.NOTIONAL)


def check_iceberg(spec: SymbolSpec, shown: Decimal, quantity: Decimal) -> None:
    """What is shown is a quantity like any other; the parts are not more than ICEBERG_PARTS."""
    check_quantity(spec, shown)
    if shown > quantity:
        raise RefusedError(Reason.ICEBERG_EXCEEDS)
    if quantity > shown * spec.iceberg_parts:
        raise RefusedError(Reason.ICEBERG_PARTS)


def check_trailing(spec: SymbolSpec, wanted: NewOrder) -> None:
    """TRAILING_DELTA: the delta (bips) within the range of its direction."""
    above = triggers.waits_above(wanted.type, wanted.side)
    legal = spec.trailing_above if above else spec.trailing_below
    if not legal.least <= wanted.trailing_delta <= legal.most:
        raise RefusedError(Reason.TRAILING_DELTA)


def check_numbers(spec: SymbolSpec, wanted: NewOrder, open_orders: Iterable[Order]) -> None:
    """MAX_NUM_ICEBERG_ORDERS and MAX_NUM_ALGO_ORDERS, of one account in one symbol."""
    if not wanted.iceberg_quantity and not wanted.type.is_contingent:
        return
    held = list(open_orders)
    icebergs = sum(1 for order in held if order.iceberg_quantity)
    if wanted.iceberg_quantity and icebergs >= spec.max_iceberg_orders:
        raise RefusedError(Reason.MAX_NUM_ICEBERG_ORDERS)
    algos = sum(1 for order in held if order.type.is_contingent)
    if wanted.type.is_contingent and algos >= spec.max_algo_orders:
        raise RefusedError(Reason.MAX_NUM_ALGO_ORDERS)
