"""The ledger's disk is full, the logs' disk is full, or the ledger comes back from a backup.

The rows are named as in the table of infrastructure faults. Nothing leaves without an intent that
is on disk, and nothing is traded on a ledger that has forgotten something, until a human says so.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select, text

from activities.feed_follower import READINGS
from activities.ledger.control_models import Alarm, TradingStateRow
from activities.ledger.engine import open_single
from activities.ledger.models import FeedCursorRow, FillRow
from activities.ledger.results import TradingState
from activities.ledger.view_positions import PositionViews
from tests.e2e.crash_world import workers
from tests.e2e.disk_world import Disks, open_disks
from tests.e2e.infra_load import Load
from tests.e2e.world import VENUE, World, all_ready, until
from workers import emergency
from workers.checker import check
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.scopes import Scope, ScopeKind
from workflows.messages import OrderSnapshot

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

REFUSED_WITHIN_S, BACK_WITHIN_S = 60.0, 60.0
REFUSALS = 3
SOLD = Decimal("0.05")
SWITCH = f"venue:{VENUE}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def disks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Disks]:
    """One engine for the module; every test leaves it whole."""
    async with open_disks(tmp_path_factory.mktemp("disks")) as opened:
        yield opened


async def test_e8_a_full_disk_under_the_ledger_stops_orders_and_loses_none(disks: Disks):
    load = Load(disks)
    await load.assert_fills()
    with disks.ledger.full():
        deadline = time.monotonic() + REFUSED_WITHIN_S
        while _refusals(load) < REFUSALS:
            assert time.monotonic() < deadline, "the ledger went on without a disk"
            await load.ask_all()
    await load.assert_fills()
    await load.assert_all_ended()


async def test_e8_a_full_disk_under_the_logs_stops_no_order(disks: Disks):
    load, stack = Load(disks), disks.world.stack
    with disks.logs.full():
        await stack.kill(workers(disks.world)[0])
        answers = await load.ask_all()
        assert {answer.status for answer in answers} == {httpx.codes.CREATED}
        await stack.wait_healthy(workers(disks.world)[0])
    await load.assert_all_ended()


async def test_e11_a_ledger_from_a_backup_is_not_traded_on_until_a_human_has_looked(
    disks: Disks, tmp_path: Path
):
    world, backup = disks.world, tmp_path / "backup"
    rests = await world.rest(quantity="0.2")
    await world.stack.stop_part("postgres")
    await disks.copy_ledger(backup)
    await world.stack.start_part("postgres")
    await until(lambda: all_ready(world), BACK_WITHIN_S)
    forgotten = await _filled(world)
    await world.sell(str(SOLD))
    await _all_is_booked(world)
    await _accounts_are_read_again(world)

    await _restore(disks, backup)
    assert await _fills_of(world, forgotten) == []
    await until(lambda: _is_halted(world), BACK_WITHIN_S)
    denied = await world.place()
    assert denied.code == DenialCode.TRADING_HALTED
    assert world.at_exchange(denied) == []
    await _all_is_booked(world)
    assert await _held(world, rests) == SOLD - _fees(world, rests)
    (lost,) = (child.client_order_id for child in forgotten.children)
    violations = (await check(world.stack.settings)).violations
    assert violations, "what was forgotten is not told"
    assert [each for each in violations if lost not in str(each)] == []

    scope = Scope(kind=ScopeKind.VENUE, venue=VENUE)
    await emergency.resume(world.stack.settings, scope, "compared with the exchange", "test")
    assert (await _filled(world)).status is OrderStatus.FILLED


# --- helpers --------------------------------------------------------------------------------------


def _refusals(load: Load) -> int:
    return sum(each.status == httpx.codes.SERVICE_UNAVAILABLE for each in load.answers)


async def _filled(world: World) -> OrderSnapshot:
    """A market order's end; it is asked for again until the engine can say yes."""
    async with asyncio.timeout(BACK_WITHIN_S):
        while (placed := await world.place()).code is not None:
            await asyncio.sleep(0.2)
    return await world.finish(placed)


async def _restore(disks: Disks, backup: Path) -> None:
    """Under running workers; it is made as old as such a backup mostly is."""
    world = disks.world
    await world.stack.stop_part("postgres")
    await disks.restore_ledger(backup)
    await world.stack.start_part("postgres")
    owner = open_single(world.stack.settings.owner_dsn())
    async with owner.begin() as connection:
        aged = "UPDATE account_readiness SET ready_until = ready_until - interval '10 minutes'"
        await connection.execute(text(aged))
    await owner.dispose()


async def _is_halted(world: World) -> bool:
    """True once the engine has halted the venue, and has told a human."""
    state = select(TradingStateRow.state).where(TradingStateRow.scope == SWITCH)
    alarm = select(Alarm.code).where(Alarm.code == "LEDGER_RESTORED")
    async with world.database.connect() as connection:
        states = list((await connection.execute(state)).scalars())
        return states == [TradingState.HALTED.value] and bool(
            (await connection.execute(alarm)).first()
        )


async def _all_is_booked(world: World) -> None:
    """Wait until every trade of the exchange's log is in the ledger."""
    unbooked: set[tuple[str, str, str]] = set()

    async def is_so() -> bool:
        query = select(FillRow.account, FillRow.trade_id, FillRow.side)
        async with world.database.connect() as connection:
            booked = {tuple(row) for row in await connection.execute(query)}
        judged = ((t.account, str(t.trade_id), t.side.lower()) for t in world.log().trades)
        unbooked.clear()
        unbooked.update(set(judged) - booked)
        return not unbooked

    try:
        await until(is_so, BACK_WITHIN_S)
    except AssertionError:
        raise AssertionError(f"never booked: {unbooked}") from None


async def _accounts_are_read_again(world: World) -> None:
    """The backup is as old as two readings of every account: minutes, at a tenth of the speed."""

    async def readings() -> list[int]:
        query = select(FeedCursorRow.trade_id).where(FeedCursorRow.symbol == READINGS)
        async with world.database.connect() as connection:
            found = (await connection.execute(query.order_by(FeedCursorRow.account))).scalars()
            return list(map(int, found))

    async def are_read() -> bool:
        return all(now >= then + 2 for now, then in zip(await readings(), before, strict=True))

    before = await readings()
    await until(are_read, BACK_WITHIN_S)


async def _fills_of(world: World, order: OrderSnapshot) -> list[object]:
    return list(await world.views.fills(order.order_id))


async def _held(world: World, order: OrderSnapshot) -> Decimal:
    """Base units of the order's strategy by the books; each strategy has one order here."""
    (position,) = await PositionViews(world.database).positions(strategy_id=order.order_id)
    return position.quantity


def _fees(world: World, order: OrderSnapshot) -> Decimal:
    trades = [
        trade
        for child in order.children
        for trade in world.log().trades_named(child.client_order_id)
    ]
    return sum((trade.fee for trade in trades if trade.fee_asset == "BTC"), Decimal(0))
