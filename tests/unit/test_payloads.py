"""The one JSON loader and the payload converter on it: exact, strict, and never a retry loop."""

import dataclasses
import inspect
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.unit.message_strategies import UNDISTURBED, order_requests, values_of
from workflows import ports
from workflows.child_state import ChildState
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, ExecutionReport, Fill, SubmitOutcome
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import ParentState, Totals, TwapState
from workflows.order_views import ChildView, TwapProgress
from workflows.payloads import DATA_CONVERTER, MAX_DEPTH, InvalidJsonError, strict_loads

HEAVY = settings(UNDISTURBED, max_examples=25)
CONVERTER = DATA_CONVERTER.payload_converter


def code_of(raw: bytes) -> DenialCode:
    with pytest.raises(InvalidJsonError) as caught:
        strict_loads(raw)
    return caught.value.code


# --- the loader ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "INVALID_JSON"),
        (b" ", "INVALID_JSON"),
        (b"NaN", "INVALID_JSON"),
        (b'{"quantity":NaN}', "INVALID_JSON"),
        (b"[Infinity]", "INVALID_JSON"),
        (b"[-Infinity]", "INVALID_JSON"),
        (b'{"quantity":"1"', "INVALID_JSON"),
        (b'{"quantity":"1",}', "INVALID_JSON"),
        (b"{'quantity':1}", "INVALID_JSON"),
        (b'{"side":"buy"} // now', "INVALID_JSON"),
        (b'{"side":"buy"}{}', "INVALID_JSON"),
        (b"\xef\xbb\xbf{}", "INVALID_JSON"),  # BOM
        ("{}".encode("utf-16"), "INVALID_JSON"),
        ("{}".encode("utf-16-le"), "INVALID_JSON"),
        (b'"\xff"', "INVALID_JSON"),
        (b'"\xed\xa0\x80"', "INVALID_JSON"),  # a surrogate, encoded
        (b'"\\ud800"', "INVALID_JSON"),
        (b'"\\uDFFF"', "INVALID_JSON"),
        (b'"\\ude00\\ud83d"', "INVALID_JSON"),  # a pair the wrong way round
        (b'{"\\ud800":1}', "INVALID_JSON"),
        (b'"line\nbreak"', "INVALID_JSON"),
        (b"01", "INVALID_JSON"),
        (b"+1", "INVALID_JSON"),
        (b".5", "INVALID_JSON"),
        (b"5.", "INVALID_JSON"),
        (b"0x10", "INVALID_JSON"),
        (b"1_000", "INVALID_JSON"),
        (b"1e99999999999999999999", "INVALID_JSON"),  # no Decimal has such an exponent
        (b'{"quantity":"1","quantity":"9"}', "DUPLICATE_FIELD"),
        (b'{"a":{"b":1,"b":1}}', "DUPLICATE_FIELD"),
        (b'{"a":1,"\\u0061":1}', "DUPLICATE_FIELD"),
        (b"[" * 30_000, "TOO_DEEP"),
        (b'{"a":' * 30_000, "TOO_DEEP"),
    ],
)
def test_what_is_not_plain_json_is_refused_with_its_code(raw: bytes, code: str) -> None:
    assert code_of(raw) == code


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"0.1", Decimal("0.1")),
        (b"1", 1),
        (b"-0", 0),
        (b"2e-1", Decimal("0.2")),
        (b"1e-05", Decimal("0.00001")),
        (b"1E5", Decimal(100_000)),
        (b"12345678901234567890.5", Decimal("12345678901234567890.5")),
        (b"1e400", Decimal("1e400")),
        (b"null", None),
        (b" [true, false] ", [True, False]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\u0000"', "\0"),  # a field's own rule refuses it
        ('{"é":"½"}'.encode(), {"é": "½"}),
        (b'{"a":[{"a":1},{"a":2}]}', {"a": [{"a": 1}, {"a": 2}]}),
    ],
)
def test_json_is_read_with_every_digit(raw: bytes, value: object) -> None:
    read = strict_loads(raw)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("digits", "kind"), [(18, int), (19, Decimal), (10_000, Decimal)])
def test_a_long_integer_is_exact_too(digits: int, kind: type) -> None:
    for text in ("9" * digits, "-" + "9" * digits):
        read = strict_loads(text.encode())
        assert type(read) is kind
        assert str(read) == text


def test_nesting_is_allowed_to_its_bound_and_no_deeper() -> None:
    assert MAX_DEPTH == 16  # as published
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.loads(deepest) == strict_loads(deepest)
    assert code_of(b"[" + deepest + b"]") is DenialCode.TOO_DEEP
    assert strict_loads(b"[" + b"[{}]," * 50 + b"1]")[-1] == 1


@pytest.mark.parametrize("text", ["[" * 99, '"' + "{" * 99, "\\" + "[" * 99, '\\"' + "[" * 99])
def test_brackets_inside_a_string_are_not_nesting(text: str) -> None:
    assert strict_loads(json.dumps([text]).encode()) == [text]


@pytest.mark.parametrize("tail", ['\\"', '"', "\\", '"\\', "a", '\\"a'])
def test_no_text_takes_longer_than_its_length(tail: str) -> None:
    crafted = ("[" * 17 + '"' + tail * 40_000 + "\\").encode()
    before = time.perf_counter()
    with pytest.raises(InvalidJsonError):
        strict_loads(crafted)
    assert time.perf_counter() - before < 5


@UNDISTURBED
@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_every_number_keeps_its_value(text: str) -> None:
    assert Decimal(strict_loads(text.encode())) == Decimal(text)


def depth_of(value: object) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


@UNDISTURBED
@given(st.integers(0, 20), st.text('[]{}"\\a', max_size=20), st.integers(0, 20), st.booleans())
def test_the_depth_that_counts_is_the_parsers(
    opened: int, text: str, before: int, as_key: bool
) -> None:
    value: Any = {text: 1} if as_key else [text]
    for _ in range(opened):
        value = ["[" * before, value]
    raw = json.dumps(value).encode()
    if depth_of(value) > MAX_DEPTH:
        assert code_of(raw) is DenialCode.TOO_DEEP
    else:
        assert strict_loads(raw) == value


@UNDISTURBED
@given(st.one_of(st.binary(max_size=60), st.text('[]{}",:\\u0d8e1-.', max_size=60).map(str.encode)))
def test_any_bytes_are_read_as_json_or_refused(raw: bytes) -> None:
    try:
        strict_loads(raw)
    except InvalidJsonError:
        return
    json.loads(raw.decode())  # the loader is the stricter one


# --- the converter ------------------------------------------------------------------------------


def round_trip(value: Any, hint: Any) -> Any:
    return CONVERTER.from_payloads(CONVERTER.to_payloads([value]), [hint])[0]


PORT_MESSAGES = [
    found
    for name, found in vars(ports).items()
    if inspect.isclass(found) and dataclasses.is_dataclass(found)
]
STATES = [ParentState, ChildState, Totals, TwapState]
DOMAIN = [ChildIntent, ChildReport, ExecutionReport, Fill, SubmitOutcome, Instrument, Quote, Denied]
MODELS = [OrderSnapshot, ChildView, TwapProgress]


def test_the_ports_have_messages_to_try() -> None:
    assert {ports.Reserve, ports.MarketSnapshot, ports.FeedCursor} <= set(PORT_MESSAGES)


@pytest.mark.parametrize("message", [*PORT_MESSAGES, *STATES, *DOMAIN, *MODELS])
@HEAVY
@given(data=st.data())
def test_every_message_passes_temporal_unchanged(message: type, data: st.DataObject) -> None:
    value = data.draw(values_of(message))
    assert round_trip(value, message) == value
    assert round_trip([value], list[message]) == [value]  # type: ignore[valid-type]  # at run time


@UNDISTURBED
@given(order_requests)
def test_an_order_passes_temporal_unchanged(request: OrderRequest) -> None:
    again = round_trip(request, OrderRequest)
    assert again == request
    assert again.body_hash() == request.body_hash()


def test_36_digits_pass_temporal_inside_the_nested_state() -> None:
    exact = Decimal("999999999999999999.999999999999999999")
    totals = Totals(executed=exact, filled=-exact, filled_quote=exact, fees={"BNB": exact})
    state = ParentState(settled=totals)
    assert str(round_trip(state, ParentState).settled.fees["BNB"]) == str(exact)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"{", ports.Verdict),
        (b"NaN", Any),
        (b'{"denied":1}', ports.Verdict),
        (b'{"denied":{"code":"NO_SUCH"}}', ports.Verdict),
        (b"[]", ports.Verdict),
        (b"{}", ports.Submit),
        (b'{"trade_ids":{"a":"1","a":"2"}}', ports.FeedCursor),
        (b'"secret-value"', int),
        (b"[" * 40, list),
        (b'{"executed":"NaN"}', Totals),
        (b'{"executed":"Infinity"}', Totals),
    ],
)
def test_what_cannot_be_decoded_fails_for_good_and_is_not_echoed(data: bytes, hint: Any) -> None:
    payload = CONVERTER.to_payloads(["any"])[0]
    payload.data = data
    with pytest.raises(ApplicationError) as caught:
        CONVERTER.from_payloads([payload], [hint])
    assert caught.value.type == "INVALID_INPUT"
    assert caught.value.non_retryable
    assert "secret-value" not in str(caught.value)


def test_an_encoding_that_nobody_knows_fails_for_good_unless_it_is_handed_over_raw() -> None:
    payload = CONVERTER.to_payloads(["any"])[0]
    for encoding in (b"binary/encrypted", b"", b"\xff"):
        payload.metadata["encoding"] = encoding
        with pytest.raises(ApplicationError) as caught:
            CONVERTER.from_payloads([payload], [str])
        assert (caught.value.type, caught.value.non_retryable) == ("INVALID_INPUT", True)
        assert handed_over(payload).payload.metadata["encoding"] == encoding


def handed_over(payload: Payload) -> RawValue:
    (raw,) = CONVERTER.from_payloads([payload], [RawValue | None])  # type: ignore[list-item]  # a union
    assert isinstance(raw, RawValue)
    return raw


def test_a_raw_argument_is_handed_over_unread() -> None:
    payload = CONVERTER.to_payloads(["any"])[0]
    payload.data = b"{garbage"
    assert handed_over(payload).payload.data == b"{garbage"
    (raw,) = CONVERTER.from_payloads([payload], [RawValue])
    assert raw.payload.data == b"{garbage"


def test_too_many_arguments_leave_the_first_one_raw() -> None:
    read = CONVERTER.from_payloads(CONVERTER.to_payloads([1, 2]), None)
    assert len(read) == 1
    assert isinstance(read[0], RawValue)
    assert read[0].payload.data == b"1"


def test_nothing_and_bytes_keep_temporals_own_encodings() -> None:
    payloads = CONVERTER.to_payloads([None, b"\x00\xff", "text"])
    encodings = [payload.metadata["encoding"] for payload in payloads]
    assert encodings == [b"binary/null", b"binary/plain", b"json/plain"]
    assert CONVERTER.from_payloads(payloads, [type(None), bytes, str]) == [
        None,
        b"\x00\xff",
        "text",
    ]
