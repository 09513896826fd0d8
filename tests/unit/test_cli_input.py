"""The command line without any stack: bad input is exit 2 in one line, nothing is a trace."""

import json
from pathlib import Path

import pytest

from starters.cli import main
from workflows.domain.orders import OrderType

BASE = ["--symbol", "BTC/USDT", "--side", "buy"]
MARKET = ["order", "market", *BASE]
LIMIT = ["order", "limit", *BASE, "--quantity", "1"]
ARBITRAGE = ["arbitrage", "run", "--symbol", "BTC/USDT", "--buy-exchange", "binance"]
ARBITRAGE += ["--sell-exchange", "okx", "--buy-price", "50000", "--sell-price", "50300"]
TWAP = ["order", "twap", *BASE, "--quantity", "1"]
ICEBERG = ["order", "iceberg", *BASE, "--quantity", "1", "--price", "50000"]
EXIT = ["--symbol", "BTC/USDT", "--side", "sell", "--quantity", "1"]
OVER = ["--start-at", "2030-01-31T12:00:00Z", "--end-at", "2030-01-31T11:00:00Z"]


GROUPS = (["order"], ["orders", "preview"])


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with no stack: nothing answers, no setting is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DELTA_HOME", str(tmp_path / "home"))


ROWS = [
    *(
        (f"quantity {text!r}", [*MARKET, f"--quantity={text}"], code, "quantity")
        for text, code in [
            ("abc", "INVALID_DECIMAL"),
            ("NaN", "INVALID_DECIMAL"),
            ("1e400", "INVALID_DECIMAL"),
            ("1E5", "INVALID_DECIMAL"),
            ("-1", "NOT_POSITIVE"),
            ("0", "NOT_POSITIVE"),
            ("-0", "NOT_POSITIVE"),
            ("1_000", "INVALID_DECIMAL"),
            (" 1 ", "INVALID_DECIMAL"),
            ("0x10", "INVALID_DECIMAL"),
            ("½", "INVALID_DECIMAL"),
            ("", "INVALID_DECIMAL"),
            ("0.1234567890123456789", "PRECISION"),
            ("1000000000000000001", "INVALID_DECIMAL"),
        ]
    ),
    ("no quantity", MARKET, "MISSING_FIELD", "quantity"),
    ("no side", ["order", "market", "--symbol", "BTC/USDT"], "MISSING_FIELD", "side"),
    ("price 0", [*LIMIT, "--price", "0"], "NOT_POSITIVE", "price"),
    ("no price", LIMIT, "MISSING_FIELD", "price"),
    ("slices", [*TWAP, "--twap-slices", "1000000"], "OUT_OF_RANGE", "twap_slices"),
    ("slices 0", [*TWAP, "--twap-slices=0"], "OUT_OF_RANGE", "twap_slices"),
    ("slices -1", [*TWAP, "--twap-slices=-1"], "OUT_OF_RANGE", "twap_slices"),
    ("slices text", [*TWAP, "--twap-slices", "ten"], "INVALID_TYPE", "twap_slices"),
    ("interval", [*TWAP, "--twap-interval=-5"], "OUT_OF_RANGE", "twap_interval"),
    ("timeout", [*LIMIT, "--price", "1", "--timeout-s", "3155760000"], "OUT_OF_RANGE", "timeout_s"),
    ("side", [*MARKET, "--side", "BUY ", "--quantity", "1"], "UNKNOWN_ENUM", "side"),
    ("gtd", [*LIMIT, "--price", "1", "--time-in-force", "GTD"], "UNKNOWN_ENUM", "time_in_force"),
    (
        "post-only ioc",
        [*LIMIT, "--price", "1", "--time-in-force", "IOC", "--post-only"],
        "FIELD_NOT_ALLOWED",
        "post_only",
    ),
    ("ratio", [*ICEBERG, "--iceberg-visible-ratio", "0"], "OUT_OF_RANGE", "iceberg_visible_ratio"),
    ("no stop", ["order", "stop-loss", *EXIT], "MISSING_FIELD", "stop_price"),
    ("no profit", ["order", "take-profit", *EXIT], "MISSING_FIELD", "take_profit_price"),
    ("no delta", ["order", "trailing-stop", *EXIT], "MISSING_FIELD", "trailing_delta_bps"),
    (
        "delta",
        ["order", "trailing-stop", *EXIT, "--trailing-delta-bps", "10000"],
        "OUT_OF_RANGE",
        "trailing_delta_bps",
    ),
    (
        "oco prices",
        ["order", "oco", *EXIT, "--oco-limit-price", "48000", "--stop-price", "49000"],
        "OCO_PRICES",
        "oco_limit_price",
    ),
    ("end", [*TWAP, *OVER], "END_BEFORE_START", "end_at"),
    ("preview", ["orders", "preview", "limit", *EXIT], "MISSING_FIELD", "price"),
    ("pause id", ["orders", "pause", "a/b"], "ILLEGAL_CHARS", "order_id"),
    ("pause why", ["orders", "pause", "a", "--reason", "a\nb"], "ILLEGAL_CHARS", "reason"),
    ("resume who", ["orders", "resume", "a", "--requested-by", "x" * 501], "TOO_LONG", "by"),
    ("amend nothing", ["orders", "amend", "a", "--reason", "b"], "MISSING_FIELD", "price"),
    ("amend price", ["orders", "amend", "a", "--price", "0"], "NOT_POSITIVE", "price"),
    ("amend rate", ["orders", "amend", "a", "--max-participation=1"], "OUT_OF_RANGE", "max_part"),
    ("amend end", ["orders", "amend", "a", "--end-at", "soon"], "INVALID_TIME", "end_at"),
    ("priority", [*MARKET, "--quantity", "1", "--priority", "9"], "OUT_OF_RANGE", "priority"),
    (
        "strategy",
        [*MARKET, "--quantity", "1", "--strategy-id", "'; DROP TABLE orders;--"],
        "ILLEGAL_CHARS",
        "strategy_id",
    ),
    ("id", [*MARKET, "--quantity", "1", "--id", "a b"], "ILLEGAL_CHARS", "order_id"),
    ("long id", [*MARKET, "--quantity", "1", "--id", "x" * 65], "TOO_LONG", "order_id"),
    ("show id", ["orders", "show", "a/b"], "ILLEGAL_CHARS", "order_id"),
    ("progress id", ["orders", "progress", ".."], "ILLEGAL_CHARS", "order_id"),
    ("reason", ["orders", "cancel", "a", "--reason", "a\nb"], "ILLEGAL_CHARS", "reason"),
    ("limit 0", ["orders", "list", "--limit", "0"], "OUT_OF_RANGE", "limit"),
    ("limit 1e3", ["orders", "list", "--limit", "1e3"], "INVALID_TYPE", "limit"),
    ("status", ["orders", "list", "--status", "open"], "UNKNOWN_ENUM", "status"),
    ("leg id", ["orders", "show", "arb-1:"], "ILLEGAL_CHARS", "order_id"),
    ("execution id", ["arbitrage", "show", "arb-1:buy"], "ILLEGAL_CHARS", "execution_id"),
    ("rebalance id", ["rebalance", "cancel", "x" * 65], "TOO_LONG", "execution_id"),
    ("why", ["arbitrage", "cancel", "a", "--reason", "a\nb"], "ILLEGAL_CHARS", "reason"),
    ("state", ["arbitrage", "list", "--status", "filled"], "UNKNOWN_ENUM", "status"),
    ("page", ["arbitrage", "list", "--limit", "501"], "OUT_OF_RANGE", "limit"),
    *(
        (f"target {text}", ["rebalance", "run", "--target", text], code, "targets")
        for text, code in [
            ("BTC", "INVALID_TYPE"),
            ("=0.5", "INVALID_TYPE"),
            ("BTC=", "INVALID_DECIMAL"),
            ("BTC=half", "INVALID_DECIMAL"),
        ]
    ),
    (
        "target twice",
        ["rebalance", "run", "--target", "BTC=0.5", "--target", "BTC=0.4"],
        "DUPLICATE_FIELD",
        "targets",
    ),
    ("no target", ["rebalance", "preview"], "MISSING_FIELD", "targets"),
    ("no plan", ["arbitrage", "run", "--plan", "nowhere.json"], "INVALID_INPUT", "plan"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "field"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_bad_input_is_exit_2_in_one_line_that_names_it(
    arguments: list[str], code: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert shown.out == ""
    assert len(lines) == 1
    assert lines[0].startswith(f"{code}: ")
    assert field in lines[0]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MAX_ORDER_VALUE", "NaN"), ("DATABASE_URL_FILE", "missing.txt"), ("API_HOST", "0.0.0.0")],
)
def test_a_wrong_setting_is_exit_2_in_one_line_that_names_it(
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    command = ["api"] if variable == "API_HOST" else [*MARKET, "--quantity", "1"]
    assert main(command) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert variable in lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["order", "market", "--colour", "red"],
        ["order", "sniper"],
        ["order", "market", "--price", "50000"],
        ["order", "stop-loss", "--twap-slices", "5"],
        ["orders", "preview", "sniper"],
        ["orders", "amend"],
        ["schema", "Nothing"],
        ["orders", "show"],
        ["arbitrage", "show"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [*MARKET, "--quantity", "1"],
        ["orders", "cancel", "a"],
        ["orders", "list"],
        ["orders", "show", "a"],
        ["orders", "progress", "a"],
        [*ICEBERG, "--watch"],
        ["orders", "preview", "market", *EXIT],
        ["orders", "pause", "a"],
        ["orders", "resume", "a"],
        ["orders", "amend", "a", "--price", "1"],
        [*ARBITRAGE, "--amount", "1"],
        ["arbitrage", "show", "a"],
        ["arbitrage", "cancel", "a"],
        ["arbitrage", "list"],
        ["rebalance", "run", "--target", "BTC=1"],
        ["rebalance", "preview", "--target", "BTC=1"],
    ],
)
def test_without_a_stack_one_line_says_what_to_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "is the stack up? make up" in lines[0]


def test_schema_prints_the_schemas_of_the_public_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    schemas = json.loads(capsys.readouterr().out)
    assert set(schemas) == {
        "OrderRequest",
        "OrderSnapshot",
        "OrderPreview",
        "CancelRequest",
        "SteerRequest",
        "AmendRequest",
        "ResolveRequest",
        "SyncReport",
        "SyncRequest",
        "ArbitragePlan",
        "ArbitrageSnapshot",
        "RebalancePlan",
        "RebalanceSnapshot",
        "Denied",
        "ErrorBody",
        "StreamEvent",
    }
    assert "twap_slices" in schemas["OrderRequest"]["properties"]


@pytest.mark.parametrize(
    "command",
    [
        *([*group, kind.replace("_", "-")] for kind in OrderType for group in GROUPS),
        *(["orders", name] for name in ("list", "show", "progress", "cancel")),
        *(["orders", name] for name in ("pause", "resume", "amend")),
        ["schema"],
        *(["arbitrage", name] for name in ("run", "show", "cancel", "list")),
        *(["rebalance", name] for name in ("run", "preview", "show", "cancel")),
    ],
)
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "Example: python -m starters" in capsys.readouterr().out
