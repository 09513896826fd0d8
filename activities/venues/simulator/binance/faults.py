"""Binance as the faults see it: what its requests are about, and its refusals word for word.

Rule: pure functions on what passes the seam, as `faults/dialect.py` asks for them. Where the
venue's documents give a text, it is theirs.
"""

from collections.abc import Mapping
from typing import Any

from activities.venues.simulator.accounts import Balance
from activities.venues.simulator.binance import errors, shapes
from activities.venues.simulator.binance.rest import PREFIX, refusal
from activities.venues.simulator.faults.dialect import Purpose, Reading, Trouble, VenueError
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

_TOO_MANY = (
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
_TIMEOUT = (
    "Timeout waiting for response from backend server. "
    "Send status unknown; execution status unknown."
)
_PURPOSES: Mapping[tuple[str, str], Purpose] = {
    ("POST", "/order"): Purpose.SUBMIT,
    ("DELETE", "/order"): Purpose.CANCEL,
    ("DELETE", "/openOrders"): Purpose.CANCEL,
    ("GET", "/order"): Purpose.LOOK_UP,
    ("POST", "/orderList/oco"): Purpose.SUBMIT,
    ("DELETE", "/orderList"): Purpose.CANCEL,
    ("GET", "/orderList"): Purpose.LOOK_UP,
    ("GET", "/myTrades"): Purpose.OWN_TRADES,
    ("GET", "/account"): Purpose.BALANCES,
}


def _error(error: errors.ApiError) -> VenueError:
    return VenueError(code=error.code, message=error.message, status=error.status)


_ERRORS: Mapping[Trouble, VenueError] = {
    Trouble.REJECTED: VenueError(code=-2010, message="Order was rejected.", status=400),
    Trouble.NO_SUCH_ORDER: _error(errors.no_such_order()),
    Trouble.TOO_MANY_REQUESTS: VenueError(code=-1003, message=_TOO_MANY, status=429),
    Trouble.BANNED: VenueError(code=-1003, message=_TOO_MANY, status=418),
    Trouble.SERVER_ERROR: VenueError(code=-1000, message="An unknown error occurred.", status=500),
    Trouble.MAINTENANCE: VenueError(
        code=-1016, message="This service is no longer available.", status=503
    ),
    Trouble.BAD_TIMESTAMP: _error(errors.outside_window()),
    Trouble.OUTCOME_UNKNOWN: VenueError(code=-1007, message=_TIMEOUT, status=500),
}
_UNKNOWN: Mapping[int, str] = {
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
}


class BinanceFaults:
    """See FaultDialect."""

    errors = _ERRORS
    unknown_outcomes = _UNKNOWN
    amount_fields = ("executedQty", "origQty", "price", "qty", "free", "bidPrice", "serverTime")
    name_by_hand = "web_"
    essential_fields = ("orderId", "status", "executedQty", "id", "serverTime", "balances")

    def __init__(self, exchange: PaperExchange) -> None:
        specs = exchange.engine.state.specs
        self._symbols = {shapes.venue_symbol(spec): name for name, spec in specs.items()}

    def read(self, request: RequestContext) -> Reading:
        """See FaultDialect."""
        sent = request.params
        symbol = self._symbols.get(sent.get("symbol", ""))
        purpose = _PURPOSES.get((request.method, request.path.removeprefix(PREFIX)), Purpose.OTHER)
        if purpose is Purpose.SUBMIT:
            client_id = sent.get("newClientOrderId", sent.get("listClientOrderId"))
            return Reading(purpose=purpose, symbol=symbol, client_order_id=client_id)
        return Reading(
            purpose=purpose,
            symbol=symbol,
            client_order_id=sent.get("origClientOrderId", sent.get("listClientOrderId")),
            order_id=_number(sent.get("orderId", "")),
            list_id=_number(sent.get("orderListId", "")),
        )

    def refused(self, error: VenueError, request: RequestContext) -> Answer:
        """See FaultDialect. That an order list does not exist has a code of its own."""
        of_list = request.path.removeprefix(PREFIX) == "/orderList"
        if of_list and error == _ERRORS[Trouble.NO_SUCH_ORDER]:
            return refusal(errors.no_such_list())
        return refusal(errors.ApiError(error.code, error.message, error.status))

    def own_trades(self, body: Any) -> list[Any] | None:
        """See FaultDialect."""
        return body if isinstance(body, list) else None

    def with_own_trades(self, body: Any, rows: list[Any]) -> Any:  # noqa: ARG002 (the rows are all)
        """See FaultDialect."""
        return rows

    def with_balances(self, body: Any, balances: Mapping[str, Balance]) -> Any:
        """See FaultDialect."""
        if not isinstance(body, dict) or "balances" not in body:
            return body
        return {**body, "balances": shapes.balance_rows(dict(balances))}


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() else None
