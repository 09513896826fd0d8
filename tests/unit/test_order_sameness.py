"""When two requests are one order, and what a cancel says: nothing sent can refuse it."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from tests.unit.message_strategies import UNDISTURBED, anything_json
from tests.unit.order_bodies import KINDS, LIMIT, MARKET, TWAP, accepted, raw
from workflows.acceptance import is_same_order
from workflows.domain.orders import OrderType
from workflows.messages import MAX_BODY_BYTES, CancelRequest, OrderRequest, cancel_reason

SAME = [
    dict(reversed(MARKET.items())),
    {**MARKET, "quantity": 0.1},
    {**MARKET, "quantity": "0.10"},
    {**MARKET, "order_id": "another-id"},
    {**MARKET, "account": "main", "time_in_force": "GTC", "post_only": False, "priority": 3},
    {**MARKET, "price": None, "timeout_s": None, "end_sweep": None},
    {**MARKET, "start_at": None, "stop_price": None, "placement": None, "reduce_only": None},
]
OTHER = [
    {**MARKET, "quantity": "0.100000000000000001"},
    {**MARKET, "side": "sell"},
    {**MARKET, "account": "second"},
    {**MARKET, "priority": 2},
    {**MARKET, "timeout_s": 30},
    {**MARKET, "slippage_tolerance": 0},
    {**LIMIT, "price": "50000"},
    {**MARKET, "reduce_only": True},
]
ONE_MOMENT = [
    "2030-01-31T12:00:00Z",
    "2030-01-31T12:00:00.000+00:00",
    "2030-01-31T13:00:00+01:00",
    "2030-01-30T23:30:00-12:30",
]
STOPS = (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP, OrderType.OCO)


@pytest.mark.parametrize("body", SAME)
def test_the_same_order_written_differently_has_the_same_hash(body: dict[str, Any]) -> None:
    spaced = json.dumps(body, indent=2).encode()
    assert accepted(spaced).body_hash() == accepted(raw(MARKET)).body_hash()


@pytest.mark.parametrize("body", OTHER)
def test_another_order_has_another_hash(body: dict[str, Any]) -> None:
    assert accepted(raw(body)).body_hash() != accepted(raw(MARKET)).body_hash()


def test_the_hash_is_of_the_validated_order_in_its_documented_form() -> None:
    # the ledger keeps hashes: another form would make every known id look like a conflict
    written = (
        b'{"strategy_id":"s1","account":"main","exchange":"binance","symbol":"BTC/USDT",'
        b'"side":"buy","order_type":"limit","quantity":"0.1","price":"50000",'
        b'"time_in_force":"GTC","post_only":false,"priority":3}'
    )
    assert accepted(raw(LIMIT)).body_hash() == hashlib.sha256(written).hexdigest()


def test_a_moment_is_the_same_in_every_offset() -> None:
    hashes = [accepted(raw(TWAP, start_at=moment)).body_hash() for moment in ONE_MOMENT]
    assert len(set(hashes)) == 1
    later = accepted(raw(TWAP, start_at="2030-01-31T12:00:00.001Z"))
    assert later.body_hash() not in [*hashes, accepted(raw(TWAP)).body_hash()]


def test_no_two_kinds_of_order_are_the_same() -> None:
    hashes = {accepted(raw(body)).body_hash() for body in KINDS.values()}
    assert len(hashes) == len(KINDS) == len(OrderType)


def asks_for(
    body: bytes,
    running: OrderRequest | None,
    order_types: tuple[OrderType, ...] = (OrderType.MARKET,),
) -> bool:
    return is_same_order(RawValue(Payload(data=body)), order_types, running)


def test_a_second_request_is_the_same_order_or_another() -> None:
    running = accepted(raw(MARKET))
    untyped = {name: value for name, value in MARKET.items() if name != "order_type"}
    assert all(asks_for(json.dumps(body).encode(), running) for body in [*SAME, untyped])
    assert not any(asks_for(raw(body), running) for body in OTHER)
    assert not asks_for(b"garbage", running)


@pytest.mark.parametrize("kind", STOPS)
def test_where_a_workflow_works_several_types_the_order_names_its_own(kind: OrderType) -> None:
    body = KINDS[kind]
    running = accepted(raw(body))
    assert asks_for(raw(body), running, STOPS)
    assert asks_for(raw(body, order_id="another-id"), running, STOPS)
    assert not asks_for(raw(body, quantity="0.2"), running, STOPS)
    untyped = {name: value for name, value in body.items() if name != "order_type"}
    assert not asks_for(raw(untyped), running, STOPS)
    assert not any(asks_for(raw(KINDS[other]), running, STOPS) for other in STOPS if other != kind)
    assert not asks_for(raw(MARKET), running, STOPS)


def test_an_order_that_was_denied_for_its_body_is_only_the_same_as_a_bad_body() -> None:
    assert asks_for(b"garbage", None)
    assert asks_for(raw(MARKET, quantity=0), None)
    assert not asks_for(raw(MARKET), None)


# --- cancel -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (None, "user_request"),
        (b"", "user_request"),  # how Temporal writes None
        (b"null", "user_request"),
        (b"{}", "user_request"),
        (b'"too late"', "too late"),
        (b'""', ""),
        (b'{"reason":"<script> {x} =cmd()"}', "<script> {x} =cmd()"),
        (b'{"reason":7}', "unreadable"),
        (b'{"reason":null}', "unreadable"),
        (b'{"why":"x"}', "unreadable"),
        (b'"a\\u0000"', "unreadable"),
        (b'"' + b"x" * 501 + b'"', "unreadable"),
        (b"[]", "unreadable"),
        (b"7", "unreadable"),
        (b"false", "unreadable"),
        (b"{garbage", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"[" * 30_000, "unreadable"),
        (b"{}" + b" " * MAX_BODY_BYTES, "unreadable"),
    ],
)
def test_every_cancel_has_a_reason(sent: bytes | None, reason: str) -> None:
    assert cancel_reason(sent) == reason


@UNDISTURBED
@given(
    st.one_of(
        st.binary(max_size=40), anything_json.map(lambda v: json.dumps(v, default=str).encode())
    )
)
def test_no_input_whatsoever_refuses_a_cancel(sent: bytes) -> None:
    assert CancelRequest(reason=cancel_reason(sent))
