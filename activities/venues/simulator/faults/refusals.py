"""Answers that refuse a request as Binance and what stands before it do.

Rule: pure functions from options to answers; nothing was executed. Where the venue's documents give
a text, it is theirs.
"""

from collections.abc import Callable, Mapping

from activities.venues.simulator.binance import errors
from activities.venues.simulator.binance.rest import refusal
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.seams import NOT_ANSWERED, Answer, Delivery

_TOO_MANY = (
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
_FIREWALL = b"""<html>
<head><title>403 Forbidden</title></head>
<body><center><h1>403 Forbidden</h1></center><hr><center>Request blocked.</center></body>
</html>
"""
_MAINTENANCE = b"""<html>
<head><title>503 Service Temporarily Unavailable</title></head>
<body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>nginx</center></body>
</html>
"""
_UNKNOWN = {
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. "
    "Send status unknown; execution status unknown.",
}


def page(status: int, html: bytes) -> Answer:
    """An HTML page in place of JSON."""
    return Answer(status=status, raw=html, content_type="text/html")


def lost(delivery: Delivery) -> Answer:
    """No answer at all."""
    return Answer(status=NOT_ANSWERED, delivery=delivery)


def refuse(options: Options) -> Answer:
    """Any refusal, word for word."""
    error = errors.ApiError(
        options.number("code", -2010, low=-99_999, high=-1),
        options.text("message") or "Order was rejected.",
        options.number("status", 400, low=400, high=599),
    )
    headers = {name: str(value) for name, value in options.mapping("headers").items()}
    answer = refusal(error)
    return Answer(status=answer.status, body=answer.body, code=answer.code, headers=headers)


def rate_limited(options: Options) -> Answer:
    """429, with Retry-After only if `retry_after_s` is given."""
    return too_many(429, options.whole("retry_after_s", None, low=0, high=259_200))


def too_many(status: int, retry_after_s: int | None) -> Answer:
    """The answer to an address that asked too often."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = {"code": -1003, "msg": _TOO_MANY}
    return Answer(status=status, body=body, code=-1003, headers=headers)


def firewall(options: Options) -> Answer:  # noqa: ARG001 (the table's form)
    """403 of the web application firewall, as HTML."""
    return page(403, _FIREWALL)


def server_error(options: Options) -> Answer:
    """5xx with Binance's unknown error."""
    status = options.number("status", 500, low=500, high=599)
    return refusal(errors.ApiError(-1000, "An unknown error occurred.", status))


def maintenance(options: Options) -> Answer:
    """503: the service's own words, or the page of the proxy before it (`html`)."""
    if options.flag("html", default=False):
        return page(503, _MAINTENANCE)
    return refusal(errors.ApiError(-1016, "This service is no longer available.", 503))


def unknown_code(options: Options) -> Answer:
    """A code that says that the outcome is unknown."""
    code = options.number("code", -1007, low=-99_999, high=-1)
    status = options.number("status", 500, low=400, high=599)
    return refusal(errors.ApiError(code, _UNKNOWN.get(code, "Execution status unknown."), status))


def bad_timestamp(options: Options) -> Answer:  # noqa: ARG001 (the table's form)
    """-1021, whatever the timestamp was."""
    return refusal(errors.outside_window())


REFUSALS: Mapping[str, Callable[[Options], Answer]] = {
    "refuse": refuse,
    "rate_limited": rate_limited,
    "firewall": firewall,
    "server_error": server_error,
    "maintenance": maintenance,
    "bad_timestamp": bad_timestamp,
}
