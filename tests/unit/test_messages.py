"""Order requests: what is read, and each field's code and name."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, anything_json, order_bodies
from tests.unit.order_bodies import KINDS, LIMIT, MARKET, TWAP, accepted, denied, raw
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import plain
from workflows.messages import MAX_BODY_BYTES, OrderRequest, validate_order

# --- what is accepted ---------------------------------------------------------------------------


def test_what_is_left_out_has_its_documented_default() -> None:
    order = accepted(raw(MARKET))
    assert order.order_id is None
    assert (order.account, order.time_in_force, order.post_only) == ("main", "GTC", False)
    assert order.priority == 3
    left_to_the_engine = set(OrderRequest.model_fields) - set(MARKET)
    left_to_the_engine -= {"account", "time_in_force", "post_only", "priority"}
    assert {getattr(order, name) for name in left_to_the_engine} == {None}


@pytest.mark.parametrize(("text", "value"), [("0.1", "0.1"), ("1", "1"), ("2e-1", "0.2")])
def test_a_quantity_may_be_a_number_and_stays_exact(text: str, value: str) -> None:
    order = accepted(raw(MARKET, quantity="Q").replace(b'"Q"', text.encode()))
    assert str(order.quantity) == value
    assert json.loads(order.model_dump_json())["quantity"] == value


@UNDISTURBED
@given(order_bodies(), st.booleans())
def test_an_order_survives_json_unchanged_however_its_numbers_are_written(
    body: dict[str, Any], as_text: bool
) -> None:
    order = validate_order(body)
    assert isinstance(order, OrderRequest), order
    decimals = (
        *("quantity", "price", "slippage_tolerance", "timeout_s", "twap_interval"),
        *("passive_fraction", "iceberg_display", "iceberg_variance", "iceberg_min_visible"),
        *("replenish_delay_s", "peg_offset", "stop_price", "take_profit_price"),
        *("oco_limit_price", "max_slippage"),
    )
    shown = json.loads(order.model_dump_json())
    for name in decimals:
        if shown[name] is not None:
            assert Decimal(shown[name]) == Decimal(body[name])
    text = order.model_dump_json()
    if not as_text:
        for name in decimals:
            text = text.replace(f'"{name}":"{shown[name]}"', f'"{name}":{shown[name]}')
    again = accepted(text.encode())
    assert again == order
    assert again.body_hash() == order.body_hash()


@pytest.mark.parametrize(
    ("kind", "field", "low", "high", "step"),
    [
        ("market", "slippage_tolerance", "0", "0.5", "0.000000000000000001"),
        ("market", "priority", "1", "5", "1"),
        ("market", "timeout_s", "0.1", "31536000", "0.000000000000000001"),
        ("twap", "twap_slices", "1", "5000", "1"),
        ("twap", "twap_interval", "0.05", "86400", "0.000000000000000001"),
        ("twap", "size_jitter", "0", "0.5", "0.000000000000000001"),
        ("twap", "time_jitter", "0", "0.5", "0.000000000000000001"),
        ("twap", "catch_up_cap", "1", "100", "1"),
        ("twap", "passive_fraction", "0", "1", "0.000000000000000001"),
        ("twap", "max_participation", "0.0001", "0.9999", "0.000000000000000001"),
        ("twap", "duration_s", "0.1", "31536000", "0.000000000000000001"),
        ("iceberg", "iceberg_visible_ratio", "0.000000001", "1", "0.000000000000000001"),
        ("iceberg", "iceberg_variance", "0", "0.5", "0.000000000000000001"),
        ("iceberg", "replenish_delay_s", "0", "86400", "0.000000000000000001"),
        ("iceberg", "reprice_ticks", "1", "100000", "1"),
        ("trailing_stop", "trailing_delta_bps", "1", "9999", "1"),
        ("stop_loss", "confirm_n", "1", "1000", "1"),
        ("stop_loss", "stale_after_ms", "500", "600000", "1"),
        ("stop_loss", "retry_ms", "50", "600000", "1"),
    ],
)
def test_a_range_holds_exactly_at_its_bounds(
    kind: str, field: str, low: str, high: str, step: str
) -> None:
    for text in (low, high):
        order = validate_order({**KINDS[kind], field: Decimal(text)})
        assert isinstance(order, OrderRequest), order
        assert getattr(order, field) == Decimal(text)
    for value in (Decimal(low) - Decimal(step), Decimal(high) + Decimal(step)):
        answer = validate_order({**KINDS[kind], field: value})
        assert isinstance(answer, Denied)
        assert (answer.code, answer.field) == ("OUT_OF_RANGE", field)
        assert answer.detail == f"{field} must be between {low} and {high}"


# --- what is refused ----------------------------------------------------------------------------

OUT_OF_RANGE, INVALID_TYPE = DenialCode.OUT_OF_RANGE, DenialCode.INVALID_TYPE


@pytest.mark.parametrize(
    ("kind", "field", "value", "code"),
    [
        ("limit", "price", 0, "NOT_POSITIVE"),
        ("limit", "price", "-1", "NOT_POSITIVE"),
        ("limit", "price", None, "MISSING_FIELD"),
        ("market", "quantity", "1e400", "INVALID_DECIMAL"),
        ("market", "quantity", "0.1234567890123456789", "PRECISION"),
        ("market", "quantity", True, INVALID_TYPE),
        ("twap", "twap_slices", 1_000_000, OUT_OF_RANGE),
        ("twap", "twap_slices", 0, OUT_OF_RANGE),
        ("twap", "twap_slices", -1, OUT_OF_RANGE),
        ("twap", "twap_slices", 1.5, INVALID_TYPE),
        ("twap", "twap_slices", "10", INVALID_TYPE),
        ("twap", "twap_interval", 0, OUT_OF_RANGE),
        ("twap", "twap_interval", -5, OUT_OF_RANGE),
        ("twap", "twap_interval", 1_000_000_000, OUT_OF_RANGE),
        ("twap", "catch_up", "later", "UNKNOWN_ENUM"),
        ("twap", "catch_up", "", "UNKNOWN_ENUM"),
        ("twap", "end_sweep", "true", INVALID_TYPE),
        ("market", "timeout_s", 3_155_760_000, OUT_OF_RANGE),
        ("market", "side", "BUY ", "UNKNOWN_ENUM"),
        ("market", "side", "BUY", "UNKNOWN_ENUM"),
        ("market", "side", "bu\u0443", "UNKNOWN_ENUM"),
        ("market", "side", "hold", "UNKNOWN_ENUM"),
        ("market", "side", None, INVALID_TYPE),
        ("market", "order_type", "sniper", "UNKNOWN_ENUM"),
        ("iceberg", "price", None, "MISSING_FIELD"),
        ("iceberg", "iceberg_visible_ratio", 0, OUT_OF_RANGE),
        ("iceberg", "iceberg_visible_ratio", "-0.1", OUT_OF_RANGE),
        ("iceberg", "iceberg_visible_ratio", "1.01", OUT_OF_RANGE),
        ("iceberg", "iceberg_display", 0, "NOT_POSITIVE"),
        ("stop_loss", "stop_price", None, "MISSING_FIELD"),
        ("take_profit", "take_profit_price", None, "MISSING_FIELD"),
        ("trailing_stop", "trailing_delta_bps", None, "MISSING_FIELD"),
        ("trailing_stop", "trailing_delta_bps", 0, OUT_OF_RANGE),
        ("trailing_stop", "trailing_delta_bps", 10_000, OUT_OF_RANGE),
        ("trailing_stop", "trailing_delta_bps", "150", INVALID_TYPE),
        ("oco", "oco_limit_price", None, "MISSING_FIELD"),
        ("oco", "stop_price", None, "MISSING_FIELD"),
        ("stop_loss", "trigger_source", "vwap", "UNKNOWN_ENUM"),
        ("stop_loss", "on_exhausted", "hope", "UNKNOWN_ENUM"),
        ("stop_loss", "placement", "venue", "UNKNOWN_ENUM"),
        ("twap", "start_at", "tomorrow", "INVALID_TIME"),
        ("twap", "start_at", "2030-01-31T12:00:00", "INVALID_TIME"),
        ("twap", "start_at", 1_900_000_000, INVALID_TYPE),
        ("limit", "time_in_force", "GTD", "UNKNOWN_ENUM"),
        ("limit", "time_in_force", "ioc", "UNKNOWN_ENUM"),
        ("limit", "post_only", 1, INVALID_TYPE),
        ("market", "priority", None, INVALID_TYPE),
        ("market", "symbol", "BTC\0USDT", "ILLEGAL_CHARS"),
        ("market", "symbol", 7, INVALID_TYPE),
        ("market", "symbol", "x" * 501, "TOO_LONG"),
        ("market", "strategy_id", "x" * 10_000, "TOO_LONG"),
        ("market", "strategy_id", "'; DROP TABLE orders;--", "ILLEGAL_CHARS"),
        ("market", "strategy_id", None, INVALID_TYPE),
        ("market", "account", "..", "ILLEGAL_CHARS"),
        ("market", "exchange", "", "ILLEGAL_CHARS"),
        ("market", "order_id", "a:b", "ILLEGAL_CHARS"),
        ("market", "admin", True, "UNKNOWN_FIELD"),
        ("market", "account_id", "other", "UNKNOWN_FIELD"),
        ("market", "Quantity", "1", "UNKNOWN_FIELD"),
        ("market", "{x}", 1, "UNKNOWN_FIELD"),
    ],
)
def test_a_wrong_field_is_denied_with_its_code_and_name(
    kind: str, field: str, value: object, code: str
) -> None:
    answer = denied(raw(KINDS[kind], **{field: value}))
    assert (answer.code, answer.field) == (code, field)
    assert answer.detail.startswith(f"{field} ")


@pytest.mark.parametrize("field", sorted(MARKET))
def test_a_field_that_must_be_there_is_asked_for(field: str) -> None:
    body = {name: value for name, value in MARKET.items() if name != field}
    answer = denied(raw(body))
    assert (answer.code, answer.field) == ("MISSING_FIELD", field)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "INVALID_JSON"),
        (b'{"strategy_id":"\\ud800"}', "INVALID_JSON"),
        (raw(MARKET)[:-5], "INVALID_JSON"),
        (b'{"quantity":"1","quantity":"9"}', "DUPLICATE_FIELD"),
        (b"[" * 30_000, "TOO_DEEP"),
        (b" " * (MAX_BODY_BYTES + 1), "INVALID_INPUT"),
        (b"null", "INVALID_TYPE"),
        (b"[]", "INVALID_TYPE"),
        (b'"x"', "INVALID_TYPE"),
        (b"1", "INVALID_TYPE"),
    ],
)
def test_what_is_no_object_is_denied_without_a_field(body: bytes, code: str) -> None:
    answer = denied(body)
    assert (answer.code, answer.field) == (code, None)
    assert answer.detail


@pytest.mark.parametrize("field", sorted(set(OrderRequest.model_fields) - {"symbol"}))
def test_braces_in_a_callers_text_are_neither_a_template_nor_echoed(field: str) -> None:
    answer = denied(raw(TWAP, **{field: "{s3cret} {0.__class__} %s"}))
    assert answer.field == field
    assert "s3cret" not in answer.detail
    assert "{" not in answer.detail


def test_braces_in_a_symbol_are_text() -> None:
    assert accepted(raw(MARKET, symbol="{x}/{y}")).symbol == "{x}/{y}"


@UNDISTURBED
@given(
    kind=st.sampled_from(list(KINDS)),
    field=st.sampled_from(list(OrderRequest.model_fields)),
    value=anything_json,
)
def test_any_value_in_any_field_is_an_order_or_a_denial(
    kind: str, field: str, value: object
) -> None:
    answer = validate_order({**KINDS[kind], field: value})
    if isinstance(answer, OrderRequest):
        accepted(answer.model_dump_json().encode())
    else:
        assert answer.detail


def test_a_body_is_read_up_to_its_longest_length() -> None:
    body = raw(MARKET)
    assert accepted(body + b" " * (MAX_BODY_BYTES - len(body))) == accepted(body)


def test_amounts_are_shown_as_plain_text() -> None:
    order = accepted(raw(LIMIT, price="100", quantity="0.0000001"))
    shown = json.loads(order.model_dump_json())
    assert (shown["price"], shown["quantity"]) == ("100", "0.0000001")
    assert plain(order.quantity) == "0.0000001"
