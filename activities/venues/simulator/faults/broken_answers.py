"""Answers that were right, and are broken on their way out.

Rule: pure functions from options and the dialect to a function on answers; what the request asked
for is done.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from activities.venues.simulator.faults import refusals
from activities.venues.simulator.faults.dialect import FaultDialect
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.seams import Answer, Delivery

Break = Callable[[Answer], Answer]

_PAGE = b"<!DOCTYPE html>\n<html><body><h1>Just a moment...</h1></body></html>\n"


def delivered(delivery: Delivery) -> Break:
    """The right answer, badly delivered."""
    return lambda answer: replace(answer, delivery=delivery)


def html(options: Options, _dialect: FaultDialect) -> Break:
    """A page with status 200."""
    page = refusals.page(options.number("status", 200, low=200, high=599), _PAGE)
    return lambda answer: replace(page, code=answer.code)


def empty(options: Options, _dialect: FaultDialect) -> Break:
    """A body of no bytes, or what `body` says (as `{}` or `[]`)."""
    raw = (options.text("body") or "").encode()
    return lambda answer: replace(answer, raw=raw)


def truncated(options: Options, _dialect: FaultDialect) -> Break:
    """Half a body: as a whole one (`body`), or with the connection closed in it."""
    where = options.one_of("cut", ("body", "connection"), "body")
    if where == "connection":
        return lambda answer: replace(answer, delivery=Delivery.CUT)

    def halve(answer: Answer) -> Answer:
        text = _text_of(answer)
        return replace(answer, raw=text[: len(text) // 2])

    return halve


def not_utf8(_options: Options, _dialect: FaultDialect) -> Break:
    """Bytes that are no UTF-8 in the middle of the body."""

    def spoil(answer: Answer) -> Answer:
        text = _text_of(answer)
        return replace(answer, raw=text[: len(text) // 2] + b"\xff\xfe\xc3\x28" + text[-1:])

    return spoil


def nan(options: Options, dialect: FaultDialect) -> Break:
    """NaN where numbers were; in `field` only, if given."""
    names = tuple(options.names("field")) or tuple(dialect.amount_fields)
    return lambda answer: replace(answer, body=_changed(answer.body, names, lambda _: "NaN"))


def extra_fields(_options: Options, _dialect: FaultDialect) -> Break:
    """Fields that nobody knows, on every object."""

    def add(value: Any) -> Any:
        if isinstance(value, list):
            return [add(each) for each in value]
        if isinstance(value, dict):
            known = {name: add(each) for name, each in value.items()}
            return known | {"addedLater": {"of": ["no", "meaning"]}, "zzFlag": None}
        return value

    return lambda answer: replace(answer, body=add(answer.body))


def missing_fields(options: Options, dialect: FaultDialect) -> Break:
    """Objects without their essential fields, or without `field`."""
    names = set(options.names("field") or dialect.essential_fields)

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(each) for each in value]
        if isinstance(value, dict):
            return {name: strip(each) for name, each in value.items() if name not in names}
        return value

    return lambda answer: replace(answer, body=strip(answer.body))


def replace_fields(options: Options, _dialect: FaultDialect) -> Break:
    """Fields at dotted paths (`fills.0.qty`) with other values."""
    fields = options.mapping("fields")
    if not fields:
        raise options.error("needs fields")

    def change(answer: Answer) -> Answer:
        body = json.loads(json.dumps(answer.body))
        for path, value in fields.items():
            _put(body, path.split("."), value)
        return replace(answer, body=body)

    return change


def accept_then_5xx(options: Options, _dialect: FaultDialect) -> Break:
    """A server error in place of the answer."""
    status = options.number("status", 503, low=500, high=599)
    body = options.anything("body")
    return lambda _: Answer(status=status, body={} if body is None else body)


def verbatim(options: Options) -> Answer:
    """Any status, headers and body: a text leaves as it is, other JSON as JSON."""
    status = options.number("status", 200, low=100, high=599)
    headers = {name: str(value) for name, value in options.mapping("headers").items()}
    body = options.anything("body")
    raw = body.encode() if isinstance(body, str) else None
    return Answer(status=status, body=body, raw=raw, headers=headers)


BROKEN: Mapping[str, Callable[[Options, FaultDialect], Break]] = {
    "html": html,
    "empty": empty,
    "truncated": truncated,
    "not_utf8": not_utf8,
    "nan": nan,
    "extra_fields": extra_fields,
    "missing_fields": missing_fields,
    "replace_fields": replace_fields,
    "accept_then_5xx": accept_then_5xx,
}


def _text_of(answer: Answer) -> bytes:
    return json.dumps(answer.body).encode() if answer.raw is None else answer.raw


def _changed(value: Any, names: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_changed(each, names, change) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: change(each) if name in names else _changed(each, names, change)
        for name, each in value.items()
    }


def _put(body: Any, path: list[str], value: Any) -> None:
    """Set a field, a new one if need be; a way that the answer does not have leads nowhere."""
    *way, last = path
    try:
        for step in way:
            body = body[int(step) if isinstance(body, list) else step]
        body[int(last) if isinstance(body, list) else last] = value
    except (LookupError, TypeError, ValueError):
        return
