"""When a trade triggers a waiting order, by the rules of Binance's trailing-stop FAQ.

Rule: pure; the last trade's price decides, and reaching a price counts as passing it. Stop-losses
of buys and take-profits of sells wait above the market, the others below. A trailing order follows
the market from its acceptance, or from the first trade at or through its stop price; that trade
becomes its extreme and cannot trigger it. Knows nothing of books or events.
"""

from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.orders import ZERO, NewOrder, Order, OrderType, Side

_BIPS = Decimal(10_000)
_STOPS = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a trade means to a waiting order; `extreme` is zero unless there is a new one."""

    fires: bool = False
    extreme: Decimal = ZERO


def waits_above(type: OrderType, side: Side) -> bool:
    """Whether a contingent order waits for the price to rise; else it waits for a fall."""
    return (type in _STOPS) is (side is Side.BUY)


def is_through(order: NewOrder | Order, price: Decimal) -> bool:
    """Whether `price` has reached the order's stop price; never, if it has none."""
    if not order.stop_price:
        return False
    if waits_above(order.type, order.side):
        return price >= order.stop_price
    return price <= order.stop_price


def first_extreme(wanted: NewOrder, last: Decimal) -> Decimal:
    """The extreme of a new order: that of a trailing one without a stop price is the last price."""
    return last if wanted.trailing_delta and not wanted.stop_price else ZERO


def observe(order: Order, price: Decimal) -> Seen:
    """What a trade at `price` means to a waiting order."""
    if not order.trailing_delta:
        return Seen(fires=is_through(order, price))
    if not order.extreme:
        return Seen(extreme=price if is_through(order, price) else ZERO)
    better = price > order.extreme if order.side is Side.SELL else price < order.extreme
    if better:
        return Seen(extreme=price)
    share = order.trailing_delta / _BIPS
    if order.side is Side.SELL:
        return Seen(fires=price <= order.extreme * (1 - share))
    return Seen(fires=price >= order.extreme * (1 + share))
