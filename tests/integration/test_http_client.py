"""The typed HTTP client on a real API: every kind of call, errors, retries, and the new routes."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
import pytest_asyncio

from activities.venues.simulator.faults.client import ControlClient
from starters.analytics_models import PriceSource
from starters.http_client import DeltaHttpClient, HttpClientError, NoAnswer
from tests.integration import http_cases
from tests.integration.http_calls import WITHIN_S, refused, until_status
from tests.integration.starters_stack import ORDER, RESTING, free_ports, new_id
from workers.local_stack import LocalStack
from workflows.domain.access import Scope
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderRequest

pytest_plugins = ["tests.integration.starters_stack_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def exchanges() -> str:
    return "binance,okx"


@pytest.fixture(scope="module")
def environ(environ: dict[str, str]) -> dict[str, str]:
    other = "EXCHANGE_BINANCE_HEDGE_"
    hedge = {f"{other}API_KEY": "key-of-hedge", f"{other}SECRET": "secret-of-hedge"}
    return environ | hedge | free_ports(("PAPER_CONTROL_PORT",))


@pytest_asyncio.fixture(loop_scope="module")
async def faults(stack: LocalStack) -> AsyncIterator[ControlClient]:
    port = stack.settings.paper_control_port_of("binance")
    async with ControlClient(f"http://127.0.0.1:{port}") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def delta(stack: LocalStack) -> AsyncIterator[DeltaHttpClient]:
    async with DeltaHttpClient.local(stack.settings) as client:
        yield client


# --- orders ---------------------------------------------------------------------------------------


async def test_an_order_is_started_followed_on_the_stream_and_analysed(
    delta: DeltaHttpClient,
) -> None:
    order_id = new_id()
    seen: list[str] = []

    async def follow() -> None:
        async for event in delta.stream(order_id=order_id, since=before.head):
            seen.append(event.kind.value)
            if event.data.get("status") == "filled":
                return

    before = await delta.events()
    request = OrderRequest(**ORDER, order_id=order_id)
    following = asyncio.create_task(follow())
    placed = await delta.submit(request)
    order = await until_status(delta, order_id, OrderStatus.FILLED)
    await asyncio.wait_for(following, WITHIN_S)
    assert (placed.order_id, order.filled_quantity) == (order_id, Decimal("0.01"))
    assert {"order", "fill"} <= set(seen)
    assert await delta.submit(request) == placed

    async with asyncio.timeout(WITHIN_S):  # the exchange may tell the market's trades later
        while (told := await delta.analytics(order_id)).market.volume is None:
            await asyncio.sleep(0.1)
    assert (told.status, told.fill_ratio, told.fills) == (OrderStatus.FILLED, 1, 1)
    assert told.decision_source is PriceSource.ARRIVAL
    assert told.shortfall is not None
    assert told.arrival_price is not None
    assert told.average_price is not None
    assert told.fees_quote is not None
    filled, paid = told.filled_quantity, told.notional
    assert told.shortfall.impact == paid - filled * told.arrival_price
    assert told.shortfall.total == told.shortfall.impact + told.fees_quote
    # the taker's fee of the paper exchange is 0.1 %, and only we traded in that moment
    assert told.fees_bps == 10
    assert told.market.volume is not None
    assert told.market.volume >= filled
    assert [(each.index, each.filled_quantity) for each in told.children] == [(0, filled)]
    assert told.timing.to_first_fill_s is not None
    assert {each.figure for each in told.not_available} == {"markout_60s_bps"}


async def test_an_order_without_an_id_gets_one_so_that_asking_twice_is_one_order(
    stack: LocalStack,
) -> None:
    answers = iter([True, False])
    ids: list[str] = []

    class LosesTheFirstAnswer(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            ids.append(json.loads(request.content)["order_id"])
            if next(answers):
                await response.aread()
                raise httpx.ReadError("the answer is lost", request=request)
            return response

    local = DeltaHttpClient.local(stack.settings)
    key = stack.settings.home.api_key()
    assert key is not None
    async with (
        local,
        DeltaHttpClient(stack.api_url, key, transport=LosesTheFirstAnswer()) as losing,
    ):
        placed = await losing.submit({**ORDER, "quantity": "0.017"})
        assert ids == [placed.order_id, placed.order_id]
        page = await local.orders(strategy_id=ORDER["strategy_id"], limit=500)
    assert [each.quantity for each in page.orders].count(Decimal("0.017")) == 1


async def test_orders_are_paused_amended_resumed_listed_and_cancelled(
    delta: DeltaHttpClient,
) -> None:
    placed = await delta.submit({**RESTING, "strategy_id": "steered", "order_id": new_id()})
    assert (await delta.pause(placed.order_id, reason="news")).status is OrderStatus.PAUSED
    amended = await delta.amend(placed.order_id, {"price": "49240"})
    assert amended.price == 49_240
    await delta.resume(placed.order_id)
    listed = [each async for each in delta.all_orders(strategy_id="steered")]
    assert [each.order_id for each in listed] == [placed.order_id]
    ended = await delta.cancel(placed.order_id, reason="enough")
    assert (ended.status, (await delta.order(placed.order_id)).reason) == (
        OrderStatus.CANCELLED,
        "enough",
    )
    assert [each.kind.value for each in ended.actions][:3] == ["pause", "amend", "resume"]
    statistics = await delta.statistics(strategy_id="steered")
    assert (statistics.orders, dict(statistics.by_status)) == (1, {"cancelled": 1})


async def test_cancel_all_takes_what_fits_paused_orders_too_and_tells_each(
    delta: DeltaHttpClient,
) -> None:
    ours = {**RESTING, "strategy_id": "many"}
    ids = [new_id() for _ in range(6)]
    for number, order_id in enumerate(ids):
        await delta.submit({**ours, "order_id": order_id, "price": str(49_240 + number)})
    other = await delta.submit({**RESTING, "strategy_id": "other", "order_id": new_id()})
    await delta.pause(ids[0])
    nothing = await refused(delta.cancel_all())
    both = await refused(delta.cancel_all(everything=True, symbol="BTC/USDT"))
    assert (nothing.code, both.code) == ("MISSING_FIELD", "FIELD_NOT_ALLOWED")

    report = await delta.cancel_all(strategy_id="many", symbol="BTC/USDT", reason="drill")
    assert [each.order_id for each in report.orders] == ids
    assert {each.status for each in report.orders} <= {
        OrderStatus.CANCELLED,
        OrderStatus.CANCELLING,
    }
    assert report.cancelled + report.cancelling == len(ids)
    for order_id in ids:
        await until_status(delta, order_id, OrderStatus.CANCELLED)
    assert not (await delta.order(other.order_id)).status.is_terminal
    assert (await delta.cancel_all(strategy_id="many")).orders == []
    await delta.cancel_all(everything=True)
    await until_status(delta, other.order_id, OrderStatus.CANCELLED)


async def test_cancel_all_leaves_legs_to_their_executions_unless_those_are_meant_too(
    delta: DeltaHttpClient, faults: ControlClient
) -> None:
    seen = (await delta.preview(ORDER)).reference_price
    assert seen is not None
    plan = {
        "id": new_id(),
        "strategy_id": "arb",
        "symbol": "BTC/USDT",
        "buy_exchange": "binance",
        "sell_exchange": "okx",
        "buy_price": f"{seen * Decimal('1.001'):.1f}",
        "sell_price": f"{seen * Decimal('0.999'):.1f}",
        "amount": "0.01",
        "mode": "sequential",
        "min_profit": "-1000",
        "min_profit_worst": "-1000",
    }
    error = await refused(delta.execute_arbitrage({**plan, "buy_price": "0"}))
    assert (error.code, error.field) == ("NOT_POSITIVE", "buy_price")
    rule = await faults.add("hold_before", method="POST", path="/order")
    await delta.execute_arbitrage(plan)
    await faults.held(rule)
    report = await delta.cancel_all(strategy_id="arb")
    assert (report.orders, report.executions) == ([], [])
    report = await delta.cancel_all(strategy_id="arb", symbol="BTC/USDT", executions=True)
    assert [each.execution_id for each in report.executions] == [plan["id"]]
    await faults.clear()
    async with asyncio.timeout(WITHIN_S):
        while not (ended := await delta.arbitrage(plan["id"])).status.is_terminal:
            await asyncio.sleep(0.1)
    assert ended.status is ExecutionStatus.CANCELLED
    leg = await delta.analytics(f"{plan['id']}:buy")
    assert leg.decision_source is PriceSource.PLAN
    assert leg.decision_price == Decimal(plan["buy_price"])


async def test_a_halted_order_is_not_resumed_before_trading_is_active_again(
    delta: DeltaHttpClient,
) -> None:
    order = {**RESTING, "strategy_id": "halted", "order_id": new_id()}
    placed = await delta.submit(order)
    scope = {"scope": "strategy:halted", "reason": "drill"}
    halted = await delta.set_trading_state({**scope, "state": "halted"})
    assert halted.confirmed
    await until_status(delta, placed.order_id, OrderStatus.PAUSED)
    error = await refused(delta.resume(placed.order_id))
    assert (error.status, error.code) == (409, "TRADING_HALTED")
    assert (await delta.order(placed.order_id)).status is OrderStatus.PAUSED
    await delta.set_trading_state({**scope, "state": "active"})
    assert (await delta.resume(placed.order_id)).status is OrderStatus.WORKING
    await delta.cancel(placed.order_id)


async def test_a_halt_of_a_symbol_that_does_not_exist_is_refused_at_once(
    delta: DeltaHttpClient,
) -> None:
    switch = {"state": "halted", "scope": "symbol:binance:BTCC/USDT", "reason": "mistyped"}
    async with asyncio.timeout(5):
        error = await refused(delta.set_trading_state(switch))
    assert (error.status, error.code, error.field) == (422, "UNKNOWN_SYMBOL", "scope")
    assert all("BTCC" not in each.scope for each in (await delta.trading_state()).states)


# --- what is read ---------------------------------------------------------------------------------


async def test_symbols_have_their_rules_and_come_in_pages(delta: DeltaHttpClient) -> None:
    first = await delta.symbols("binance", limit=1)
    rest = await delta.symbols("binance", cursor=first.next_cursor)
    names = [each.symbol for each in (*first.symbols, *rest.symbols)]
    assert (names[:2], rest.next_cursor) == (["BTC/USDT", "ETH/USDT"], None)
    (rules,) = (await delta.symbols("okx", symbol="BTC-USDT")).symbols
    assert rules.tick > 0
    assert rules.lot > 0
    assert (rules.status, rules.configured) == ("trading", True)
    assert abs((datetime.now(UTC) - first.read_at).total_seconds()) < 60
    unlisted = await refused(delta.symbols("okx", symbol="BTC/XXX"))
    nowhere = await refused(delta.symbols("nowhere"))
    assert (unlisted.code, nowhere.code) == ("UNKNOWN_SYMBOL", "UNKNOWN_ENUM")


async def test_queue_status_tells_backlog_pollers_and_priorities(delta: DeltaHttpClient) -> None:
    queues = (await delta.queue_status()).queues
    names = {(each.queue, each.kind) for each in queues}
    assert ("orders", "workflow") in names
    assert ("exchange-okx-main-data", "activity") in names
    by_name = {(each.queue, each.kind): each for each in queues}
    orders = by_name["orders", "workflow"]
    assert orders.pollers
    assert [each.priority for each in orders.priorities] == [1, 2, 3, 4, 5]
    assert orders.rate_limit_per_s is None


async def test_breaks_audit_and_rebalancings_are_listed(delta: DeltaHttpClient) -> None:
    planned = await delta.rebalance(
        {"exchanges": ["binance"], "targets": {"BTC": "0.5", "USDT": "0.5"}, "preview": True}
    )
    assert planned.status is ExecutionStatus.COMPLETED
    page = await delta.rebalancings(limit=1)
    assert [each.execution_id for each in page.rebalances] == [planned.execution_id]
    found = await delta.rebalancing(planned.execution_id)
    assert found.model_dump() == page.rebalances[0].model_dump()

    assert (await delta.sync_positions("binance")).agrees
    assert (await delta.breaks()).breaks == []
    audit = await delta.audit(verify=True, limit=1)
    assert (len(audit.entries), audit.broken_at) == (1, None)
    before = await delta.audit(cursor=audit.next_cursor, limit=1)
    assert before.entries[0].id < audit.entries[0].id
    assert (await refused(delta.audit(cursor="x"))).code == "INVALID_CURSOR"


async def test_books_are_read_and_a_page_of_fills_is_csv_too(delta: DeltaHttpClient) -> None:
    placed = await delta.submit({**ORDER, "strategy_id": "books", "order_id": new_id()})
    await until_status(delta, placed.order_id, OrderStatus.FILLED)
    (fill,) = [each async for each in delta.all_fills(strategy_id="books")]
    text, following = await delta.fills_csv(strategy_id="books")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["trade_id"], row["price"], row["is_maker"]) == (
        fill.trade_id,
        f"{fill.price.normalize():f}",
        "false",
    )
    assert (row["traded_at"][-1], following) == ("Z", None)
    position = await delta.position("books", "binance", "BTC/USDT")
    (same,) = (await delta.positions(strategy_id="books")).positions
    assert position.quantity == same.quantity == fill.quantity - fill.fee
    (line,) = csv.DictReader(io.StringIO((await delta.orders_csv(strategy_id="books"))[0]))
    assert (line["order_id"], line["status"]) == (placed.order_id, "filled")
    assert (line["filled_quantity"], line["created_at"][-1]) == ("0.01", "Z")
    assert json.loads(line["fees"]) == {"BTC": f"{fill.fee.normalize():f}"}
    (held,) = csv.DictReader(io.StringIO(await delta.positions_csv(strategy_id="books")))
    assert (held["symbol"], Decimal(held["quantity"])) == ("BTC/USDT", position.quantity)
    missing = await refused(delta.position("books", "okx", "BTC/USDT"))
    assert (missing.status, missing.code) == (404, "NOT_FOUND")
    assert {each.asset for each in (await delta.balances("binance")).balances} >= {"BTC", "USDT"}
    assert (await delta.ready()).status == "ok"
    assert "trade_execution_success_total" in await delta.metrics()
    assert (await delta.risk_limits()).effective
    assert any(each.strategy_id == "books" for each in (await delta.strategies()).strategies)


async def test_a_key_that_is_bound_to_accounts_sees_nothing_of_the_others(
    stack: LocalStack, delta: DeltaHttpClient
) -> None:
    async with (
        http_cases.another(stack, "only-main", Scope.READ, Scope.TRADE, account="main") as insider,
        http_cases.another(stack, "only-hedge", Scope.READ, Scope.TRADE, account="hedge") as other,
    ):
        await http_cases.orders_are_seen_by_the_keys_of_their_account(delta, insider, other)


async def test_operators_decide_and_every_call_of_theirs_is_answered(
    stack: LocalStack, delta: DeltaHttpClient, faults: ControlClient
) -> None:
    async with (
        http_cases.another(stack, "second", Scope.READ, Scope.ADMIN) as second,
        http_cases.another(stack, "inside", Scope.READ, Scope.TRADE, account="main") as inside,
        http_cases.another(stack, "outside", Scope.READ, Scope.TRADE, account="hedge") as outside,
        asyncio.timeout(2 * WITHIN_S),
        asyncio.TaskGroup() as group,
    ):
        for case in (
            http_cases.an_unknown_child_is_decided(delta, faults),
            http_cases.what_still_cancels_is_told_with_202(delta, faults),
            http_cases.a_strategy_is_disabled_and_re_armed(delta),
            http_cases.an_override_takes_two(delta, second),
            http_cases.a_transfer_moves_our_books(delta),
            http_cases.each_kind_of_order_tells_its_progress(delta),
            http_cases.an_alarm_is_seen_by_the_keys_of_its_account(delta, inside, outside),
        ):
            group.create_task(case)


async def test_a_stream_goes_on_after_lost_connections_with_each_event_once(
    stack: LocalStack, delta: DeltaHttpClient
) -> None:
    await http_cases.a_stream_goes_on(stack, delta)


async def test_every_time_that_is_told_ends_with_z(delta: DeltaHttpClient) -> None:
    paths = ("orders?limit=5", "fills?limit=5", "positions", "audit?limit=5", "rebalance")
    for path in paths:
        response = await delta.send("GET", f"/api/v1/{path}")
        assert "+00:00" not in response.text, path


# --- errors ---------------------------------------------------------------------------------------


async def test_an_error_tells_code_field_and_request(delta: DeltaHttpClient) -> None:
    error = await refused(delta.submit({**ORDER, "quantity": "0"}))
    assert (error.status, error.code, error.field) == (422, "NOT_POSITIVE", "quantity")
    assert error.request_id
    order_id = new_id()
    denied = await refused(delta.submit({**ORDER, "order_id": order_id, "symbol": "XXX/YYY"}))
    assert (denied.code, denied.order_id) == ("UNKNOWN_SYMBOL", order_id)
    assert (await refused(delta.order("nobody"))).code == "NOT_FOUND"


async def test_a_wrong_key_is_told_and_nobody_who_answers_is_no_answer(
    stack: LocalStack, unused_tcp_port: int
) -> None:
    async with DeltaHttpClient(stack.api_url, "ek_aaaaaaaa_" + "b" * 43) as stranger:
        assert (await refused(stranger.orders())).code == "UNAUTHENTICATED"
        with pytest.raises(HttpClientError, match="UNAUTHENTICATED"):
            await anext(stranger.stream())
    async with DeltaHttpClient(f"http://127.0.0.1:{unused_tcp_port}", "ek_x") as nobody:
        with pytest.raises(NoAnswer):
            await nobody.live()
