"""The journal's record of a request: who asked for what, and what the venue said.

Rule: the same at every dialect, and never with a secret or a signature in it.
"""

from collections.abc import Mapping

from activities.venues.simulator.records import Record
from activities.venues.simulator.seams import Answer, RequestContext


def request_record(
    context: RequestContext, params: Mapping[str, str], answer: Answer, now_ms: int
) -> Record:
    """`params` are those that may be written down."""
    record: Record = {
        "ts_ms": now_ms,
        "kind": "request",
        "method": context.method,
        "path": context.path,
        "account": context.account,
        "params": dict(params),
        "status": answer.status,
        "code": answer.code,
    }
    if context.disturbed_by:
        record["faults"] = [each.name for each in context.disturbed_by]
    return record


def subscription_record(name: str, account: str | None, code: int, now_ms: int) -> Record:
    """As a request's, for who begins to listen to an account; `name` is the dialect's word."""
    return {
        "ts_ms": now_ms,
        "kind": "request",
        "method": "WS",
        "path": name,
        "account": account,
        "params": {},
        "status": 400 if code else 200,
        "code": code,
    }
