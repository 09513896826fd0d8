"""Names that other processes and services rely on: queues, workflow ids, handlers, attributes.

Built by one function each; nothing else in the code spells them out.
"""

from temporalio.common import SearchAttributeKey

ORDERS_QUEUE = "orders"

ACCEPT = "accept"
CANCEL = "cancel"
PROGRESS = "progress"
EXECUTION_REPORT = "execution_report"
PAUSE = "pause"
RESUME = "resume"
RESOLVE = "resolve"
AMEND = "amend"
PRICE_TRIGGER = "price_trigger"
WATCH_ARMED = "watch_armed"

STRATEGY_ID = SearchAttributeKey.for_keyword("StrategyId")
EXCHANGE = SearchAttributeKey.for_keyword("Exchange")
SYMBOL = SearchAttributeKey.for_keyword("Symbol")
SIDE = SearchAttributeKey.for_keyword("Side")
ORDER_TYPE = SearchAttributeKey.for_keyword("OrderType")
ORDER_STATUS = SearchAttributeKey.for_keyword("OrderStatus")
SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[str], ...] = (
    STRATEGY_ID,
    EXCHANGE,
    SYMBOL,
    SIDE,
    ORDER_TYPE,
    ORDER_STATUS,
)


def venue_queue(venue: str, account: str) -> str:
    """Task queue of calls that change something at the venue: submit and cancel."""
    return f"exchange-{venue}-{account}"


def venue_data_queue(venue: str, account: str) -> str:
    """Task queue of reads, and of the account feed."""
    return f"exchange-{venue}-{account}-data"


def account_feed_id(venue: str, account: str) -> str:
    """Workflow id of the one feed of an account; ':' keeps it apart from every order id."""
    return f"account-feed:{venue}:{account}"


def price_watch_id(venue: str, symbol: str) -> str:
    """Workflow id of the one watch of a symbol's prices at a venue, whatever waits for them."""
    return f"price-watch:{venue}:{symbol}"


MADE_ID = "do-"
"""How the ids begin that the tools make for orders whose caller named none."""


def made_order_id(token: str) -> str:
    """The id of an order whose caller named none; `token` is random."""
    return f"{MADE_ID}{token}"


def is_made_id(order_id: str) -> bool:
    """True when nobody chose this id: the same order again may be a mistake."""
    return order_id.startswith(MADE_ID)


def watch_id(order_id: str, index: int) -> str:
    """Id of an order's trigger; a trigger that is armed anew has the next index."""
    return f"{order_id}/{index}"


def preview_id(order_id: str) -> str:
    """Workflow id of the preview of an order that would have this id."""
    return f"preview:{order_id}"


def leg_order_id(execution_id: str, leg: str) -> str:
    """Id of one order of an execution; no caller can choose an order id with a ':'."""
    return f"{execution_id}:{leg}"


def owner_of(order_id: str) -> str:
    """Workflow id of the workflow that works this order."""
    return order_id.partition(":")[0]


def pair_lock(account: str, symbol: str, venues: tuple[str, str]) -> str:
    """One arbitrage at a time per account, symbol and pair of venues."""
    first, second = sorted(venues)
    return f"{account}:{symbol}:{first}:{second}"


def rebalance_lock(account: str, venue: str) -> str:
    """One rebalancing at a time per account at a venue."""
    return f"rebalance:{account}:{venue}"


def settle_id(order_id: str) -> str:
    """Workflow id of the one that settles an order whose own workflow was lost."""
    return f"settle:{order_id}"


def sync_id(venue: str) -> str:
    """Workflow id of the comparison of a venue with the ledger; a schedule adds its time."""
    return f"sync-positions:{venue}"


def symbols_id(venue: str, part: str) -> str:
    """Workflow id of reading a part of a venue's symbols."""
    return f"read-symbols:{venue}:{part}"


def window_id(order_id: str) -> str:
    """Workflow id of reading what the market traded while an order worked."""
    return f"read-window:{order_id}"


def sync_schedule_id(venue: str) -> str:
    """Id of the schedule that compares a venue."""
    return f"sync-positions:{venue}"
