"""Bad input over HTTP: every row is refused with its code and field, before anything is asked."""

import pytest

from starters.api.app import create_app
from tests.contract.bad_input import ORDER, ROWS, body
from tests.unit.starters_fakes import FakeConnections, call, settings_of


@pytest.mark.parametrize(
    ("sent", "status", "code", "field"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
async def test_a_bad_order_is_refused_with_its_code_and_field_before_anything_is_asked(
    sent: bytes, status: int, code: str, field: str | None
) -> None:
    connections = FakeConnections()
    answer = await call(connections, "POST", "/api/v1/orders", content=sent)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        status,
        code,
        field,
    )
    assert set(answer.json()) == {"code", "message", "field", "request_id"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert connections.asked == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        None,
    ],
)
async def test_only_json_is_read(content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await call(
        FakeConnections(), "POST", "/api/v1/orders", content=body(ORDER), headers=headers
    )
    assert answer.status_code == 415
    assert answer.json()["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_an_encoded_body_is_not_read() -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await call(
        FakeConnections(), "POST", "/api/v1/orders", content=body(ORDER), headers=headers
    )
    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Encoding")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("k" * 256, "TOO_LONG"),
        ("schlüssel".encode(), "ILLEGAL_CHARS"),
        ("two words", "ILLEGAL_CHARS"),
        ("", "ILLEGAL_CHARS"),
    ],
)
async def test_a_key_must_be_short_visible_ascii(key: str | bytes, code: str) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    answer = await call(
        FakeConnections(), "POST", "/api/v1/orders", content=body(ORDER), headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["field"] == "Idempotency-Key"


async def test_a_repeated_key_header_is_refused() -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "b"),
    ]
    answer = await call(
        FakeConnections(), "POST", "/api/v1/orders", content=body(ORDER), headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("path", ["%00", "%0d%0aX:1", "a%20b", "..%5cx", "x%2Fcancel", "%2e%2e"])
async def test_an_id_in_a_path_must_be_an_id(path: str) -> None:
    for method, tail in (("GET", ""), ("POST", "/cancel"), ("GET", "/twap-progress")):
        answer = await call(FakeConnections(), method, f"/api/v1/orders/{path}{tail}")
        assert (answer.status_code, answer.json()["code"]) == (422, "ILLEGAL_CHARS"), path


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("limit=-1", 422, "OUT_OF_RANGE", "limit"),
        ("limit=0", 422, "OUT_OF_RANGE", "limit"),
        ("limit=1000000000", 422, "OUT_OF_RANGE", "limit"),
        ("limit=1e3", 422, "INVALID_TYPE", "limit"),
        ("limit=%205", 422, "INVALID_TYPE", "limit"),
        ("limit=", 422, "INVALID_TYPE", "limit"),
        ("cursor=garbage", 422, "INVALID_CURSOR", "cursor"),
        ("status=open", 422, "UNKNOWN_ENUM", "status"),
        ("strategy_id=%27%3B--", 422, "ILLEGAL_CHARS", "strategy_id"),
        ("symbol=BTC%00", 422, "ILLEGAL_CHARS", "symbol"),
        ("colour=red", 422, "UNKNOWN_FIELD", "query"),
        ("limit=1&limit=2", 400, "DUPLICATE_FIELD", "limit"),
    ],
)
async def test_a_bad_list_query_is_refused(query: str, status: int, code: str, field: str) -> None:
    answer = await call(FakeConnections(), "GET", f"/api/v1/orders?{query}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        status,
        code,
        field,
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [(f"reason={'x' * 501}", "TOO_LONG"), ("reason=a%0Ab", "ILLEGAL_CHARS"), ("why=x", None)],
)
async def test_a_bad_reason_is_refused(query: str, code: str | None) -> None:
    connections = FakeConnections()
    answer = await call(connections, "POST", f"/api/v1/orders/a/cancel?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, code or "UNKNOWN_FIELD")
    assert connections.asked == []


async def test_no_answer_echoes_what_was_sent() -> None:
    answer = await call(
        FakeConnections(), "POST", "/api/v1/orders", content=body(ORDER, side="<script>")
    )
    assert "<script>" not in answer.text


async def test_a_wrong_method_and_a_wrong_path_have_their_codes() -> None:
    wrong_method = await call(FakeConnections(), "DELETE", "/api/v1/orders")
    wrong_path = await call(FakeConnections(), "GET", "/api/v1/nothing")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert (wrong_path.status_code, wrong_path.json()["code"]) == (404, "NOT_FOUND")


def test_the_app_is_made_without_any_connection() -> None:
    assert create_app(settings_of()).title
