"""Events: every change that somebody may care for, numbered in the order of commits."""

import asyncio
import random
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection

from activities.event_keeper import EventKeeper
from activities.ledger import migrate
from activities.ledger.alarm_store import AlarmStore
from activities.ledger.chores import Chores
from activities.ledger.event_store import EventStore
from activities.ledger.results import TradingState
from activities.ledger.state_store import StateStore
from activities.ledger.store_states import Setting
from activities.ledger.view_events import (
    Event,
    EventFilter,
    EventKind,
    EventViews,
    SequenceGoneError,
)
from tests.integration.ledger_world import (
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
    as_engine,
)
from workflows.domain.alarms import AlarmCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus
from workflows.domain.scopes import Scope, parse_scope
from workflows.messages import OrderSnapshot

WRITERS, TURNS = 8, 25
A_PARENT = """
    INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, exchange,
        symbol, side, order_type, quantity, priority, request, status)
    VALUES ($1, 'c', 'h', $2, 'main', 'binance', 'BTC/USDT', 'buy', 'limit', 1, 3, '{}', 'pending')
"""
AN_ALARM = "INSERT INTO alarms (code, object, detail) VALUES ('ORDER_FAILED', $1, '')"
AN_AUDIT = "INSERT INTO audit (who, action, object) VALUES ('ann', 'look', $1)"
A_POSITION = """
    INSERT INTO positions (strategy_id, account, exchange, symbol, quantity, fill_count)
    VALUES ($1, 'main', 'binance', 'BTC/USDT', 1, 1)
    ON CONFLICT (strategy_id, account, exchange, symbol)
    DO UPDATE SET quantity = positions.quantity + 1, fill_count = positions.fill_count + 1
"""


def a_scope(text: str) -> Scope:
    parsed = parse_scope(text)
    assert isinstance(parsed, Scope)
    return parsed


async def told(ledger: World, **wanted: Any) -> list[Event]:
    """All events that pass a filter."""
    page = await EventViews(ledger.engine).page(0, 500, EventFilter(**wanted))
    return page.events


async def kinds(ledger: World) -> list[str]:
    return [event.kind.value for event in await told(ledger)]


async def test_a_reader_can_keep_a_table_of_an_order_without_asking(ledger: World) -> None:
    intent = await ledger.sent(quantity=Decimal(2))
    first, second = a_fill("t1", "1", "50000"), a_fill("t2", "1", "50100", fee=Decimal(0))
    await ledger.ack(intent, a_report(VenueStatus.OPEN, "1", first))
    await ledger.book(intent, a_report(VenueStatus.OPEN, "2", first, second))
    fills = await told(ledger, kinds=frozenset({EventKind.FILL}), order_id="order-1")
    assert [(each.data["trade_id"], each.data["price"]) for each in fills] == [
        ("t1", "50000"),
        ("t2", "50100"),
    ]
    assert [each.data["order"]["filled_quantity"] for each in fills] == ["1", "2"]
    assert fills[-1].data["order"]["average_price"] == "50050"
    assert fills[-1].data["order"]["remaining_quantity"] == "3"
    shown = await ledger.views.order("order-1")
    assert shown is not None
    assert str(shown.filled_quantity.normalize()) == fills[-1].data["order"]["filled_quantity"]
    orders = await told(ledger, kinds=frozenset({EventKind.ORDER}))
    assert [each.data["status"] for each in orders[:2]] == ["accepted", "working"]
    assert orders[-1].data["child"]["status"] == "working"
    assert orders[-1].data["filled_quantity"] == "1"
    positions = await told(ledger, kinds=frozenset({EventKind.POSITION}))
    assert [each.data["quantity"] for each in positions] == ["0.999", "1.999"]
    assert {each.strategy_id for each in positions} == {"s1"}


async def test_an_order_tells_each_of_its_states_once(ledger: World) -> None:
    await ledger.open("order-1")
    snapshot = OrderSnapshot(order_id="order-1", status=OrderStatus.WORKING, reason="")
    await ledger.store.save_order(snapshot, OrderStatus.WORKING)
    await ledger.store.save_order(snapshot, OrderStatus.WORKING)  # nothing new
    ended = snapshot.model_copy(update={"status": OrderStatus.CANCELLED, "reason": "user"})
    await ledger.store.save_order(ended, OrderStatus.CANCELLED)
    found = await told(ledger, order_id="order-1")
    statuses = [event.data["status"] for event in found]
    assert statuses == ["accepted", "working", "cancelled"]
    assert (found[-1].data["reason"], found[-1].data["remaining_quantity"]) == ("user", "5")
    assert found[-1].data["finished_at"] is not None


async def test_what_only_the_engine_cares_for_is_no_news(ledger: World) -> None:
    await ledger.open("order-1")
    before = await EventViews(ledger.engine).kept()
    await ledger.rows("UPDATE parent_orders SET looked_at = now(), updated_at = now()")
    await ledger.rows(
        "INSERT INTO positions (strategy_id, account, exchange, symbol) "
        "VALUES ('s', 'main', 'binance', 'BTC/USDT')"
    )
    assert await EventViews(ledger.engine).kept() == before


async def test_alarms_and_switches_are_told_with_whom_they_concern(ledger: World) -> None:
    intent = await ledger.reserved()
    await ledger.store.raise_alarm(AlarmCode.UNKNOWN_ORDER, intent.client_order_id, "d")
    await ledger.store.raise_alarm(AlarmCode.RECON_BREAK, "binance/main:BTC", "d")
    await ledger.store.raise_alarm(AlarmCode.DROP_COPY_BLIND, "binance/nobody", "d")
    await AlarmStore(ledger.engine).acknowledge(1, "ann", "seen")
    halt = Setting(state=TradingState.HALTED, reason="test", by="ann")
    await StateStore(ledger.engine).set(a_scope("symbol:binance:BTC/USDT"), halt)
    alarms = await told(ledger, kinds=frozenset({EventKind.ALARM}))
    assert [(each.account, each.order_id) for each in alarms] == [
        ("main", "order-1"),
        ("main", None),
        (None, None),
        ("main", "order-1"),
    ]
    assert (alarms[-1].data["acknowledged_by"], alarms[-1].data["note"]) == ("ann", "seen")
    (switch,) = await told(ledger, kinds=frozenset({EventKind.TRADING_STATE}))
    assert (switch.exchange, switch.symbol) == ("binance", "BTC/USDT")
    assert (switch.data["state"], switch.data["updated_by"]) == ("halted", "ann")


@pytest.mark.parametrize("accounts", [None, frozenset({"main"}), frozenset({"other"})])
async def test_the_filter_of_pages_is_the_filter_of_streams(
    ledger: World, accounts: frozenset[str] | None
) -> None:
    await ledger.ack(await ledger.sent(), a_report(VenueStatus.FILLED, "1", a_fill("t", "1")))
    await ledger.store.raise_alarm(AlarmCode.DROP_COPY_BLIND, "binance/nobody", "d")
    halt = Setting(state=TradingState.HALTED, reason="test", by="ann")
    await StateStore(ledger.engine).set(a_scope("global"), halt)
    everything = await told(ledger)
    assert len(everything) > 5
    for wanted in (
        EventFilter(accounts=accounts),
        EventFilter(accounts=accounts, order_id="order-1"),
        EventFilter(accounts=accounts, strategy_id="s1", kinds=frozenset({EventKind.FILL})),
        EventFilter(accounts=accounts, execution_id="none"),
    ):
        page = await EventViews(ledger.engine).page(0, 500, wanted)
        assert page.events == [event for event in everything if wanted.accepts(event)]
    seen = {event.kind for event in everything if EventFilter(accounts=accounts).accepts(event)}
    assert EventKind.TRADING_STATE in seen
    assert (EventKind.ORDER in seen) == (accounts is None or "main" in accounts)
    assert (EventKind.ALARM in seen) == (accounts is None)


async def test_pages_follow_each_other_and_old_ones_are_told_to_be_gone(ledger: World) -> None:
    for number in range(7):
        await ledger.store.raise_alarm(AlarmCode.ORDER_FAILED, f"order-{number}", "d")
    views, everything = EventViews(ledger.engine), EventFilter()
    seen: list[int] = []
    since = 0
    while (page := await views.page(since, 3, everything)).events:
        seen += [event.seq for event in page.events]
        since = page.seq
    assert seen == [*range(1, 8)]
    assert [each.seq for each in (await views.page(None, 2, everything)).events] == [6, 7]
    none = await views.page(0, 3, EventFilter(order_id="nobody's"))
    assert (none.events, none.seq) == ([], 7)
    assert await EventStore(ledger.engine).prune(older_than_s=Decimal(0), limit=2) == 2
    assert (await views.kept()).oldest == 3
    assert len((await views.page(2, 9, everything)).events) == 5
    for gone in (0, 1, 8):
        with pytest.raises(SequenceGoneError):
            await views.page(gone, 3, everything)


async def test_only_what_is_old_is_taken_away(ledger: World) -> None:
    for number in range(4):
        await ledger.store.raise_alarm(AlarmCode.ORDER_FAILED, f"order-{number}", "d")
    await ledger.rows("UPDATE events SET at = at - interval '8 days' WHERE seq <= 3")
    keeper = EventKeeper(EventStore(ledger.engine), Chores(ledger.engine))
    assert await keeper.prune() == 3
    assert await keeper.prune() == 0
    kept = await EventViews(ledger.engine).kept()
    assert (kept.oldest, kept.head) == (4, 4)


async def test_what_was_rolled_back_is_not_told_and_leaves_no_gap(ledger: World) -> None:
    await ledger.store.raise_alarm(AlarmCode.ORDER_FAILED, "a", "d")
    connection = await asyncpg.connect(as_engine(ledger.url))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(AN_ALARM, "b")
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # it has taken its number
    await transaction.rollback()
    await connection.close()
    await ledger.store.raise_alarm(AlarmCode.ORDER_FAILED, "c", "d")
    assert [(each.seq, each.data["object"]) for each in await told(ledger)] == [(1, "a"), (2, "c")]


async def test_no_reader_ever_sees_a_number_before_a_smaller_one(ledger: World) -> None:
    """Writers race with mixed changes, rollbacks and audit rows, which are also locked last."""
    committed: list[int] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        chance = random.Random(number)
        connection = await asyncpg.connect(as_engine(ledger.url))
        for turn in range(TURNS):
            transaction = connection.transaction()
            await transaction.start()
            count = await _mixed(connection, chance, f"{number}-{turn}")
            if chance.random() < 0.25:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed.append(count)
        await connection.close()

    async def follow() -> list[int]:
        connection, seen = await asyncpg.connect(as_engine(ledger.url)), [0]
        while not done.is_set() or await connection.fetchval(
            "SELECT max(seq) > $1 FROM events", seen[-1]
        ):
            rows = await connection.fetch("SELECT seq FROM events WHERE seq > $1", seen[-1])
            seen += sorted(row["seq"] for row in rows)
        await connection.close()
        return seen

    async with asyncio.timeout(60):
        readers = [asyncio.create_task(follow()) for _ in range(2)]
        await asyncio.gather(*(write(number) for number in range(WRITERS)))
        done.set()
        seen = await asyncio.gather(*readers)
    assert committed
    for each in seen:
        assert each == [*range(sum(committed) + 1)]
    times = await ledger.rows("SELECT at FROM events ORDER BY seq")
    assert times == sorted(times, key=lambda row: row["at"])
    assert await ledger.value("SELECT audit_broken_at()") is None


async def _mixed(connection: Any, chance: random.Random, name: str) -> int:
    """Some changes in any order; how many events they are."""
    changes = chance.sample(["order", "alarm", "position", "audit"], chance.randint(1, 4))
    for change in changes:
        if change == "order":
            await connection.execute(A_PARENT, name, f"s{chance.randint(1, 3)}")
            await connection.execute(
                "UPDATE parent_orders SET status = 'working' WHERE order_id = $1", name
            )
        elif change == "alarm":
            await connection.execute(AN_ALARM, name)
        elif change == "position":
            await connection.execute(A_POSITION, f"s{name}")
        else:
            await connection.execute(AN_AUDIT, name)
        await asyncio.sleep(chance.random() / 500)
    return sum({"audit": 0}.get(change, 1) for change in changes)


async def test_bookings_that_race_keep_the_running_total_right(ledger: World) -> None:
    await ledger.open("order-1")
    intents: list[ChildIntent] = []
    for index in range(6):
        intent = an_intent("order-1", index)
        assert (await ledger.reserve(intent))[1] is None
        assert await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is None
        intents.append(intent)
    reports = [
        a_report(VenueStatus.FILLED, "1", a_fill(f"t{n}", "1"), venue_order_id=f"v{n}")
        for n in range(6)
    ]
    await asyncio.gather(*map(ledger.ack, intents, reports))
    fills = await told(ledger, kinds=frozenset({EventKind.FILL}))
    totals = [each.data["order"]["filled_quantity"] for each in fills]
    assert totals == ["1", "2", "3", "4", "5", "6"]


async def test_what_was_filled_before_events_were_told_is_in_the_totals(
    empty_database_url: str,
) -> None:
    await migrate._in_transaction(empty_database_url, partial(_to, revision="0007"))
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(A_PARENT, "o", "s")
    await connection.execute(
        "INSERT INTO child_orders (client_order_id, order_id, child_index, generation, "
        "strategy_id, account, exchange, symbol, side, child_type, time_in_force, post_only, "
        "quantity, status) SELECT 'c', order_id, 0, 0, strategy_id, account, exchange, symbol, "
        "side, 'limit', 'GTC', false, 1, 'working' FROM parent_orders"
    )
    await _fill(connection, "1", "100", "0.25")
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    await _fill(connection, "2", "200", "0.75")
    (data,) = [
        row["data"] for row in await connection.fetch("SELECT data ->> 'order' AS data FROM events")
    ]
    await connection.close()
    assert '"average_price": "175"' in data
    assert '"filled_quantity": "1"' in data


def _to(connection: Connection, revision: str) -> None:
    config = migrate._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def _fill(connection: Any, trade: str, price: str, quantity: str) -> None:
    async with connection.transaction():
        fill = await connection.fetchval(
            "INSERT INTO fills (exchange, account, symbol, trade_id, venue_order_id, "
            "client_order_id, strategy_id, side, price, quantity, fee, fee_asset, is_maker, "
            "traded_at) VALUES ('binance', 'main', 'BTC/USDT', $1, 'v', 'c', 's', 'buy', $2, $3, "
            "0, 'BTC', false, now()) RETURNING id",
            trade,
            Decimal(price),
            Decimal(quantity),
        )
        for entry, (account, amount) in enumerate((("trading", "1"), ("market", "-1"))):
            await connection.execute(
                "INSERT INTO postings VALUES ($1, $2, $3, 'BTC', $4)",
                fill,
                entry,
                account,
                Decimal(amount) * Decimal(quantity),
            )


async def test_a_denied_order_is_told_with_its_code(ledger: World) -> None:
    request = an_order(quantity=Decimal(1000))
    await ledger.store.open_parent("big", "chain", request)
    denied = await ledger.store.accept_parent("big", request, Decimal(50_000))
    assert denied is not None
    last = (await told(ledger, order_id="big"))[-1]
    assert (last.data["status"], last.data["code"]) == ("denied", denied.code.value)
