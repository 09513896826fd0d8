"""Books, risk, alarms and verdicts over HTTP, against stand-ins."""

import json
from decimal import Decimal
from typing import Any

import pytest

from starters.errors import OrderNotFound, OutcomeUnknown, Refused
from tests.unit import operator_samples as samples
from tests.unit.starters_fakes import FakeConnections, call, snapshot
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.steering_messages import ResolveRequest, Verdict
from workflows.sync_messages import SyncReport

API = "/api/v1"
POSITIONS, RISK = f"{API}/positions", f"{API}/risk"
NOT_FOUND = Denied(code=DenialCode.NOT_FOUND, field="alarm_id", detail="no alarm 99")


def sent(**fields: Any) -> dict[str, bytes]:
    return {"content": json.dumps(fields).encode()}


def ledger(**rows: Any) -> FakeConnections:
    return FakeConnections(rows=rows)


# --- books ----------------------------------------------------------------------------------------


async def test_positions_are_shown_with_exact_amounts_as_text() -> None:
    answer = await call(ledger(positions=[samples.position()]), "GET", POSITIONS)
    (shown,) = answer.json()["positions"]
    assert (shown["quantity"], shown["cost"], shown["total"]) == ("0.5", "25100", "594.7")
    assert (shown["fees_other"], shown["fees_unvalued"]) == ("0.00000001", {"BNB": "0.01"})
    assert (shown["method"], shown["lots"]) == ("average", None)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "BTC/USDT", "BTC%2FUSDT", "BTC%2fUSDT"])
async def test_each_way_to_write_a_symbol_reaches_the_same_position(symbol: str) -> None:
    asked: list[Any] = []

    def found(*key: str) -> Any:
        asked.append(key)
        return samples.position()

    answer = await call(ledger(position=found), "GET", f"{POSITIONS}/s1/binance/{symbol}")
    assert (answer.status_code, answer.json()["symbol"]) == (200, "BTC/USDT")
    assert asked == [("s1", "binance", "BTC/USDT", "main")]


@pytest.mark.parametrize(
    "path", ["s1/binance/BTC%2FUSDT/x", "s1%2Fbinance/BTC-USDT", "s1/binance/..%2F..%2Fx"]
)
async def test_an_escaped_separator_is_refused_everywhere_else(path: str) -> None:
    answer = await call(ledger(position=samples.position()), "GET", f"{POSITIONS}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (422, "ILLEGAL_CHARS")


async def test_fifo_shows_its_lots_and_keeps_quantity_and_total() -> None:
    rows = {"position": samples.position(), "fifo": samples.fifo()}
    path = f"{POSITIONS}/s1/binance/BTC-USDT?method=fifo"
    shown = (await call(ledger(**rows), "GET", path)).json()
    assert shown["lots"] == [{"quantity": "0.5", "price": "50600"}]
    assert (shown["cost"], shown["quantity"], shown["total"]) == ("25300", "0.5", "594.7")


async def test_a_position_that_never_was_is_not_found() -> None:
    answer = await call(ledger(position=None), "GET", f"{POSITIONS}/s1/binance/BTC-USDT")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("positions?group_by=side", "UNKNOWN_ENUM", "group_by"),
        ("positions?method=lifo", "UNKNOWN_ENUM", "method"),
        ("positions?group_by=symbol&method=fifo", "FIELD_NOT_ALLOWED", "method"),
        ("positions?color=red", "UNKNOWN_FIELD", "query"),
        ("positions/history", "MISSING_FIELD", "strategy_id"),
        ("positions/history?strategy_id=s1&since=yesterday", "INVALID_TIME", "since"),
        ("fills?limit=0", "OUT_OF_RANGE", "limit"),
        ("fills?format=xml", "UNKNOWN_ENUM", "format"),
        ("balances/nowhere", "UNKNOWN_ENUM", "exchange"),
        ("balances/binance?account=other", "UNKNOWN_ENUM", "account"),
        ("alarms?cursor=x", "INVALID_CURSOR", "cursor"),
        ("alarms?acknowledged=1", "INVALID_TYPE", "acknowledged"),
    ],
)
async def test_a_bad_question_is_refused_with_its_field(path: str, code: str, field: str) -> None:
    answer = await call(ledger(), "GET", f"{API}/{path}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)


async def test_history_says_where_to_go_on_when_the_page_is_full() -> None:
    path = f"{POSITIONS}/history?strategy_id=s1&limit=2"
    full = (await call(ledger(snapshots=[samples.a_snapshot()] * 2), "GET", path)).json()
    last = (await call(ledger(snapshots=[samples.a_snapshot()]), "GET", path)).json()
    assert (full["next_since"], last["next_since"]) == ("2026-01-31T12:00:00Z", None)


async def test_fills_come_as_json_or_as_csv_in_which_no_text_is_a_formula() -> None:
    rows = {"fills": ([samples.fill(venue_order_id="=cmd()")], "more")}
    page = (await call(ledger(**rows), "GET", f"{API}/fills")).json()
    assert (page["fills"][0]["fee"], page["next_cursor"]) == ("-0.5", "more")
    answer = await call(ledger(**rows), "GET", f"{API}/fills?format=csv")
    names, line = answer.text.strip().split("\r\n")
    cells = dict(zip(names.split(","), line.split(","), strict=True))
    assert (cells["venue_order_id"], cells["fee"]) == ("'=cmd()", "-0.5")
    assert answer.headers["x-next-cursor"] == "more"
    assert answer.headers["content-type"].startswith("text/csv")


async def test_balances_show_ours_the_venues_and_the_difference() -> None:
    unread = samples.balance(asset="BTC", venue_total=None, venue_free=None, read_at=None)
    rows = {"balances": [samples.balance(), unread]}
    found = (await call(ledger(**rows), "GET", f"{API}/balances/binance")).json()["balances"]
    assert [each["difference"] for each in found] == ["0.5", None]


async def test_statistics_are_read_for_one_strategy() -> None:
    asked: list[Any] = []

    def found(*only: Any) -> Any:
        asked.append(only)
        return samples.statistics()

    path = f"{API}/orders/statistics?strategy_id=s1"
    shown = (await call(FakeConnections(rows={"order_sums": found}), "GET", path)).json()
    assert asked == [("s1", None, None, None)]
    assert (shown["fill_ratio"], shown["by_type"]["market"]["filled"]) == ("0.75", 3)


# --- comparing with a venue -----------------------------------------------------------------------


async def test_a_comparison_answers_what_differed() -> None:
    connections = FakeConnections(SyncReport(exchange="binance"))
    answer = await call(connections, "POST", f"{POSITIONS}/sync/binance")
    assert (answer.status_code, answer.json()["exchange"]) == (200, "binance")
    assert connections.asked == [("binance", "desk-2")]


async def test_an_exchange_that_is_not_configured_is_not_compared() -> None:
    connections = FakeConnections(SyncReport(exchange="kraken"))
    answer = await call(connections, "POST", f"{POSITIONS}/sync/kraken")
    assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_ENUM")
    assert connections.asked == []


# --- decisions ------------------------------------------------------------------------------------

DECISIONS: list[tuple[str, str, dict[str, Any], tuple[Any, ...]]] = [
    (
        "POST",
        "alarms/17/ack",
        {"note": "on it"},
        ("acknowledge", (17,), {"by": "desk-2", "note": "on it"}),
    ),
    (
        "PUT",
        "risk/limits",
        {"scope": "global", "name": "max_order_value", "value": 2e4, "reason": "first week"},
        (
            "set_limit",
            ("global", "max_order_value", Decimal(20000)),
            {"by": "desk-2", "reason": "first week"},
        ),
    ),
    (
        "PUT",
        "risk/limits",
        {"scope": "global", "name": "max_order_value", "value": None, "reason": "over"},
        ("set_limit", ("global", "max_order_value", None), {"by": "desk-2", "reason": "over"}),
    ),
    (
        "POST",
        "risk/rearm",
        {"strategy_id": "s1", "reason": "mended", "requested_by": "desk-2"},
        ("rearm", ("s1",), {"by": "desk-2", "reason": "mended"}),
    ),
    (
        "POST",
        "risk/overrides/3/approve",
        {"requested_by": "desk-2"},
        ("approve_override", (3,), {"by": "desk-2"}),
    ),
    ("POST", "risk/overrides/3/revoke", {}, ("revoke_override", (3,), {"by": "desk-2"})),
    (
        "POST",
        "balances/binance/transfers",
        {"asset": "USDT", "amount": "-5000", "reason": "withdrawn"},
        (
            "book_transfer",
            ("binance", "main", "USDT", Decimal(-5000)),
            {"by": "desk-2", "reason": "withdrawn"},
        ),
    ),
]
ROWS = {
    "alarms": [samples.alarm()],
    "overrides": [samples.override()],
    "strategies": [samples.strategy()],
    "balances": [samples.balance()],
    "limits": [samples.limit()],
    "effective": [samples.effective()],
}


@pytest.mark.parametrize(("method", "path", "fields", "decided"), DECISIONS)
async def test_a_decision_is_passed_on_exactly_with_who_decides(
    method: str, path: str, fields: dict[str, Any], decided: tuple[Any, ...]
) -> None:
    connections = FakeConnections(rows=ROWS)
    answer = await call(connections, method, f"{API}/{path}", **sent(**fields))
    assert answer.status_code == 200, answer.text
    assert connections.asked == [decided]


@pytest.mark.parametrize(("method", "path", "fields", "_decided"), DECISIONS)
@pytest.mark.parametrize(
    ("denied", "status"),
    [
        (NOT_FOUND, 404),
        (Denied(code=DenialCode.NEEDS_ANOTHER, detail="override=3 requested_by=desk-2"), 409),
        (Denied(code=DenialCode.INCONSISTENT_LIMITS, field="value", detail="value=2"), 422),
    ],
)
async def test_a_decision_that_cannot_be_is_its_code(
    method: str,
    path: str,
    fields: dict[str, Any],
    _decided: object,
    denied: Denied,
    status: int,
) -> None:
    connections = FakeConnections(rows=ROWS, decided=denied)
    answer = await call(connections, method, f"{API}/{path}", **sent(**fields))
    assert (answer.status_code, answer.json()["code"]) == (status, denied.code)


async def test_an_override_is_asked_for_and_answered_with_its_number() -> None:
    connections = FakeConnections(rows=ROWS, decided=3)
    fields = {"scope": "strategy:s1", "code": "RISK_PRICE_COLLAR", "reason": "gap"}
    fields["requested_by"] = "desk-2"
    answer = await call(connections, "POST", f"{RISK}/overrides", **sent(**fields))
    assert (answer.status_code, answer.json()["id"]) == (201, 3)
    ((what, where, how),) = connections.asked
    assert (what, where) == ("request_override", ("strategy:s1", "RISK_PRICE_COLLAR"))
    assert how == {"by": "desk-2", "minutes": 15, "reason": "gap"}


@pytest.mark.parametrize(
    ("path", "fields", "code", "field"),
    [
        ("risk/rearm", {"strategy_id": "s1"}, "MISSING_FIELD", "reason"),
        ("risk/rearm", {"strategy_id": "s1", "reason": " "}, "MISSING_FIELD", "reason"),
        ("risk/rearm", {"strategy_id": "a b", "reason": "x"}, "ILLEGAL_CHARS", "strategy_id"),
        ("risk/rearm", {"strategy_id": "s1", "reason": "a\0"}, "ILLEGAL_CHARS", "reason"),
        ("alarms/17/ack", {"by": "me"}, "UNKNOWN_FIELD", "by"),
        ("alarms/x/ack", {}, "INVALID_TYPE", "alarm_id"),
        (
            "risk/overrides",
            {"scope": "global", "code": "RISK_MAX_QTY", "minutes": 16, "reason": "x"}
            | {"requested_by": "desk-2"},
            "OUT_OF_RANGE",
            "minutes",
        ),
        (
            "risk/overrides/3/approve",
            {"requested_by": "desk-1"},
            "FIELD_NOT_ALLOWED",
            "requested_by",
        ),
        (
            "balances/binance/transfers",
            {"asset": "USDT", "amount": 0, "reason": "x"},
            "OUT_OF_RANGE",
            "amount",
        ),
        (
            "balances/binance/transfers",
            {"asset": "USDT", "amount": "NaN", "reason": "x"},
            "INVALID_DECIMAL",
            "amount",
        ),
        (
            "orders/a/children/0/resolve",
            {"verdict": "adopt", "reason": "x"},
            "MISSING_FIELD",
            "exchange_order_id",
        ),
        (
            "orders/a/children/0/resolve",
            {"verdict": "absent", "exchange_order_id": "1", "reason": "x"},
            "FIELD_NOT_ALLOWED",
            "exchange_order_id",
        ),
        ("orders/a/children/0/resolve", {"verdict": "maybe"}, "UNKNOWN_ENUM", "verdict"),
        ("orders/a/children/-1/resolve", {}, "INVALID_TYPE", "child"),
    ],
)
async def test_a_bad_decision_is_refused_before_anything_is_asked(
    path: str, fields: dict[str, Any], code: str, field: str
) -> None:
    connections = FakeConnections(snapshot(), rows=ROWS)
    answer = await call(connections, "POST", f"{API}/{path}", **sent(**fields))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert connections.asked == []


async def test_a_ledger_that_is_away_answers_503_and_when_to_ask_again() -> None:
    for method, path, fields, _ in DECISIONS:
        connections = FakeConnections(is_ledger_away=True)
        answer = await call(connections, method, f"{API}/{path}", **sent(**fields))
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert answer.headers["retry-after"]


# --- alarms and verdicts --------------------------------------------------------------------------


async def test_an_alarm_says_what_it_means_and_what_to_do() -> None:
    rows = {"alarms": [samples.alarm(18), samples.alarm(17, code="OF_AN_OLDER_VERSION")]}
    page = (await call(ledger(**rows), "GET", f"{API}/alarms?limit=1")).json()
    (shown,) = page["alarms"]
    assert (shown["id"], page["next_cursor"]) == (18, "18")
    assert "the venue" in shown["meaning"]
    assert "orders resolve" in shown["action"]


@pytest.mark.parametrize("raw", [b"", b"{}"])
async def test_an_alarm_is_taken_up_without_a_note_too(raw: bytes) -> None:
    connections = FakeConnections(rows=ROWS)
    options = {"content": raw} if raw else {}
    answer = await call(connections, "POST", f"{API}/alarms/17/ack", **options)
    assert (answer.status_code, answer.json()["id"]) == (200, 17)


VERDICT = sent(verdict="adopt", exchange_order_id="28457", reason="seen there")


async def test_a_verdict_names_the_child_and_answers_the_order() -> None:
    connections = FakeConnections(snapshot("a"), orders=[snapshot("a")])
    answer = await call(connections, "POST", f"{API}/orders/a/children/2/resolve", **VERDICT)
    assert (answer.status_code, answer.json()["order_id"]) == (200, "a")
    request = ResolveRequest(
        child=2,
        verdict=Verdict.ADOPT,
        exchange_order_id="28457",
        reason="seen there",
        requested_by="desk-2",
    )
    assert connections.asked == [("a", request)]


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Refused("a", Denied(code=DenialCode.NOT_UNKNOWN, detail="filled")), 409, "NOT_UNKNOWN"),
        (OutcomeUnknown("a"), 503, "OUTCOME_UNKNOWN"),
        (OrderNotFound("a"), 409, "ALREADY_TERMINAL"),
    ],
)
async def test_each_outcome_of_a_verdict_has_its_status(
    outcome: Exception, status: int, code: str
) -> None:
    connections = FakeConnections(outcome, orders=[snapshot("a", status=OrderStatus.FILLED)])
    answer = await call(connections, "POST", f"{API}/orders/a/children/0/resolve", **VERDICT)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
