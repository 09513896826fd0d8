"""The kill switch over HTTP and on the command line: what is asked, refused and told alike."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.ledger.view_models import TradingStateView
from starters import cli_actions, trading_state
from starters.api.documentation import SWITCH_EXAMPLES
from starters.cli import main
from starters.trading_state import SwitchRequest, validate_switch
from tests.unit.fake_emergency import AT, FakeEmergency
from tests.unit.starters_fakes import (
    FakeConnections,
    call,
    settings_of,
)
from workers import emergency
from workers.emergency import LedgerAwayError, SweptOrder
from workflows.domain.denials import DenialCode, Denied

PATH = "/api/v1/trading-state"
CANCELLED = SweptOrder(
    exchange="binance",
    account="main",
    symbol="BTC/USDT",
    client_order_id="a" * 32,
    exchange_order_id="17",
    order_id="order-1",
    strategy_id="s1",
    status="cancelled",
    executed_quantity=Decimal("0.250"),
)
UNPROVEN = SweptOrder(
    exchange="binance",
    account="main",
    symbol="BTC/USDT",
    client_order_id="b" * 32,
    exchange_order_id=None,
    order_id="order-2",
    strategy_id="s1",
    status="unproven",
    executed_quantity=None,
    detail="not found; it may still arrive",
)


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEmergency:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli_actions, "Connections", lambda _settings: FakeConnections())
    return FakeEmergency(orders=(CANCELLED,)).install(monkeypatch)


async def put(body: dict[str, Any], connections: FakeConnections | None = None) -> Any:
    return await call(connections or FakeConnections(), "PUT", PATH, content=json.dumps(body))


# --- what is asked --------------------------------------------------------------------------------

REFUSED = [
    ({}, "MISSING_FIELD", "state"),
    ({"state": "halted"}, "MISSING_FIELD", "scope"),
    ({"state": "stopped", "scope": "global"}, "UNKNOWN_ENUM", "state"),
    ({"state": 1, "scope": "global"}, "INVALID_TYPE", "state"),
    ({"state": "halted", "scope": 7}, "INVALID_TYPE", "scope"),
    ({"state": "halted", "scope": "everything"}, "UNKNOWN_ENUM", "scope"),
    ({"state": "halted", "scope": "venue:kraken"}, "UNKNOWN_ENUM", "scope"),
    ({"state": "halted", "scope": "symbol:binance:BTCUSDT"}, "ILLEGAL_CHARS", "scope"),
    ({"state": "active", "scope": "global"}, "MISSING_FIELD", "reason"),
    ({"state": "active", "scope": "global", "reason": "  "}, "MISSING_FIELD", "reason"),
    ({"state": "halted", "scope": "global", "reason": "x" * 501}, "TOO_LONG", "reason"),
    ({"state": "halted", "scope": "global", "flatten": "yes"}, "INVALID_TYPE", "flatten"),
    ({"state": "reducing", "scope": "global", "flatten": True}, "FIELD_NOT_ALLOWED", "flatten"),
    (
        {"state": "halted", "scope": "global", "flatten": True, "cancel_orders": False},
        "FIELD_NOT_ALLOWED",
        "flatten",
    ),
    (
        {"state": "active", "scope": "global", "reason": "go", "cancel_orders": True},
        "FIELD_NOT_ALLOWED",
        "cancel_orders",
    ),
    ({"state": "halted", "scope": "global", "force": True}, "UNKNOWN_FIELD", "force"),
]


@pytest.mark.parametrize(("body", "code", "field"), REFUSED)
async def test_a_wrong_request_is_422_with_its_code_and_changes_nothing(
    pulled: FakeEmergency, body: dict[str, Any], code: str, field: str
) -> None:
    answer = await put(body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert pulled.asked == []


async def test_what_is_not_one_json_object_is_refused(pulled: FakeEmergency) -> None:
    for content, code in (("[]", "INVALID_TYPE"), ("{", "INVALID_JSON")):
        answer = await call(FakeConnections(), "PUT", PATH, content=content)
        assert answer.json()["code"] == code
    assert pulled.asked == []


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (
            {"state": "halted", "scope": "global", "reason": "r"},
            ("halt", "global", "r", "desk-2", True, Decimal(20)),
        ),
        (
            {"state": "halted", "scope": "venue:binance", "cancel_orders": False},
            ("halt", "venue:binance", "", "desk-2", False, Decimal(20)),
        ),
        (
            {"state": "reducing", "scope": "strategy:s1", "requested_by": "desk-2"},
            ("reduce", "strategy:s1", "", "desk-2", False),
        ),
        (
            {"state": "reducing", "scope": "global", "cancel_orders": True},
            ("reduce", "global", "", "desk-2", True),
        ),
        (
            {"state": "active", "scope": "symbol:binance:BTC/USDT", "reason": "checked"},
            ("resume", "symbol:binance:BTC/USDT", "checked", "desk-2"),
        ),
    ],
)
async def test_what_is_asked_over_http_is_what_is_done(
    pulled: FakeEmergency, body: dict[str, Any], asked: tuple[Any, ...]
) -> None:
    assert (await put(body)).status_code == 200
    assert pulled.asked == [asked]


@pytest.mark.parametrize("example", SWITCH_EXAMPLES.values(), ids=SWITCH_EXAMPLES)
def test_the_documented_examples_are_accepted(example: dict[str, Any]) -> None:
    assert isinstance(validate_switch(example["value"]), SwitchRequest)


# --- what is told ---------------------------------------------------------------------------------


async def test_a_halt_is_answered_with_the_exchanges_word_on_each_order(
    pulled: FakeEmergency,
) -> None:
    answer = await put({"state": "halted", "scope": "global", "reason": "r"})
    told = answer.json()
    assert (answer.status_code, told["state"], told["confirmed"]) == (200, "halted", True)
    assert told["set_at"] == "2030-01-31T12:00:00Z"
    (order,) = told["orders"]
    assert (order["exchange_order_id"], order["status"]) == ("17", "cancelled")
    assert order["executed_quantity"] == "0.25"


async def test_what_is_unproven_is_202_and_named(pulled: FakeEmergency) -> None:
    pulled.swept = {"unproven": (UNPROVEN,), "unreachable": ("okx/main/BTC/USDT: away",)}
    answer = await put({"state": "halted", "scope": "global"})
    told = answer.json()
    assert (answer.status_code, told["confirmed"]) == (202, False)
    assert told["unproven"][0]["client_order_id"] == "b" * 32
    assert told["unreachable"] == ["okx/main/BTC/USDT: away"]


async def test_a_ledger_that_is_away_is_503_and_says_that_it_may_not_be_set(
    pulled: FakeEmergency,
) -> None:
    pulled.error = LedgerAwayError("the ledger does not answer: OSError")
    answer = await put({"state": "halted", "scope": "global"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert "may not be set" in answer.json()["message"]


async def test_every_switch_is_shown_and_the_global_one_always() -> None:
    row = TradingStateView(
        scope="venue:binance",
        state="reducing",
        code="LOSS_LIMIT",
        reason="loss",
        updated_by="engine",
        updated_at=AT,
    )
    answer = await call(FakeConnections(rows={"trading_states": [row]}), "GET", PATH)
    told = answer.json()["states"]
    assert [(each["scope"], each["state"]) for each in told] == [
        ("global", "active"),
        ("venue:binance", "reducing"),
    ]
    assert (told[1]["code"], told[1]["updated_by"]) == ("LOSS_LIMIT", "engine")


async def test_reading_the_switches_is_503_while_the_ledger_is_away() -> None:
    assert (await call(FakeConnections(is_ledger_away=True), "GET", PATH)).status_code == 503


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["halt", "--reason", "r"], ("halt", "global", "r", True, Decimal(60))),
        (
            ["halt", "--venue", "binance", "--keep-orders", "--within", "5"],
            ("halt", "venue:binance", "", False, Decimal(5)),
        ),
        (["reduce", "--strategy", "s1"], ("reduce", "strategy:s1", "", False)),
        (
            ["resume", "--symbol", "binance:BTC/USDT", "--reason", "checked"],
            ("resume", "symbol:binance:BTC/USDT", "checked"),
        ),
    ],
)
def test_what_is_typed_is_what_is_done(
    pulled: FakeEmergency, words: list[str], asked: tuple[Any, ...]
) -> None:
    assert main(["trading-state", *words]) == 0
    ((name, scope, reason, by, *more),) = pulled.asked
    assert (name, scope, reason, *more) == asked
    assert by.startswith("cli:")


def test_the_command_line_and_http_tell_the_same_fields(
    pulled: FakeEmergency, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trading-state", "halt", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == set(trading_state.SwitchAnswer.model_fields)
    assert told["orders"][0]["executed_quantity"] == "0.25"


def test_what_is_unproven_or_left_is_exit_code_1_and_named(
    pulled: FakeEmergency, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled.swept = {"unproven": (UNPROVEN,), "unprotected": ("order-9",)}
    assert main(["trading-state", "halt"]) == 1
    said = capsys.readouterr()
    assert "order-2" in said.out
    assert "order-9" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["halt", "--venue", "kraken"], "UNKNOWN_ENUM"),
        (["halt", "--symbol", "BTC/USDT"], "ILLEGAL_CHARS"),
        (["halt", "--venue", "binance", "--strategy", "s1"], "one of"),
        (["halt", "--flatten", "--keep-orders"], "FIELD_NOT_ALLOWED"),
        (["halt", "--within", "0"], "OUT_OF_RANGE"),
        (["halt", "--within", "soon"], "INVALID_DECIMAL"),
        (["resume"], "MISSING_FIELD"),
    ],
)
def test_wrong_usage_is_exit_code_2_in_one_line(
    pulled: FakeEmergency, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trading-state", *words]) == 2
    assert said in capsys.readouterr().err
    assert pulled.asked == []


def test_a_ledger_that_is_away_is_exit_code_1_in_one_line(
    pulled: FakeEmergency, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled.error = LedgerAwayError("the ledger does not answer: OSError")
    assert main(["trading-state", "halt"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("UNAVAILABLE")
    assert len(said.splitlines()) == 1


def test_a_scope_of_a_venue_that_is_not_configured_is_denied() -> None:
    told = emergency.read_scope(settings_of(), "symbol:okx:BTC/USDT")
    assert isinstance(told, Denied)
    assert told.code is DenialCode.UNKNOWN_ENUM
