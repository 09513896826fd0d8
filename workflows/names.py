"""Names that other processes and services rely on: queues, workflow ids, handlers, attributes.

Built by one function each; nothing else in the code spells them out.
"""

from temporalio.common import SearchAttributeKey

ORDERS_QUEUE = "orders"

ACCEPT = "accept"
CANCEL = "cancel"
PROGRESS = "progress"
EXECUTION_REPORT = "execution_report"

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
