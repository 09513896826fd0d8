"""The demo as a user runs it: a process of its own, a short minute, and nothing left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from starters.demo_beside import TRAILING_BPS
from starters.demo_settings import FOLDER
from workers.local_stack import delete_data
from workers.pidfile import stop_leftovers
from workers.settings import is_setting, load_settings

CHECKOUT = Path(__file__).resolve().parents[2]
SLICES, INTERVAL_S = 8, 2
VENUES = ["binance", "okx"]
WITHIN_S = 150.0
END_WITHIN_S = 60.0
FIRST_FILL_WITHIN_S = 30
# Five slices are not enough time for the protocol's own figures: a tenth of them, rule kept.
FIGURES = {
    "VALIDITY_WINDOW_S": "0.5",
    "SKEW_ALLOWANCE_S": "0.1",
    "HTTP_DEADLINE_S": "0.6",
    "SUBMIT_TIMEOUT_S": "0.8",
    "READ_LAG_S": "1",
}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


@pytest.fixture
def environ(tmp_path: Path, taken_port: int) -> Iterator[dict[str, str]]:
    """A DELTA_HOME of the test's own; the API's port is taken by somebody else."""
    environ = {"DELTA_HOME": str(tmp_path / "delta"), "API_PORT": str(taken_port), **FIGURES}
    yield environ
    settings = load_settings({**environ, "DELTA_HOME": str(tmp_path / "delta" / FOLDER)})
    asyncio.run(stop_leftovers(settings.home.run))
    delete_data(settings)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Start]:
    """Starts the demo with these options; what still runs at the end of the test is ended."""
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    with ExitStack() as started:

        def run(*options: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "starters", "demo", *options],
                env={**inherited, **environ, "ENV_FILE": os.devnull},
                cwd=CHECKOUT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)  # closes the pipes, and waits
            started.callback(end, process)
            return process

        yield run


def end(process: "subprocess.Popen[str]") -> None:
    """Let it stop its stack, within bounds. `communicate` reads on, so that it can say so."""
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def still_running(folder: str) -> list[str]:
    """Command lines of processes that name the folder or were told of it."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        command = " ".join(process.info["cmdline"] or [])
        home = (process.info["environ"] or {}).get("DELTA_HOME", "")
        if folder in command or home.startswith(folder):
            found.append(command)
    return found


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, f"it ended before it said {text!r}:\n{seen}"
        seen += line


def test_the_demo_shows_that_everything_holds_also_after_one_that_was_killed(
    start, environ, taken_port
):
    _one_is_killed(start, environ)
    process = start("--slices", str(SLICES), "--interval", str(INTERVAL_S), "--json")
    out, shown = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, shown
    summary = json.loads(out)
    assert summary["ok"], shown
    assert summary["first_fill_s"] < FIRST_FILL_WITHIN_S
    _orders_are_told_truly(summary)
    iceberg, stop = summary["orders"][3:]
    _the_iceberg_showed_tips(iceberg)
    _the_stop_followed_and_fired(stop)
    _the_worker_was_replaced(summary["crash"])
    arbitrage, refused, rebalance = summary["executions"]
    _both_legs_were_traded(arbitrage)
    _the_lone_leg_was_unwound(refused)
    _value_was_moved(rebalance)
    _operators_were_obeyed(summary["controls"])
    _positions_are_what_was_filled(summary)
    check = summary["check"]
    assert check["sent_twice"] == 0
    assert check["violations"] == []
    assert check["venues"] == VENUES
    legs = [each for execution in summary["executions"] for each in execution["orders"]]
    filled = [each for each in legs if Decimal(each["filled"])]
    assert check["orders_sent"] >= 2 + SLICES // 2 + len(filled)
    assert check["fills"] >= check["orders_sent"] - 1  # all but a limit order may have to fill
    assert f"{taken_port} (API)" in shown
    assert "\x1b" not in shown, "no colours off a terminal"
    assert still_running(environ["DELTA_HOME"]) == []


def _one_is_killed(start: Start, environ: dict[str, str]) -> None:
    killed = start()
    wait_for_line(killed, "accounts ready")
    killed.kill()
    killed.communicate()
    assert still_running(environ["DELTA_HOME"]) != []


def _orders_are_told_truly(summary: dict[str, Any]) -> None:
    orders = {each["order_type"]: each for each in summary["orders"]}
    assert list(orders) == ["market", "limit", "twap", "iceberg", "trailing_stop"]
    for kind in ("market", "twap"):
        order = orders[kind]
        assert order["status"] == "filled"
        assert Decimal(order["filled"]) == Decimal(order["planned"]) > 0
    for order in orders.values():
        if Decimal(order["filled"]):
            average, market = Decimal(order["average_price"]), Decimal(order["market_average"])
            cost_bp = (average / market - 1) * (10_000 if order["side"] == "buy" else -10_000)
            assert Decimal(order["cost_bp"]) == cost_bp.quantize(Decimal("0.01"))
            assert abs(cost_bp) < 100
            assert Decimal(order["fees"]["BTC" if order["side"] == "buy" else "USDT"]) > 0


def _the_iceberg_showed_tips(order: dict[str, Any]) -> None:
    iceberg, planned = order["iceberg"], Decimal(order["planned"])
    assert order["status"] in ("filled", "cancelled"), "the market may not have come"
    assert iceberg["placement"] == "engine"
    assert 0 < Decimal(iceberg["display_quantity"]) <= planned / 5
    assert iceberg["tips_shown"] >= iceberg["tips_filled"]
    if order["status"] == "filled":
        assert iceberg["tips_filled"] >= 5
        assert Decimal(order["filled"]) == planned


def _the_stop_followed_and_fired(order: dict[str, Any]) -> None:
    stop = order["stop"]
    assert (order["side"], stop["placement"]) == ("sell", "engine")
    best, trigger = Decimal(stop["extreme"]), Decimal(stop["trigger_price"])
    assert trigger == best * (1 - Decimal(TRAILING_BPS) / 10_000)
    if order["status"] == "cancelled":  # the market may not have fallen
        assert stop["fired_price"] is None
        return
    assert Decimal(order["filled"]) == Decimal(order["planned"])
    assert Decimal(stop["fired_price"]) <= trigger
    assert Decimal(order["average_price"]) < best


def _the_worker_was_replaced(crash: dict[str, Any]) -> None:
    assert crash["slice_number"] >= 4
    # the other one, or the same one's new process if the supervisor is quicker
    assert {crash["worker"], crash["taken_over_by"]} <= {"worker-0", "worker-1"}
    assert crash["pid"] != crash["taken_over_pid"] > 0
    assert 0 < crash["takeover_s"] <= crash["next_slice_s"] < SLICES * INTERVAL_S


def _both_legs_were_traded(arbitrage: dict[str, Any]) -> None:
    assert (arbitrage["kind"], arbitrage["status"]) == ("arbitrage", "completed")
    legs = {each["leg"]: each for each in arbitrage["orders"]}
    buy, sell = legs["buy"], legs["sell"]
    assert [buy["side"], sell["side"]] == ["buy", "sell"]
    assert sorted([buy["exchange"], sell["exchange"]]) == VENUES
    assert Decimal(buy["filled"]) > 0
    assert Decimal(sell["filled"]) > 0
    assert _is_what_the_fills_say(arbitrage)
    _profit_is_within_its_bound(arbitrage)


def _the_lone_leg_was_unwound(refused: dict[str, Any]) -> None:
    assert (refused["status"], refused["outcome"]) == ("unwound", "UNWOUND")
    legs = {each["leg"]: each for each in refused["orders"]}
    sell, (unwind,) = legs["sell"], [each for each in legs.values() if "unwind" in each["leg"]]
    assert (sell["status"], Decimal(sell["filled"])) == ("rejected", 0)
    assert "nsufficient" in sell["reason"]
    assert (unwind["side"], unwind["exchange"]) == ("sell", refused["buy_exchange"])
    assert refused["compensation"][0] == "unwind"
    assert Decimal(refused["compensation_cost"]) > 0
    assert _is_what_the_fills_say(refused)
    _profit_is_within_its_bound(refused)


def _is_what_the_fills_say(arbitrage: dict[str, Any]) -> bool:
    """Cash in and out, as far as the summary tells it; what is left over is worth cents."""
    cash = Decimal(0)
    for leg in arbitrage["orders"]:
        if filled := Decimal(leg["filled"]):
            value = filled * Decimal(leg["average_price"])
            cash += value if leg["side"] == "sell" else -value
            cash -= Decimal(leg["fees"].get("USDT", "0"))
    return abs(cash - Decimal(arbitrage["profit"])) < 1


def _profit_is_within_its_bound(arbitrage: dict[str, Any]) -> None:
    bound = Decimal(arbitrage["bound"])
    assert 0 < bound < 50
    assert Decimal(arbitrage["profit"]) >= -bound


def _value_was_moved(rebalance: dict[str, Any]) -> None:
    assert rebalance["kind"] == "rebalance"
    assert rebalance["status"] == "completed" or rebalance["skipped"] or rebalance["needs_transfer"]
    first_pass = [each for each in rebalance["orders"] if each["order_id"].split(":")[1][0] == "1"]
    assert {each["exchange"] for each in first_pass} <= set(VENUES)
    sides = [each["side"] for each in first_pass]
    assert sides == sorted(sides, reverse=True), "sells first"
    weights = rebalance["weights_before"]
    assert set(weights) == {"BTC", "ETH", "USDT"}
    assert sum(map(Decimal, weights.values())).quantize(Decimal("1e-9")) == 1
    for asset, target in rebalance["targets"].items():
        assert abs(Decimal(rebalance["weights_after"][asset]) - Decimal(target)) < Decimal("0.001")


def _operators_were_obeyed(controls: dict[str, Any]) -> None:
    assert controls["limited"] == "RISK_MAX_NOTIONAL"
    halt = controls["halt"]
    assert (halt["confirmed"], halt["cancelled"]) == (True, ["demo-halted"])
    assert (halt["refused"], halt["meanwhile"]) == ("TRADING_HALTED", "paused")
    assert (halt["status"], Decimal(halt["filled"]) > 0) == ("filled", True)
    reports = {each["exchange"]: each for each in controls["syncs"]}
    assert sorted(reports) == VENUES
    differences = {
        venue: [(found["kind"], found["action"]) for found in account["differences"]]
        for venue, report in reports.items()
        for account in report["accounts"]
    }
    assert differences == {"binance": [("external_order", "recorded")], "okx": []}
    decided = [(each["who"], each["action"], each["object"]) for each in controls["audit"]]
    limit, halted = "strategy:demo max_order_value", "strategy:demo-halted"
    assert decided == [
        *[("demo", "risk_limit", limit)] * 2,
        *[("demo", "trading_state", halted)] * 2,
    ]


def _positions_are_what_was_filled(summary: dict[str, Any]) -> None:
    """By the orders as they were told, fees in the base asset taken off."""
    wanted: dict[tuple[str, ...], Decimal] = {}
    orders = [{**each, "exchange": "binance", "symbol": "BTC/USDT"} for each in summary["orders"]]
    for each in orders + [leg for done in summary["executions"] for leg in done["orders"]]:
        where = ("demo", each["exchange"], each["symbol"])
        sign = 1 if each["side"] == "buy" else -1
        fee = Decimal(each["fees"].get(each["symbol"].partition("/")[0], "0"))
        wanted[where] = wanted.get(where, Decimal(0)) + sign * Decimal(each["filled"]) - fee
    controls = summary["controls"]
    others = {"demo-halted": controls["halt"]["filled"], "EXTERNAL": controls["by_hand"]}
    for name, bought in others.items():
        wanted[name, "binance", "BTC/USDT"] = Decimal(bought) * Decimal("0.999")
    positions = controls["positions"]
    held = {(each["strategy_id"], each["exchange"], each["symbol"]): each for each in positions}
    assert {where: Decimal(each["quantity"]) for where, each in held.items()} == wanted
    for each in positions:
        assert Decimal(each["total"]) == Decimal(each["realised_net"]) + Decimal(each["unrealised"])


def test_ctrl_c_in_the_middle_stops_everything_and_says_so(start, environ):
    process = start()
    wait_for_line(process, "5  twap")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # an impatient user must not break the clean-up
    out, complaints = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 1
    assert "nothing is left running" in out
    assert "Traceback" not in out + complaints
    assert still_running(environ["DELTA_HOME"]) == []
