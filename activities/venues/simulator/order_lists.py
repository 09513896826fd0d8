"""What the two orders of a one-cancels-the-other list must be to each other.

Rule: the one above acts above the last price and the one below acts below it; a limit order acts at
its price, a contingent one at its stop price. Which types go together is the dialect's to say.
Pure. Knows nothing of funds or books.
"""

from decimal import Decimal

from activities.venues.simulator.orders import ZERO, NewOrder, NewOrderList, Order, OrderList
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.state import ExchangeState


def check_prices(wanted: NewOrderList, last: Decimal) -> None:
    """Price above > last price > price below; a trailing order without a stop price has none."""
    above, below = _acts_at(wanted.above), _acts_at(wanted.below)
    if (above and above <= last) or (below and below >= last):
        raise RefusedError(Reason.PRICE_RELATION)


def check_ids(state: ExchangeState, account: str, wanted: NewOrderList) -> None:
    """Neither the list nor its orders bear an id that is in use."""
    if state.has_open_list(account, wanted.client_order_id):
        raise RefusedError(Reason.DUPLICATE_ORDER)
    if wanted.above.client_order_id == wanted.below.client_order_id:
        raise RefusedError(Reason.DUPLICATE_ORDER)


def contingent_first(wanted: NewOrderList) -> tuple[NewOrder, NewOrder]:
    """The two orders as they are numbered: the one that waits for a trigger comes first."""
    if wanted.below.type.is_contingent:
        return wanted.below, wanted.above
    return wanted.above, wanted.below


def open_legs(state: ExchangeState, found: OrderList) -> list[Order]:
    """The orders of a list that are open."""
    legs = [state.orders[each] for each in found.order_ids]
    return [leg for leg in legs if leg.status.is_open]


def _acts_at(order: NewOrder) -> Decimal:
    if order.type.is_contingent:
        return order.stop_price
    assert order.price > ZERO, "the filters have let it pass"
    return order.price
