"""Arbitrage and rebalancing by HTTP and command line against the whole local stack."""

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.starters_stack import ORDER, ORDERS, cli, new_id, sent, until_ready
from workers.local_stack import LocalStack

pytest_plugins = ["tests.integration.starters_stack_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ARBITRAGES, REBALANCES = "/api/v1/arbitrage", "/api/v1/rebalance"
VENUES = ("binance", "okx")
# Accepted and filled wherever the market is within its 1 %: whether it pays is not the question.
PLAN: dict[str, Any] = {
    "strategy_id": "s1",
    "symbol": "BTC/USDT",
    "buy_exchange": "binance",
    "sell_exchange": "okx",
    "buy_price": "50000",
    "sell_price": "50000",
    "amount": "0.05",
    "limit_tolerance": "0.012",
    "slippage_tolerance": "0.012",
    "min_profit": "-100",
    "min_profit_worst": "-200",
    "max_age": "10",
    "max_skew": "5",
}


@pytest.fixture(scope="module")
def exchanges() -> str:
    return ",".join(VENUES)


def sent_to_both(stack: LocalStack) -> list[int]:
    return [sent(stack, venue) for venue in VENUES]


async def until_ended(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        told: dict[str, Any] = (await http.get(path)).json()
        if told["completed_at"]:
            return told
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.1)


async def test_an_arbitrage_trades_both_legs_once_and_is_told_alike_by_every_way(
    stack: LocalStack, http: httpx.AsyncClient, environ: dict[str, str]
) -> None:
    key, before = new_id(), sent_to_both(stack)
    headers = {"Idempotency-Key": key}
    answers = await asyncio.gather(
        *(http.post(ARBITRAGES, json=PLAN, headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}, answers[0].text
    assert len({answer.text for answer in answers}) == 1
    path = answers[0].headers["location"]
    told = await until_ended(http, path)
    assert told["status"] == "completed"
    assert sent_to_both(stack) == [number + 1 for number in before]
    other = await http.post(ARBITRAGES, json=PLAN | {"amount": "0.06"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")

    code, out, _ = await cli(environ, "arbitrage", "show", told["execution_id"], "--json")
    assert code == 0
    assert json.loads(out) == {name: told[name] for name in told if name != "links"}
    for leg in told["orders"]:
        order = (await http.get(f"{ORDERS}/{leg['order_id']}")).json()
        assert (order["status"], order["filled_quantity"]) == ("filled", leg["filled_amount"])
        assert (order["average_price"], order["fees"]) == (leg["avg_price"], leg["fee"])
        cancelled = await http.post(f"{ORDERS}/{leg['order_id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["code"]) == (409, "PART_OF_EXECUTION")
    late = await http.post(f"{path}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "ALREADY_TERMINAL")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"buy_exchange": "nowhere"}, "UNKNOWN_ENUM", "buy_exchange"),
        ({"sell_exchange": "kraken"}, "UNKNOWN_ENUM", "sell_exchange"),
        ({"account": "other"}, "UNKNOWN_ENUM", "account"),
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"amount": "0.0001"}, "OUT_OF_RANGE", "amount"),  # within the minimum's buffer
        ({"amount": "0.0000001"}, "OUT_OF_RANGE", "amount"),
        ({"buy_price": "45000", "sell_price": "45500"}, "SLIPPAGE", "buy_price"),
        ({"min_profit": "5000"}, "BELOW_MIN_PROFIT", "min_profit"),
    ],
)
async def test_what_only_the_engine_can_judge_is_denied_with_its_code_and_nothing_is_sent(
    stack: LocalStack, http: httpx.AsyncClient, change: dict[str, str], code: str, field: str
) -> None:
    execution_id, before = new_id(), sent_to_both(stack)
    answer = await http.post(ARBITRAGES, json=PLAN | change | {"id": execution_id})
    assert answer.status_code == 422, answer.text
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.headers["x-execution-id"] == execution_id
    found = (await http.get(f"{ARBITRAGES}/{execution_id}")).json()
    assert (found["status"], found["code"], found["orders"]) == ("denied", code, [])
    assert sent_to_both(stack) == before


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"exchanges": ["binance", "nowhere"]}, "UNKNOWN_ENUM", "exchanges"),
        ({"targets": {"BTC": "0.2", "XXX": "0.1"}}, "MISSING_PRICE", "targets"),
    ],
)
async def test_a_rebalancing_that_cannot_be_valued_is_denied_and_nothing_is_sent(
    stack: LocalStack, http: httpx.AsyncClient, change: dict[str, Any], code: str, field: str
) -> None:
    before = sent_to_both(stack)
    plan = {"exchanges": ["binance"], "targets": {"BTC": "0.2"}} | change
    answer = await http.post(REBALANCES, json=plan)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.json()["field"] == field
    assert sent_to_both(stack) == before


async def test_a_rebalancing_trades_what_its_preview_said_and_then_nothing_more(
    stack: LocalStack, http: httpx.AsyncClient, environ: dict[str, str]
) -> None:
    plan = {"exchanges": ["okx"], "targets": {"BTC": "0.2"}, "assets": ["BTC"]}
    before = sent_to_both(stack)
    preview = await http.post(REBALANCES, json=plan | {"preview": True})
    assert (preview.status_code, preview.json()["orders"]) == (200, [])
    assert sent_to_both(stack) == before
    # a ten-thousandth of the whole: below MAX_ORDER_VALUE, and wider than the market is astray
    weight = Decimal(preview.json()["weights_before"]["BTC"]) - Decimal("0.0002")
    target = f"BTC={weight.quantize(Decimal('1e-9'))}"
    options = ["--target", target, "--exchange", "okx", "--asset", "BTC"]
    code, out, err = await cli(environ, "rebalance", "run", *options, "--watch", "--json")
    done = json.loads(out.splitlines()[-1])
    assert (code, done["status"], err) == (0, "completed", "")
    assert {each["status"] for each in done["orders"]} == {"filled"}
    assert sent(stack, "okx") == before[1] + len(done["orders"])
    again = [*options, "--band-abs", "0.001", "--json", "--watch"]
    code, out, _ = await cli(environ, "rebalance", "run", *again)
    assert (code, json.loads(out.splitlines()[-1])["orders"]) == (0, [])


async def test_the_command_line_runs_shows_and_lists_arbitrages(
    stack: LocalStack, environ: dict[str, str], tmp_path: Path
) -> None:
    execution_id = new_id()
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(PLAN | {"amount": "0.02"}))
    run = ["arbitrage", "run", "--plan", str(file), "--id", execution_id, "--watch"]
    code, out, err = await cli(environ, *run)
    assert (code, err) == (0, "")
    assert "buy binance" in out
    assert "profit" in out
    code, out, _ = await cli(environ, "arbitrage", "list", "--json", "--limit", "1")
    assert (code, json.loads(out)["arbitrages"][0]["execution_id"]) == (0, execution_id)
    code, out, err = await cli(environ, "arbitrage", "cancel", execution_id)
    assert (code, out, err.partition(":")[0]) == (1, "", "ALREADY_TERMINAL")
    hopeless = ["--plan", str(file), "--min-profit", "5000"]
    code, out, err = await cli(environ, "arbitrage", "run", *hopeless)
    assert (code, out, err.partition(":")[0]) == (1, "", "BELOW_MIN_PROFIT")


async def test_metrics_count_an_execution_once_and_its_legs_not_at_all(
    http: httpx.AsyncClient,
) -> None:
    def of(
        text: str, workflow_type: str, exchange: str, name: str = "trade_execution_success_total"
    ) -> Decimal:
        labels = f'{name}{{exchange="{exchange}",workflow_type="{workflow_type}"}} '
        rows = [row for row in text.splitlines() if row.startswith(labels)]
        return Decimal(rows[0].split()[-1]) if rows else Decimal(0)

    before = (await http.get("/metrics")).text
    answer = await http.post(ARBITRAGES, json=PLAN | {"id": new_id()})
    assert (await until_ended(http, answer.headers["location"]))["status"] == "completed"
    after = (await http.get("/metrics")).text
    pair = ("Arbitrage", "binance|okx")
    deadline = time.monotonic() + 10
    # a workflow tells its end while it stores it; where that is tried again, the ledger lags
    while of(after, *pair) == of(before, *pair) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        after = (await http.get("/metrics")).text
    assert of(after, *pair) == of(before, *pair) + 1
    timed = (*pair, "trade_execution_duration_seconds_count")
    assert of(after, *timed) == of(before, *timed) + 1
    for venue in VENUES:
        assert of(after, "LimitOrder", venue) == of(before, "LimitOrder", venue)


async def test_an_order_cannot_take_an_executions_id_nor_the_other_way_round(
    http: httpx.AsyncClient,
) -> None:
    execution_id, order_id = new_id(), new_id()
    started = await http.post(ARBITRAGES, json=PLAN | {"id": execution_id})
    await until_ended(http, started.headers["location"])
    await http.post(ORDERS, json=ORDER | {"order_id": order_id})
    order = await http.post(ORDERS, json=ORDER | {"order_id": execution_id})
    plan = await http.post(ARBITRAGES, json=PLAN | {"id": order_id})
    for answer in (order, plan):
        assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert (await http.get(f"{ARBITRAGES}/{execution_id}")).json()["status"] == "completed"
    assert (await http.get(f"{ARBITRAGES}/{order_id}")).status_code == 404


async def test_without_temporal_the_ledger_tells_and_a_new_plan_is_503_with_its_id(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    execution_id, new = new_id(), new_id()
    started = await http.post(ARBITRAGES, json=PLAN | {"id": execution_id})
    told = await until_ended(http, started.headers["location"])
    await stack.stop_part("temporal")
    try:
        assert (await http.get(f"{ARBITRAGES}/{execution_id}")).json() == told
        page = (await http.get(f"{ARBITRAGES}?limit=1")).json()
        assert page["arbitrages"] == [told]
        answer = await http.post(ARBITRAGES, json=PLAN | {"id": new})
        assert answer.status_code == 503
        assert answer.headers["x-execution-id"] == new
        assert int(answer.headers["retry-after"]) >= 10
    finally:
        await stack.start_part("temporal")
    await until_ready(stack)
