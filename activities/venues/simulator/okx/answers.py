"""OKX's envelope: every answer is `code`, `msg` and a list of `data`.

Rule: a query that fails has its code at the top and no data. An order that fails has it in its row
(`sCode`), under HTTP 200 and a `code` that only counts: "0" all went well, "1" none, "2" some.
"""

from collections.abc import Sequence

from activities.venues.simulator.okx.errors import ApiError
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.seams import Answer, RequestContext

PREFIX = "/api/v5"
PLACE, PLACE_MANY = "/trade/order", "/trade/batch-orders"
CANCEL, CANCEL_MANY = "/trade/cancel-order", "/trade/cancel-batch-orders"
IN_ROWS = frozenset({PLACE, PLACE_MANY, CANCEL, CANCEL_MANY})

_ALL, _NONE, _SOME = "0", "1", "2"
_MESSAGES = {_ALL: "", _NONE: "All operations failed", _SOME: "Bulk operation partially succeeded"}


def data(rows: Sequence[Json]) -> Answer:
    """A query that went well."""
    return Answer(status=200, body={"code": "0", "msg": "", "data": list(rows)})


def outcome(rows: Sequence[Json], arrived_ms: int, now_ms: int) -> Answer:
    """What became of orders. The code of the answer is that of the first one that failed."""
    failed = [int(row["sCode"]) for row in rows if row["sCode"] != "0"]
    code = _ALL if not failed else (_NONE if len(failed) == len(rows) else _SOME)
    body = {
        "code": code,
        "msg": _MESSAGES[code],
        "data": list(rows),
        "inTime": f"{arrived_ms}000",
        "outTime": f"{now_ms}000",
    }
    return Answer(status=200, body=body, code=failed[0] if failed else 0)


def failed_row(error: ApiError, client_order_id: str, now_ms: int) -> Json:
    """The row of an order that was refused."""
    return {
        "ordId": "",
        "clOrdId": client_order_id,
        "tag": "",
        "ts": str(now_ms),
        "sCode": str(error.code),
        "sMsg": error.message,
    }


def refusal(error: ApiError, request: RequestContext, now_ms: int) -> Answer:
    """The answer that refuses `request`, in a row where OKX tells it so."""
    path = request.path.removeprefix(PREFIX)
    if request.method == "POST" and path in IN_ROWS and not error.is_whole:
        named = request.params.get("clOrdId", "")
        return outcome([failed_row(error, named, now_ms)], now_ms, now_ms)
    body = {"code": str(error.code), "msg": error.message, "data": []}
    return Answer(status=error.status, body=body, code=error.code)
