"""Whether a venue takes an order: its filters, its prices, and the funds of the account.

Rule: a check raises RefusedError and changes nothing. What is checked here is one order by itself;
`order_lists.py` knows what two orders of a list must be to each other.
"""

from decimal import Decimal

from activities.venues.simulator import filters, matching, triggers
from activities.venues.simulator.accounts import paid_asset_of
from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.orders import ZERO, NewOrder, OrderType, Side
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.state import ExchangeState


def guard_of(account: str, wanted: NewOrder) -> matching.Guard:
    """What keeps an order from trading with others of its account."""
    return matching.Guard(owner=account, mode=wanted.self_trade)


def quantity_of(
    spec: SymbolSpec, book: OrderBook, account: str, wanted: NewOrder
) -> tuple[Decimal, bool]:
    """Base quantity to trade, and whether the book ends before a wanted cost is spent."""
    if wanted.quote_quantity is None:
        assert wanted.quantity is not None, "an order has a quantity or a cost"
        return wanted.quantity, False
    filters.check_notional(spec, wanted.quote_quantity)
    guard = guard_of(account, wanted)
    return matching.affordable(book, wanted.side, wanted.quote_quantity, spec.lot, guard)


def check_rules(
    spec: SymbolSpec, wanted: NewOrder, quantity: Decimal, last: Decimal, *, book_ended: bool
) -> None:
    """The filters of the symbol; `last` is the price of the last trade."""
    if wanted.type.has_limit:
        filters.check_price(spec, wanted.price)
    if wanted.stop_price:
        filters.check_price(spec, wanted.stop_price)
    if quantity or not book_ended:
        filters.check_quantity(spec, quantity)
    if wanted.iceberg_quantity:
        filters.check_iceberg(spec, wanted.iceberg_quantity, quantity)
    if wanted.trailing_delta:
        filters.check_trailing(spec, wanted)
    if wanted.quote_quantity is None:
        filters.check_notional(spec, (wanted.price or wanted.stop_price or last) * quantity)


def check_account(state: ExchangeState, account: str, wanted: NewOrder) -> None:
    """The id is not that of an open order, and there are not too many of the kind."""
    if state.has_open(account, wanted.client_order_id):
        raise RefusedError(Reason.DUPLICATE_ORDER)
    spec = state.specs[wanted.symbol]
    filters.check_numbers(spec, wanted, state.open_orders(account, wanted.symbol))


def check_market(book: OrderBook, wanted: NewOrder, last: Decimal) -> None:
    """What the market says to it: a post-only order rests, a trigger is still ahead."""
    if would_take(book, wanted) and not wanted.ends_if_taking:
        raise RefusedError(Reason.WOULD_TAKE)
    if triggers.is_through(wanted, last):
        raise RefusedError(Reason.WOULD_TRIGGER)


def would_take(book: OrderBook, wanted: NewOrder) -> bool:
    """Whether this is a post-only order that would take liquidity."""
    return wanted.type is OrderType.LIMIT_MAKER and matching.crosses(
        book, wanted.side, wanted.price
    )


def lock_price(wanted: NewOrder, last: Decimal) -> Decimal:
    """What an order without a limit keeps locked per unit while it waits; zero for all others."""
    if not wanted.type.is_contingent or wanted.type.has_limit:
        return ZERO
    return wanted.stop_price or last


def funds_needed(
    spec: SymbolSpec,
    book: OrderBook,
    account: str,
    wanted: NewOrder,
    quantity: Decimal,
    last: Decimal,
) -> tuple[str, Decimal]:
    """Asset and amount that must be free for the order."""
    asset = paid_asset_of(spec, wanted.side)
    if wanted.side is Side.SELL:
        return asset, quantity
    if wanted.type is not OrderType.MARKET:
        return asset, (wanted.price or lock_price(wanted, last)) * quantity
    fills = matching.preview(book, wanted.side, quantity, guard=guard_of(account, wanted))
    return asset, sum((fill.price * fill.quantity for fill in fills), ZERO)
