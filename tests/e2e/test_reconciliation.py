"""What happened while nobody looked is in the ledger after one comparison, each thing once.

And what is no trade is never made one: it stays a difference until a human books it.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import psutil
import pytest
from sqlalchemy import select
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities import drop_copy
from activities.drop_copy import DropCopy
from activities.ledger.models import FillRow
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.ledger.view_sync import SyncViews
from activities.venues.ccxt_gateway import open_gateway
from tests.e2e.feed_world import APART, external_fills, place_by_hand, whole_engine
from tests.e2e.proof import assert_ledger_is_exchange, assert_order_is_true
from tests.e2e.world import MAIN, STILL, VENUE, World, until
from workers.accounts import read_config
from workers.stack_parts import StackParts
from workers.sync_schedules import start_schedules
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reconciliation import DifferenceKind
from workflows.ports.sync import SyncAction
from workflows.sync_messages import AccountReport, DifferenceReport, SyncReport

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def compare(world: World, *request: Any) -> SyncReport:
    """Run one comparison; of our venue unless another request is given."""
    world.made += 1
    arguments: tuple[Any, ...] = request or ({"exchange": VENUE, "requested_by": "a test"},)
    return await world.temporal.execute_workflow(
        "SyncPositions",
        *arguments,
        id=f"{names.sync_id(VENUE)}-{os.getpid()}-{world.made}",
        task_queue=names.ORDERS_QUEUE,
        result_type=SyncReport,
    )


def of_main(report: SyncReport) -> AccountReport:
    (found,) = [each for each in report.accounts if each.account == MAIN]
    return found


def balance_of(report: SyncReport, asset: str) -> list[DifferenceReport]:
    return [
        each
        for each in of_main(report).differences
        if (each.kind, each.object) == (DifferenceKind.BALANCE, asset)
    ]


@asynccontextmanager
async def no_workers(world: World) -> AsyncIterator[None]:
    workers = [name for name in world.stack.parts if name.startswith("worker-")]
    await asyncio.gather(*(world.stack.stop_part(name) for name in workers))
    yield
    await asyncio.gather(*(world.stack.start_part(name) for name in workers))


@asynccontextmanager
async def second_look(world: World) -> AsyncIterator[DropCopy]:
    """The drop copy of our account, with connections of its own."""
    gateway = open_gateway(read_config(world.stack.settings, VENUE, MAIN))
    store = SyncStore(world.database)
    try:
        yield DropCopy(gateway, SyncReader(world.database), store, world.stack.settings.symbols)
    finally:
        await gateway.close()


async def breaks(world: World, observer: str) -> list[tuple[str, str]]:
    found = await SyncViews(world.database).open_breaks(VENUE)
    mine = [each for each in found if (each.observer, each.account) == (observer, MAIN)]
    return [(each.kind, each.object) for each in mine]


async def agrees(world: World) -> bool:
    return (await compare(world)).agrees


async def test_what_happened_in_an_outage_is_in_the_ledger_once_and_nothing_else_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_copy, "IN_FLIGHT_MS", 0)
    await whole_engine(world)
    filled, cancelled = await world.rest(quantity="0.2"), await world.rest(price=APART["buy"])
    (judged,) = world.at_exchange(cancelled)
    async with second_look(world) as second:
        await second.look()
        assert await breaks(world, "drop_copy") == []
        async with no_workers(world):
            await world.sell("0.15")
            await world.sell("0.05")
            by_hand = await world.hand.create_order(STILL, "market", "buy", "0.03")
            await place_by_hand(world, "placed-by-hand-1")
            await world.hand.cancel_order(str(judged.order_id), STILL)
            await second.look()
            missed = await breaks(world, "drop_copy")
            assert {kind for kind, _ in missed} == {DifferenceKind.MISSING_FILL}
            assert len(missed) >= 3
        await until(lambda: agrees(world), within_s=20)
        await second.look()
        assert await breaks(world, "drop_copy") == []
    done = await world.finish(filled)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.2"))
    assert (await world.finish(cancelled)).status is OrderStatus.EXPIRED
    await assert_order_is_true(world, done)
    query = select(FillRow.quantity).where(FillRow.venue_order_id == by_hand["id"])
    async with world.database.connect() as connection:
        quantities = list((await connection.execute(query)).scalars())
    assert sum(quantities) == Decimal("0.03")


async def test_orders_of_others_are_recorded_with_their_ends(world: World) -> None:
    await whole_engine(world)
    client_id = "placed-by-hand-2"
    await place_by_hand(world, client_id, side="sell")
    (judged,) = world.log().orders_named(client_id)
    report = await compare(world)
    name = f"{STILL}/{judged.order_id}"
    (told,) = [each for each in of_main(report).differences if each.object == name]
    assert (told.kind, told.action) == (DifferenceKind.EXTERNAL_ORDER, SyncAction.RECORDED)
    assert told.value == Decimal("0.02") * APART["sell"]
    assert report.agrees
    await world.faults.act("fill", client_order_id=client_id)
    await until(lambda: external_fills(world, client_id))
    await compare(world)
    shown = {
        each.venue_order_id: each for each in await SyncViews(world.database).external_orders(VENUE)
    }[str(judged.order_id)]
    assert (shown.status, shown.executed_quantity) == ("filled", Decimal("0.02"))
    await assert_ledger_is_exchange(world)


async def test_money_that_nobody_traded_is_a_break_until_it_is_booked_as_a_transfer(
    world: World,
) -> None:
    await whole_engine(world)
    await until(lambda: agrees(world), within_s=20)
    fills = await _count_fills(world)
    await world.faults.act("deposit", account=MAIN, asset="BTC", amount=Decimal("0.5"))
    (found,) = balance_of(await compare(world), "BTC")
    assert (found.action, found.detail) == (SyncAction.OPEN, "by +0.5")
    assert found.value == pytest.approx(Decimal(25_000), rel=Decimal("0.1"))
    (again,) = balance_of(await compare(world), "BTC")
    assert again.age_s > found.age_s >= 0
    async with second_look(world) as second:
        await second.look()
        assert await breaks(world, "drop_copy") == [("balance", "BTC")]
        denied = await SyncStore(world.database).book_transfer(
            VENUE, MAIN, "BTC", Decimal("0.5"), reason="cold wallet", by="a test"
        )
        assert denied is None
        assert (await compare(world)).agrees
        await second.look()
    assert await SyncViews(world.database).open_breaks(VENUE) == []
    assert await _count_fills(world) == fills
    await assert_ledger_is_exchange(world)


async def test_a_venue_that_nobody_configured_and_a_request_that_nobody_can_read_are_refused(
    world: World,
) -> None:
    unknown = await compare(world, {"exchange": "kraken"})
    assert (unknown.code, unknown.field) == (DenialCode.UNKNOWN_ENUM, "exchange")
    missing = await world.temporal.execute_workflow(
        "SyncPositions",
        id=f"sync-nothing-{os.getpid()}",
        task_queue=names.ORDERS_QUEUE,
        result_type=SyncReport,
    )
    assert missing.code is DenialCode.INVALID_INPUT
    for raw, code in (
        (b"{", DenialCode.INVALID_JSON),
        (b"[]", DenialCode.INVALID_TYPE),
        (b"{}", DenialCode.MISSING_FIELD),
        (json.dumps({"exchange": VENUE, "all": True}).encode(), DenialCode.UNKNOWN_FIELD),
    ):
        payload = Payload(metadata={"encoding": b"json/plain"}, data=raw)
        assert (await compare(world, RawValue(payload))).code is code


async def test_every_venue_has_one_schedule_which_a_worker_that_starts_leaves_as_it_is(
    world: World,
) -> None:
    handle = world.temporal.get_schedule_handle(names.sync_schedule_id(VENUE))
    await handle.pause(note="by a test")
    await start_schedules(world.temporal, world.stack.settings)
    known = (await handle.describe()).schedule
    assert [each.every.total_seconds() for each in known.spec.intervals] == [86_400]
    assert known.state.paused
    changed = world.stack.settings.model_copy(update={"sync_every_s": Decimal(80_000)})
    await start_schedules(world.temporal, changed)
    known = (await handle.describe()).schedule
    assert [each.every.total_seconds() for each in known.spec.intervals] == [80_000]
    assert known.state.paused
    await start_schedules(world.temporal, world.stack.settings)
    await handle.unpause()


async def test_the_drop_copy_is_a_process_of_its_own_that_ends_when_it_is_told(
    world: World,
) -> None:
    (part,) = StackParts(world.stack.settings, ["drop-copy"]).parts()
    process = await asyncio.create_subprocess_exec(*part.argv, env=part.env, cwd=part.cwd)
    try:
        assert part.ready is not None
        await until(lambda: _is_ready(part.ready), within_s=30)
        print("drop copy, MB:", psutil.Process(process.pid).memory_info().rss // 2**20)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def _is_ready(ready: Any) -> bool:
    try:
        return bool(await ready())
    except OSError:
        return False


async def _count_fills(world: World) -> int:
    async with world.database.connect() as connection:
        return len((await connection.execute(select(FillRow.id))).all())
