"""OKX as the faults see it: what its requests are about, and its refusals word for word.

Rule: pure functions on what passes the seam, as `faults/dialect.py` asks for them. Where the
venue's documents give a text, it is theirs.
"""

from collections.abc import Mapping
from typing import Any

from activities.venues.simulator.accounts import Balance
from activities.venues.simulator.faults.dialect import Purpose, Reading, Trouble, VenueError
from activities.venues.simulator.okx import answers, errors, order_shapes, shapes
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

_FIRST_CODE_OF_ORDERS = 51_000
"""Lower codes are about the request as a whole."""
_PURPOSES: Mapping[tuple[str, str], Purpose] = {
    ("POST", answers.PLACE): Purpose.SUBMIT,
    ("POST", answers.PLACE_MANY): Purpose.SUBMIT,
    ("POST", answers.CANCEL): Purpose.CANCEL,
    ("POST", answers.CANCEL_MANY): Purpose.CANCEL,
    ("GET", answers.PLACE): Purpose.LOOK_UP,
    ("GET", "/trade/fills"): Purpose.OWN_TRADES,
    ("GET", "/trade/fills-history"): Purpose.OWN_TRADES,
    ("GET", "/account/balance"): Purpose.BALANCES,
}


def _error(error: errors.ApiError) -> VenueError:
    return VenueError(code=error.code, message=error.message, status=error.status)


_ERRORS: Mapping[Trouble, VenueError] = {
    Trouble.REJECTED: VenueError(
        code=51020, message="Your order should meet or exceed the minimum order amount.", status=200
    ),
    Trouble.NO_SUCH_ORDER: _error(errors.no_such_order()),
    Trouble.TOO_MANY_REQUESTS: VenueError(
        code=50011,
        message="Rate limit reached. Please refer to API documentation and throttle requests "
        "accordingly.",
        status=429,
    ),
    Trouble.BANNED: VenueError(code=50011, message="User requests too frequent.", status=429),
    Trouble.SERVER_ERROR: VenueError(
        code=50026, message="System error. Try again later.", status=500
    ),
    Trouble.MAINTENANCE: VenueError(
        code=50001, message="Service temporarily unavailable. Try again later.", status=503
    ),
    Trouble.BAD_TIMESTAMP: _error(errors.timestamp_expired()),
    Trouble.OUTCOME_UNKNOWN: VenueError(
        code=50004,
        message="API endpoint request timeout (does not mean that the request was successful or "
        "failed, please check the request result).",
        status=400,
    ),
}
_UNKNOWN: Mapping[int, str] = {50013: "Systems are busy. Please try again later."}


class OkxFaults:
    """See FaultDialect."""

    errors = _ERRORS
    unknown_outcomes = _UNKNOWN
    amount_fields = ("accFillSz", "sz", "px", "fillSz", "fillPx", "availBal", "cashBal", "eq", "ts")
    name_by_hand = order_shapes.UNNAMED
    essential_fields = ("ordId", "state", "accFillSz", "tradeId", "ts", "details")

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange
        specs = exchange.engine.state.specs
        self._symbols = {shapes.instrument_id(spec): name for name, spec in specs.items()}

    def read(self, request: RequestContext) -> Reading:
        """See FaultDialect."""
        sent = request.params
        path = request.path.removeprefix(answers.PREFIX)
        purpose = _PURPOSES.get((request.method, path), Purpose.OTHER)
        number = sent.get("ordId", "")
        is_number = number.isdecimal() and number.isascii()
        return Reading(
            purpose=purpose,
            symbol=self._symbols.get(sent.get("instId", "")),
            client_order_id=sent.get("clOrdId") or None,
            order_id=int(number) if is_number and purpose is not Purpose.SUBMIT else None,
        )

    def refused(self, error: VenueError, request: RequestContext) -> Answer:
        """See FaultDialect."""
        is_whole = abs(error.code) < _FIRST_CODE_OF_ORDERS
        told = errors.ApiError(error.code, error.message, error.status, is_whole=is_whole)
        return answers.refusal(told, request, self._exchange.now_ms())

    def own_trades(self, body: Any) -> list[Any] | None:
        """See FaultDialect. OKX lists the newest first."""
        rows = body.get("data") if isinstance(body, dict) else None
        return rows[::-1] if isinstance(rows, list) else None

    def with_own_trades(self, body: Any, rows: list[Any]) -> Any:
        """See FaultDialect."""
        return {**body, "data": rows[::-1]}

    def with_balances(self, body: Any, balances: Mapping[str, Balance]) -> Any:
        """See FaultDialect."""
        rows = body.get("data") if isinstance(body, dict) else None
        if not rows:
            return body
        details = shapes.balance_rows(balances, self._exchange.now_ms())
        return {**body, "data": [{**rows[0], "details": details}]}
