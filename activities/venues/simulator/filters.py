"""Exchange filters: the tick of prices, the lot of quantities, the least and largest notional.

Rule: pure checks; the first broken filter is raised as a refusal. Knows nothing of balances.
"""

from decimal import Decimal

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
