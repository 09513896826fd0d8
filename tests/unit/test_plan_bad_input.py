"""Bad plans over HTTP and at the command line: each its code and field, and nothing is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from starters.cli import main
from tests.unit.execution_samples import ARBITRAGE_PLAN, REBALANCE_PLAN
from tests.unit.starters_fakes import FakeConnections, call

LEG = {"symbol": "BTC/USDT", "type": "limit", "amount": "0.1"}
BUY = {**LEG, "exchange": "binance", "side": "buy", "price": "50000"}
SELL = {**LEG, "exchange": "okx", "side": "sell", "price": "50300"}
THIRD = {**LEG, "exchange": "kraken", "side": "sell", "price": "50300"}

ARBITRAGES: list[tuple[str, dict[str, Any], str, str]] = [
    ("same venue twice", {"sell_exchange": "binance"}, "SAME_VENUE", "sell_exchange"),
    ("venue is no name", {"buy_exchange": "bin ance"}, "ILLEGAL_CHARS", "buy_exchange"),
    ("price 0", {"buy_price": "0"}, "NOT_POSITIVE", "buy_price"),
    ("price below 0", {"sell_price": "-1"}, "NOT_POSITIVE", "sell_price"),
    ("price is no number", {"sell_price": "NaN"}, "INVALID_DECIMAL", "sell_price"),
    ("amount 0", {"amount": "0"}, "NOT_POSITIVE", "amount"),
    ("estimate too high", {"est_profit": "60"}, "INCONSISTENT_PLAN", "est_profit"),
    ("estimate too low", {"est_profit": "-100"}, "INCONSISTENT_PLAN", "est_profit"),
    ("timeout 0", {"timeout": "0"}, "OUT_OF_RANGE", "timeout"),
    ("timeout too long", {"timeout": "3601"}, "OUT_OF_RANGE", "timeout"),
    ("three legs", {"orders": [BUY, SELL, THIRD]}, "UNSUPPORTED_LEGS", "orders"),
    ("one leg", {"orders": [BUY]}, "UNSUPPORTED_LEGS", "orders"),
    ("two buys", {"orders": [BUY, BUY]}, "UNSUPPORTED_LEGS", "orders"),
    ("leg of another venue", {"orders": [BUY, THIRD]}, "INCONSISTENT_PLAN", "orders"),
    (
        "leg without its limit",
        {"orders": [BUY, {**SELL, "price": None}]},
        "INCONSISTENT_PLAN",
        "orders",
    ),
    ("mode", {"mode": "at once"}, "UNKNOWN_ENUM", "mode"),
    ("leg life", {"leg_time_in_force": "FOK"}, "UNKNOWN_ENUM", "leg_time_in_force"),
    ("bound", {"max_loss_bps": "1001"}, "OUT_OF_RANGE", "max_loss_bps"),
    ("priority", {"priority": 6}, "OUT_OF_RANGE", "priority"),
    ("id", {"id": "arb:1"}, "ILLEGAL_CHARS", "id"),
    ("unknown field", {"leverage": "10"}, "UNKNOWN_FIELD", "leverage"),
]
REBALANCES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "weights above 1",
        {"targets": {"BTC": "0.7", "ETH": "0.4"}},
        "INVALID_WEIGHTS",
        "targets",
    ),
    (
        "weights below 1 with cash named",
        {"targets": {"BTC": "0.7", "USDT": "0.2"}},
        "INVALID_WEIGHTS",
        "targets",
    ),
    ("weight below 0", {"targets": {"BTC": "-0.1"}}, "OUT_OF_RANGE", "targets"),
    ("one weight above 1", {"targets": {"BTC": "1.1"}}, "OUT_OF_RANGE", "targets"),
    ("no weights", {"targets": {}}, "MISSING_FIELD", "targets"),
    ("same venue twice", {"exchanges": ["okx", "okx"]}, "SAME_VENUE", "exchanges"),
    ("no venue", {"exchanges": []}, "MISSING_FIELD", "exchanges"),
    ("too many venues", {"exchanges": [*"abcdef"]}, "TOO_LONG", "exchanges"),
    ("timeout", {"timeout": "0.05"}, "OUT_OF_RANGE", "timeout"),
    ("scope", {"scope": "some"}, "UNKNOWN_ENUM", "scope"),
    ("unknown field", {"leverage": "10"}, "UNKNOWN_FIELD", "leverage"),
]
ROWS = [
    *(("arbitrage", ARBITRAGE_PLAN, *row) for row in ARBITRAGES),
    *(("rebalance", REBALANCE_PLAN, *row) for row in REBALANCES),
]
every_row = pytest.mark.parametrize(
    ("kind", "plan", "changes", "code", "field"),
    [(kind, plan, changes, code, field) for kind, plan, _name, changes, code, field in ROWS],
    ids=[f"{row[0]} {row[2]}" for row in ROWS],
)


@every_row
async def test_a_bad_plan_is_422_with_its_code_and_field_and_nothing_is_asked(
    kind: str, plan: dict[str, Any], changes: dict[str, Any], code: str, field: str
) -> None:
    connections = FakeConnections()
    body = json.dumps(plan | changes).encode()
    answer = await call(connections, "POST", f"/api/v1/{kind}", content=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert set(answer.json()) == {"code", "message", "field", "request_id"}
    assert connections.asked == []


@every_row
def test_a_bad_plan_is_exit_2_in_one_line_that_names_it(
    kind: str,
    plan: dict[str, Any],
    changes: dict[str, Any],
    code: str,
    field: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(plan | changes))
    assert main([kind, "run", "--plan", "plan.json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.err.startswith(f"{code}: ")
    assert field in shown.err


OPTIONS = {
    "--symbol": "BTC/USDT",
    "--buy-exchange": "binance",
    "--sell-exchange": "okx",
    "--buy-price": "50000",
    "--sell-price": "50300",
    "--amount": "0.1",
}


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        *(
            ({f"--{name.replace('_', '-')}": value for name, value in changes.items()}, code, field)
            for _name, changes, code, field in ARBITRAGES
            if all(isinstance(value, str) for value in changes.values())
            and not {"leverage"} & set(changes)
        ),
        *(({name: None}, "MISSING_FIELD", name[2:].replace("-", "_")) for name in OPTIONS),
    ],
)
def test_a_bad_option_is_exit_2_in_one_line_that_names_its_field(
    options: dict[str, str | None],
    code: str,
    field: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [f"{name}={value}" for name, value in (OPTIONS | options).items() if value is not None]
    assert main(["arbitrage", "run", *given]) == 2
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.strip().splitlines())) == ("", 1)
    assert shown.err.startswith(f"{code}: ")
    assert field in shown.err


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, "INVALID_JSON"),
        ("[]", 422, "INVALID_TYPE"),
        ('{"amount": NaN}', 400, "INVALID_JSON"),
        ('{"amount": "1", "amount": "2"}', 400, "DUPLICATE_FIELD"),
        ("[" * 30_000, 400, "TOO_DEEP"),
    ],
)
@pytest.mark.parametrize("kind", ["arbitrage", "rebalance"])
async def test_what_is_no_plan_at_all_is_refused_alike(
    kind: str, text: str, status: int, code: str, tmp_path: Path
) -> None:
    connections = FakeConnections()
    answer = await call(connections, "POST", f"/api/v1/{kind}", content=text.encode())
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert connections.asked == []


@pytest.mark.parametrize("text", ["", "[]", '{"amount": NaN}', "not json", " " * 70_000])
def test_a_file_without_a_plan_is_exit_2_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    assert main(["arbitrage", "run", "--plan", str(file)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "path", ["arbitrage/a:b", "arbitrage/..", "rebalance/a%20b", f"rebalance/{'x' * 65}"]
)
async def test_an_id_in_a_path_must_be_an_id(path: str) -> None:
    for method, tail in (("GET", ""), ("POST", "/cancel")):
        answer = await call(FakeConnections(), method, f"/api/v1/{path}{tail}")
        code = "TOO_LONG" if "xx" in path else "ILLEGAL_CHARS"
        expected = (404, "NOT_FOUND") if ".." in path else (422, code)
        assert (answer.status_code, answer.json()["code"]) == expected


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "OUT_OF_RANGE", "limit"),
        ("status=filled", "UNKNOWN_ENUM", "status"),
        ("cursor=garbage", "INVALID_CURSOR", "cursor"),
        ("strategy_id=%27", "ILLEGAL_CHARS", "strategy_id"),
        ("symbol=BTC-USDT", "UNKNOWN_FIELD", "query"),
    ],
)
async def test_a_bad_list_query_is_refused(query: str, code: str, field: str) -> None:
    answer = await call(FakeConnections(), "GET", f"/api/v1/arbitrage?{query}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
