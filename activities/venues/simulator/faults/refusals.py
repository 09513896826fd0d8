"""Answers that refuse a request as the venue and what stands before it do.

Rule: pure functions from options and the dialect to a function from requests to answers; nothing
was executed. The venue's own words are the dialect's.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from activities.venues.simulator.faults.dialect import FaultDialect, Trouble, VenueError
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.seams import NOT_ANSWERED, Answer, Delivery, RequestContext

Refusal = Callable[[RequestContext], Answer]

LONGEST_RETRY_AFTER_S = 259_200
_FARTHEST_CODE = 99_999
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


def page(status: int, html: bytes) -> Answer:
    """An HTML page in place of JSON."""
    return Answer(status=status, raw=html, content_type="text/html")


def lost(delivery: Delivery) -> Refusal:
    """No answer at all."""
    return lambda _: Answer(status=NOT_ANSWERED, delivery=delivery)


def refuse(options: Options, dialect: FaultDialect) -> Refusal:
    """Any refusal, word for word."""
    usual = dialect.errors[Trouble.REJECTED]
    error = VenueError(
        code=options.number("code", usual.code, low=-_FARTHEST_CODE, high=_FARTHEST_CODE),
        message=options.text("message") or usual.message,
        # a venue that refuses with 200 may be told to do it with any other
        status=options.number("status", usual.status, low=min(usual.status, 400), high=599),
    )
    headers = {name: str(value) for name, value in options.mapping("headers").items()}
    return lambda request: replace(dialect.refused(error, request), headers=headers)


def rate_limited(options: Options, dialect: FaultDialect) -> Refusal:
    """Too many requests, with Retry-After only if `retry_after_s` is given."""
    retry_after_s = options.whole("retry_after_s", None, low=0, high=LONGEST_RETRY_AFTER_S)
    return too_many(dialect, Trouble.TOO_MANY_REQUESTS, retry_after_s)


def too_many(dialect: FaultDialect, trouble: Trouble, retry_after_s: int | None) -> Refusal:
    """The answer to an address that asked too often."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    error = dialect.errors[trouble]
    return lambda request: replace(dialect.refused(error, request), headers=headers)


def firewall(_options: Options, _dialect: FaultDialect) -> Refusal:
    """403 of the web application firewall, as HTML."""
    return lambda _: page(403, _FIREWALL)


def server_error(options: Options, dialect: FaultDialect) -> Refusal:
    """5xx with the venue's words for an error of its own."""
    usual = dialect.errors[Trouble.SERVER_ERROR]
    error = replace(usual, status=options.number("status", usual.status, low=500, high=599))
    return lambda request: dialect.refused(error, request)


def maintenance(options: Options, dialect: FaultDialect) -> Refusal:
    """503: the service's own words, or the page of the proxy before it (`html`)."""
    if options.flag("html", default=False):
        return lambda _: page(503, _MAINTENANCE)
    error = dialect.errors[Trouble.MAINTENANCE]
    return lambda request: dialect.refused(error, request)


def unknown_code(options: Options, dialect: FaultDialect) -> Refusal:
    """A code that says that the outcome is unknown."""
    usual = dialect.errors[Trouble.OUTCOME_UNKNOWN]
    known = {**dialect.unknown_outcomes, usual.code: usual.message}
    code = options.number("code", usual.code, low=-_FARTHEST_CODE, high=_FARTHEST_CODE)
    error = VenueError(
        code=code,
        message=known.get(code, "Execution status unknown."),
        status=options.number("status", usual.status, low=400, high=599),
    )
    return lambda request: dialect.refused(error, request)


def bad_timestamp(_options: Options, dialect: FaultDialect) -> Refusal:
    """The refusal of a timestamp, whatever it was."""
    error = dialect.errors[Trouble.BAD_TIMESTAMP]
    return lambda request: dialect.refused(error, request)


REFUSALS: Mapping[str, Callable[[Options, FaultDialect], Refusal]] = {
    "refuse": refuse,
    "rate_limited": rate_limited,
    "firewall": firewall,
    "server_error": server_error,
    "maintenance": maintenance,
    "bad_timestamp": bad_timestamp,
}
