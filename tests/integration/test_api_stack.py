"""The HTTP API and the command line against the whole local stack: real parts, real orders."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from activities.venues.simulator.judge import read_log
from workers.local_stack import LocalStack, delete_data
from workers.settings import is_setting, load_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECKOUT = Path(__file__).resolve().parents[2]
PORTS = (
    "POSTGRES_PORT",
    "TEMPORAL_PORT",
    "TEMPORAL_UI_PORT",
    "API_PORT",
    "PAPER_PORT",
    "METRICS_PORT",
)
READY_WITHIN_S = 60.0
ORDER = {
    "strategy_id": "strategy_001",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "0.01",
}
RESTING = {**ORDER, "order_type": "limit", "price": "49250"}
ORDERS = "/api/v1/orders"


def free_ports(names: tuple[str, ...]) -> dict[str, str]:
    """A free port for each name: all are held at once, so they differ."""
    sockets = [socket.socket() for _ in names]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = {name: str(each.getsockname()[1]) for name, each in zip(names, sockets, strict=True)}
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("stack") / "home"
    values = {"DELTA_HOME": str(home), "EXCHANGES": "binance", "WORKER_COUNT": "1"}
    values |= {"LOG_FORMAT": "json", **free_ports(PORTS)}
    yield values
    delete_data(load_settings(values))
    shutil.rmtree(home, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(environ: dict[str, str]) -> AsyncIterator[LocalStack]:
    async with LocalStack(load_settings(environ)) as running:
        await until_ready(running)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(stack: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=20, trust_env=False) as client:
        yield client


async def until_ready(stack: LocalStack) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    said = "nothing"
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                answer = await client.get("/health/ready", timeout=10)
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                said = answer.text
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.2)
    raise TimeoutError(f"not ready within {READY_WITHIN_S} s: {said}")


async def until_status(http: httpx.AsyncClient, order_id: str, *wanted: str) -> dict:
    deadline = time.monotonic() + 30
    while True:
        order = (await http.get(f"{ORDERS}/{order_id}")).json()
        if order.get("status") in wanted:
            return order
        assert time.monotonic() < deadline, order
        await asyncio.sleep(0.1)


async def cli(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """One command as a user runs it."""
    process = await start_cli(environ, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def start_cli(environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starters",
        *arguments,
        env={**inherited, **environ, "ENV_FILE": os.devnull},
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def sent(stack: LocalStack) -> int:
    """How many order requests the exchange has received, by its own log."""
    requests = read_log(stack.paper_journal("binance")).requests
    return sum(each.method == "POST" and each.path.endswith("/order") for each in requests)


def new_id() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "exact"), [("0.01", "0.01"), ("2e-2", "0.02"), ('"0.010"', "0.01")]
)
async def test_a_market_order_fills_exactly_what_was_asked(
    http: httpx.AsyncClient, number: str, exact: str
) -> None:  # B10
    body = json.dumps({**ORDER, "quantity": "Q"}).replace('"Q"', number)
    answer = await http.post(ORDERS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    order = await until_status(http, answer.json()["order_id"], "filled")
    assert (order["quantity"], order["filled_quantity"]) == (exact, exact)
    assert Decimal(order["average_price"]) > 0
    assert order["fees"]
    assert sum(Decimal(child["filled_quantity"]) for child in order["children"]) == Decimal(exact)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"quantity": "0.0000001"}, "PRECISION", "quantity"),  # B12
        ({"quantity": "0.00001"}, "MIN_NOTIONAL", "quantity"),  # B14
        ({"order_type": "limit", "price": "49250.001"}, "PRECISION", "price"),  # B15
        ({"order_type": "limit", "price": "5000000"}, "RISK_PRICE_COLLAR", "price"),  # B17
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL", "symbol"),  # B24
        ({"symbol": "btc/usdt"}, "UNKNOWN_SYMBOL", "symbol"),  # B25
        ({"symbol": "../../etc/passwd"}, "UNKNOWN_SYMBOL", "symbol"),  # B26
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
) -> None:  # B46
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
) -> None:  # B47
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


async def test_cancel_answers_200_twice_409_when_filled_and_404_when_unknown(
    http: httpx.AsyncClient,
) -> None:  # B49
    resting = (await http.post(ORDERS, json=RESTING)).json()["order_id"]
    path = f"{ORDERS}/{resting}/cancel"
    first = await http.post(f"{path}?reason=%3Cscript%3E")
    second = await http.post(path)
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert first.json()["reason"] == "<script>"  # B33: kept as data
    assert (second.status_code, second.json()["status"]) == (200, "cancelled")
    done = (await http.post(ORDERS, json=ORDER)).json()["order_id"]
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
    assert (garbage.status_code, garbage.json()["code"]) == (422, "INVALID_CURSOR")  # B50
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
    market = (await http.post(ORDERS, json=ORDER)).json()["order_id"]
    other = await http.get(f"{ORDERS}/{market}/twap-progress")
    assert (other.status_code, other.json()["code"]) == (404, "NOT_A_TWAP")


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_huge_body_is_refused_at_once_over_a_real_connection(
    http: httpx.AsyncClient, is_chunked: bool
) -> None:  # B34
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
    order_id = (await http.post(ORDERS, json=ORDER)).json()["order_id"]
    await until_status(http, order_id, "filled")
    assert filled((await http.get("/metrics")).text) == before + 1


# --- command line ---------------------------------------------------------------------------------


async def test_the_command_line_places_watches_shows_lists_and_cancels(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01"]
    code, out, err = await cli(environ, "order", "market", *base, "--watch", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["status"] == "filled"

    order_id = new_id()
    resting = ["order", "limit", *base, "--price", "49250", "--id", order_id]
    code, out, err = await cli(environ, *resting)
    assert (code, order_id in out, err) == (0, True, "")
    code, out, _ = await cli(environ, "orders", "list", "--json", "--limit", "1")
    assert (code, json.loads(out)["orders"][0]["order_id"]) == (0, order_id)
    code, out, _ = await cli(environ, "orders", "cancel", order_id, "--json")
    assert (code, json.loads(out)["status"]) == (0, "cancelled")
    code, out, _ = await cli(environ, "orders", "show", order_id)
    assert (code, "cancelled" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "expected", "code"),
    [
        (["--symbol", "XXX/YYY", "--quantity", "1"], 2, "UNKNOWN_SYMBOL"),
        (["--symbol", "BTC/USDT", "--quantity", "0.0000001"], 2, "PRECISION"),
        (["--symbol", "BTC/USDT", "--quantity", "1000"], 2, "RISK_MAX_NOTIONAL"),
    ],
)
async def test_a_denied_order_is_its_code_in_one_line(
    stack: LocalStack, environ: dict[str, str], arguments: list[str], expected: int, code: str
) -> None:
    given, out, err = await cli(environ, "order", "market", "--side", "buy", *arguments)
    assert (given, out) == (expected, "")
    assert err.startswith(f"{code}: ")
    assert len(err.strip().splitlines()) == 1


async def test_an_order_that_expires_unfilled_did_not_complete(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01"]
    far = ["--price", "49250", "--time-in-force", "IOC", "--watch", "--json"]
    code, out, _ = await cli(environ, "order", "limit", *base, *far)
    assert (code, json.loads(out.splitlines()[-1])["status"]) == (1, "expired")


async def test_ctrl_c_leaves_the_order_running_and_says_how_to_cancel_it(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01", "--price", "49250"]
    watch = ["order", "limit", *base, "--id", order_id, "--watch", "--json"]
    process = await start_cli(environ, *watch)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 1
    assert f"python -m starters orders cancel {order_id}" in err.decode()
    assert "Traceback" not in err.decode()
    await until_status(http, order_id, "working")
    await http.post(f"{ORDERS}/{order_id}/cancel")


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
        order_id = new_id()
        answer = await http.post(ORDERS, json=ORDER | {"order_id": order_id})
        assert answer.status_code == 503
        assert answer.headers["x-order-id"] == order_id
        if path is not None:
            assert (await http.get(path)).json()["code"] == "UNAVAILABLE"
        assert time.monotonic() - started < 14  # three answers of at most 5 s, less what is quick
    finally:
        await stack.start_part(part)
    await until_ready(stack)
    after = await http.post(ORDERS, json=ORDER)
    assert after.status_code == 201, after.text


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
            answer = await client.post(ORDERS, json=ORDER)
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert (await client.get(ORDERS)).status_code == 503
            assert time.monotonic() - started < 10
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    lines = [json.loads(line) for line in err.decode().splitlines() if '"path"' in line]
    assert {line["status"] for line in lines} == {200, 503}
    assert all(line["request_id"] and line["method"] for line in lines)


async def test_a_taken_port_is_one_line_that_names_it(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    code, _, err = await cli(environ, "api")
    last = err.strip().splitlines()[-1]
    assert (code, last.startswith("API_PORT: ")) == (2, True)
