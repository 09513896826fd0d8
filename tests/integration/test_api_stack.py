"""The HTTP API against the whole local stack: real parts, real orders."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.integration.starters_stack import (
    ORDER,
    ORDERS,
    RESTING,
    cli,
    free_ports,
    new_id,
    sent,
    start_cli,
    until_ready,
    until_status,
    until_taken,
)
from workers.local_stack import LocalStack

pytest_plugins = ["tests.integration.starters_stack_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("number", "exact"), [("0.01", "0.01"), ("2e-2", "0.02"), ('"0.010"', "0.01")]
)
async def test_a_market_order_fills_exactly_what_was_asked(
    http: httpx.AsyncClient, number: str, exact: str
) -> None:
    body = json.dumps({**ORDER, "quantity": "Q", "allow_similar": True}).replace('"Q"', number)
    answer = await http.post(ORDERS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    order = await until_status(http, answer.json()["order_id"], "filled")
    assert (order["quantity"], order["filled_quantity"]) == (exact, exact)
    assert Decimal(order["average_price"]) > 0
    assert order["fees"]
    assert sum(Decimal(child["filled_quantity"]) for child in order["children"]) == Decimal(exact)


async def test_the_same_order_again_is_taken_for_a_mistake_unless_it_is_meant(
    http: httpx.AsyncClient,
) -> None:
    order = {**ORDER, "quantity": "0.013"}
    asked = ({}, {}, {"allow_similar": True}, {"order_id": new_id()})
    answers = [await http.post(ORDERS, json=order | each) for each in asked]
    assert [answer.status_code for answer in answers] == [201, 422, 201, 201]
    assert answers[1].json()["code"] == "RISK_DUPLICATE"


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"quantity": "0.0000001"}, "PRECISION", "quantity"),
        ({"quantity": "0.00001"}, "MIN_NOTIONAL", "quantity"),
        ({"order_type": "limit", "price": "49250.001"}, "PRECISION", "price"),
        ({"order_type": "limit", "price": "5000000"}, "RISK_PRICE_COLLAR", "price"),
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"symbol": "btc/usdt"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"symbol": "../../etc/passwd"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"symbol": "x" * 500}, "UNKNOWN_SYMBOL", "symbol"),
        ({"exchange": "nowhere"}, "UNKNOWN_ENUM", "exchange"),
        ({"account": "other"}, "UNKNOWN_ENUM", "account"),
        ({"quantity": "1000"}, "RISK_MAX_NOTIONAL", "quantity"),
    ],
)
async def test_what_only_the_engine_can_judge_is_denied_with_its_code_and_nothing_is_sent(
    stack: LocalStack,
    http: httpx.AsyncClient,
    change: dict[str, str],
    code: str,
    field: str,
) -> None:
    order_id, before = new_id(), sent(stack)
    answer = await http.post(ORDERS, json=ORDER | change | {"order_id": order_id})
    assert answer.status_code == 422, answer.text
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.headers["x-order-id"] == order_id
    found = (await http.get(f"{ORDERS}/{order_id}")).json()
    assert (found["status"], found.get("children")) == ("denied", [])
    assert sent(stack) == before


async def test_a_hundred_equal_orders_at_once_are_one_order(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    key, before = new_id(), sent(stack)
    answers = await asyncio.gather(
        *(http.post(ORDERS, json=ORDER, headers={"Idempotency-Key": key}) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    order = await until_status(http, answers[0].json()["order_id"], "filled")
    assert (order["filled_quantity"], order["children_total"]) == ("0.01", 1)
    assert sent(stack) == before + 1


async def test_the_same_key_answers_the_same_after_the_end_and_another_body_is_a_conflict(
    http: httpx.AsyncClient,
) -> None:
    headers = {"Idempotency-Key": new_id()}
    first = await http.post(ORDERS, json=ORDER, headers=headers)
    order_id = first.json()["order_id"]
    await until_status(http, order_id, "filled")
    same = await http.post(ORDERS, json={**ORDER, "quantity": "0.010"}, headers=headers)
    other = await http.post(ORDERS, json={**ORDER, "quantity": "0.02"}, headers=headers)
    assert (same.status_code, same.json()) == (201, first.json())
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    kept = (await http.get(f"{ORDERS}/{order_id}")).json()
    assert (kept["status"], kept["filled_quantity"]) == ("filled", "0.01")
    late = await http.post(f"{ORDERS}/{order_id}/cancel")
    assert (late.json()["code"], "filled" in late.json()["message"]) == ("ALREADY_TERMINAL", True)


async def test_cancel_answers_200_twice_409_when_filled_and_404_when_unknown(
    http: httpx.AsyncClient,
) -> None:
    resting = (await http.post(ORDERS, json=RESTING)).json()["order_id"]
    path = f"{ORDERS}/{resting}/cancel"
    first = await http.post(f"{path}?reason=%3Cscript%3E")
    second = await http.post(path)
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert first.json()["reason"] == "<script>"  # kept as data
    assert (second.status_code, second.json()["status"]) == (200, "cancelled")
    done = (await http.post(ORDERS, json={**ORDER, "order_id": new_id()})).json()["order_id"]
    await until_status(http, done, "filled")
    late = await http.post(f"{ORDERS}/{done}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "ALREADY_TERMINAL")
    assert "filled" in late.json()["message"]
    unknown = await http.post(f"{ORDERS}/{new_id()}/cancel")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")


async def test_pages_hold_each_order_once_newest_first(http: httpx.AsyncClient) -> None:
    strategy = new_id()
    for _ in range(3):
        await http.post(ORDERS, json=RESTING | {"strategy_id": strategy, "quantity": "0.001"})
    found, cursor = [], ""
    while cursor is not None:
        query = f"strategy_id={strategy}&limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await http.get(f"{ORDERS}?{query}")).json()
        found += page["orders"]
        cursor = page["next_cursor"]
    assert len({order["order_id"] for order in found}) == len(found) == 3
    times = [order["created_at"] for order in found]
    assert times == sorted(times, reverse=True)
    garbage = await http.get(f"{ORDERS}?cursor=garbage")
    assert (garbage.status_code, garbage.json()["code"]) == (422, "INVALID_CURSOR")
    for order in found:
        await http.post(f"{ORDERS}/{order['order_id']}/cancel")


async def test_a_twap_reports_its_progress_and_other_types_have_none(
    http: httpx.AsyncClient,
) -> None:
    twap = {**ORDER, "order_type": "twap", "twap_slices": 3, "twap_interval": 0.5}
    order_id = (await http.post(ORDERS, json=twap)).json()["order_id"]
    await until_status(http, order_id, "filled")
    report = (await http.get(f"{ORDERS}/{order_id}/twap-progress")).json()
    assert (report["slices_planned"], report["slices_filled"]) == (3, 3)
    assert (report["percent"], report["filled_quantity"]) == ("100", "0.01")
    market = (await http.post(ORDERS, json=ORDER | {"order_id": new_id()})).json()["order_id"]
    other = await http.get(f"{ORDERS}/{market}/twap-progress")
    assert (other.status_code, other.json()["code"]) == (404, "NOT_A_TWAP")


async def test_a_resting_order_is_paused_amended_and_resumed_and_every_view_agrees(
    http: httpx.AsyncClient,
) -> None:
    order_id = (await http.post(ORDERS, json=RESTING)).json()["order_id"]
    path = f"{ORDERS}/{order_id}"
    await until_status(http, order_id, "working")
    paused = await http.post(f"{path}/pause", json={"reason": "news"})
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    listed = (await http.get(f"{ORDERS}?status=paused")).json()["orders"]
    assert [each["order_id"] for each in listed] == [order_id]
    below = await http.patch(path, json={"quantity": "0.0000001"})
    assert (below.status_code, below.json()["field"]) == (422, "quantity")
    amended = await http.patch(path, json={"quantity": "0.02", "price": "49200"})
    assert (amended.status_code, amended.json()["quantity"]) == (200, "0.02")
    resumed = await http.post(f"{path}/resume")
    assert resumed.json()["status"] != "paused"
    twice = await http.post(f"{path}/resume")
    assert (twice.status_code, twice.json()["code"]) == (409, "NOT_PAUSED")
    done = (await http.post(f"{path}/cancel")).json()
    assert (done["status"], done["quantity"], done["price"]) == ("cancelled", "0.02", "49200")
    told = [(each["kind"], each["requested_by"]) for each in done["actions"]]
    assert told == [(kind, "local") for kind in ("pause", "amend", "resume")]
    stored = (await http.get(path)).json()
    assert (stored["status"], stored["quantity"]) == ("cancelled", "0.02")
    assert stored["actions"][:3] == done["actions"]
    late = await http.post(f"{path}/pause")
    assert (late.status_code, late.json()["code"]) == (409, "ALREADY_TERMINAL")


async def test_an_iceberg_shows_its_tips_and_a_stop_its_trigger_until_they_are_cancelled(
    http: httpx.AsyncClient,
) -> None:
    iceberg = {**RESTING, "order_type": "iceberg", "quantity": "0.1", "iceberg_variance": "0.2"}
    stop = {**ORDER, "side": "sell", "order_type": "trailing_stop", "trailing_delta_bps": 500}
    stop |= {"placement": "engine"}
    started = [await http.post(ORDERS, json=each) for each in (iceberg, stop)]
    assert [each.status_code for each in started] == [201, 201]
    tips, trigger = (each.json()["order_id"] for each in started)
    await until_status(http, tips, "working")
    await until_status(http, trigger, "waiting_price")
    shown = (await http.get(f"{ORDERS}/{tips}/iceberg-progress")).json()
    assert (shown["placement"], shown["tips_filled"]) == ("engine", 0)
    assert Decimal(shown["display_quantity"]) == Decimal("0.01")
    armed = await _followed(http, trigger)
    assert (armed["phase"], armed["is_protected"]) == ("armed", True)
    assert Decimal(armed["trigger_price"]) == Decimal(armed["extreme"]) * Decimal("0.95")
    assert armed["armed_at"]
    waiting = (await http.get(f"{ORDERS}?status=waiting_price")).json()["orders"]
    assert trigger in [each["order_id"] for each in waiting]
    for order_id in (tips, trigger):
        done = (await http.post(f"{ORDERS}/{order_id}/cancel")).json()
        assert (done["status"], done["filled_quantity"]) == ("cancelled", "0")
    assert done["stop"]["is_protected"] is False
    assert "0.01" in done["reason"]


async def _followed(http: httpx.AsyncClient, order_id: str) -> dict:
    """The stop's progress once its follower has seen a price."""
    deadline = time.monotonic() + 20
    while True:
        told = (await http.get(f"{ORDERS}/{order_id}/stop-progress")).json()
        if told["extreme"] is not None:
            return told
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("change", "accepted", "code"),
    [
        ({"order_type": "twap", "twap_slices": 5}, True, None),
        ({"order_type": "iceberg", "price": "49250", "quantity": "0.1"}, True, None),
        ({"order_type": "stop_loss", "side": "sell", "stop_price": "49250"}, True, None),
        ({"quantity": "1000"}, False, "RISK_MAX_NOTIONAL"),
        ({"symbol": "XXX/YYY"}, False, "UNKNOWN_SYMBOL"),
    ],
)
async def test_a_preview_tells_the_verdict_and_sends_nothing(
    stack: LocalStack,
    http: httpx.AsyncClient,
    change: dict[str, object],
    accepted: bool,
    code: str | None,
) -> None:
    before, order_id = sent(stack), new_id()
    answer = await http.post(f"{ORDERS}/preview", json={**ORDER, **change, "order_id": order_id})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["accepted"], told["code"]) == (accepted, code)
    assert bool(told["schedule"]) == (code != "UNKNOWN_SYMBOL")
    assert sent(stack) == before
    assert (await http.get(f"{ORDERS}/{order_id}")).status_code == 404


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_huge_body_is_refused_at_once_over_a_real_connection(
    http: httpx.AsyncClient, is_chunked: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    content = chunks() if is_chunked else b" " * 10_485_760
    started = time.monotonic()
    answer = await http.post(ORDERS, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert time.monotonic() - started < 1


async def test_metrics_count_executions_from_the_ledger(http: httpx.AsyncClient) -> None:
    def filled(text: str) -> Decimal:
        name = "trade_execution_success_total"
        series = f'{name}{{exchange="binance",workflow_type="MarketOrder"}} '
        return Decimal(next(row for row in text.splitlines() if row.startswith(series)).split()[1])

    before = filled((await http.get("/metrics")).text)
    order_id = (await http.post(ORDERS, json=ORDER | {"order_id": new_id()})).json()["order_id"]
    await until_status(http, order_id, "filled")
    assert filled((await http.get("/metrics")).text) == before + 1


# --- what is away ---------------------------------------------------------------------------------


async def test_a_worker_that_is_away_leaves_the_outcome_unknown_and_the_order_is_decided_later(
    stack: LocalStack, http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    await stack.stop_part("worker-0")
    try:
        started = time.monotonic()
        answer = await http.post(ORDERS, json=ORDER | {"order_id": order_id})
        assert time.monotonic() - started < 6
        assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
        assert answer.headers["x-order-id"] == order_id
        assert int(answer.headers["retry-after"]) >= stack.settings.accept_timeout
    finally:
        await stack.start_part("worker-0")
    await until_ready(stack)
    ended = await until_status(http, order_id, "filled", "denied")
    if ended["status"] == "denied":
        assert ended["code"] in ("NOT_ACCEPTED_IN_TIME", "RECONCILING")


@pytest.mark.parametrize(
    ("part", "dependency", "path"),
    [("postgres", "postgresql", ORDERS), ("temporal", "temporal", None)],
)
async def test_a_dependency_that_is_away_is_503_in_time_and_heals_by_itself(
    stack: LocalStack, http: httpx.AsyncClient, part: str, dependency: str, path: str | None
) -> None:
    await stack.stop_part(part)
    try:
        started = time.monotonic()
        ready = await http.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["dependencies"][dependency]["status"] == "unavailable"
        assert (await http.get("/health/live")).status_code == 200
        answer = await http.post(ORDERS, json=ORDER | {"order_id": (order_id := new_id())})
        assert answer.status_code == 503
        if path is None:
            assert answer.headers["x-order-id"] == order_id
        else:  # who asks cannot be known, unless the key was seen just now
            assert answer.json()["code"] in ("UNAVAILABLE", "OUTCOME_UNKNOWN")
            assert (await http.get(path)).json()["code"] == "UNAVAILABLE"
        assert time.monotonic() - started < 14  # three answers of at most 5 s, less what is quick
    finally:
        await stack.start_part(part)
    await until_ready(stack)
    await until_taken(http)


async def test_the_api_starts_without_anything_and_ends_with_0_on_sigterm(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    ports = free_ports(("API_PORT", "TEMPORAL_PORT", "POSTGRES_PORT"))
    alone = {**environ, **ports, "DELTA_HOME": str(tmp_path / "empty")}
    process = await start_cli(alone, "api")
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{ports['API_PORT']}", timeout=10, trust_env=False
        ) as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    assert (await client.get("/health/live")).status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
            started = time.monotonic()
            assert (await client.get(ORDERS)).status_code == 401
            client.headers["Authorization"] = f"Bearer ek_{'a' * 8}_{'b' * 43}"
            answer = await client.post(ORDERS, json=ORDER)
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert (await client.get(ORDERS)).status_code == 503
            assert time.monotonic() - started < 10
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    lines = [json.loads(line) for line in err.decode().splitlines() if '"path"' in line]
    assert {line["status"] for line in lines} == {200, 401, 503}
    assert all(line["request_id"] and line["method"] for line in lines)


async def test_a_taken_port_is_one_line_that_names_it(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    code, _, err = await cli(environ, "api")
    last = err.strip().splitlines()[-1]
    assert (code, last.startswith("API_PORT: ")) == (2, True)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "BTC%2FUSDT", "BTC/USDT"])
async def test_a_position_is_reached_by_each_way_to_write_its_symbol(
    http: httpx.AsyncClient, symbol: str
) -> None:
    strategy = new_id()
    order = {**ORDER, "strategy_id": strategy, "allow_similar": True}
    order_id = (await http.post(ORDERS, json=order)).json()["order_id"]
    await until_status(http, order_id, "filled")
    answer = await http.get(f"/api/v1/positions/{strategy}/binance/{symbol}")
    assert (answer.status_code, answer.json()["symbol"]) == (200, "BTC/USDT")
    fills = (await http.get(f"/api/v1/fills?order_id={order_id}")).json()["fills"]
    assert answer.json()["fill_count"] == len(fills) > 0
