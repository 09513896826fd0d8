"""Scenarios that came with the whole of the interfaces: public facts, a resume that is refused."""

import asyncio
import time

import pytest
from temporalio.client import WorkflowUpdateFailedError

from activities.ledger.results import TradingState
from tests.e2e.world import MAIN, STILL, VENUE, World
from tests.histories.controlled import FAR_BELOW, WITHIN_S, switch, until_status, update, worked
from tests.histories.executions import Worked
from tests.histories.orders_at_work import Keep
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.ports.public_data import MarketWindow, SymbolsRequest, VenueSymbols, WindowRequest


async def work(world: World, keep: Keep) -> None:
    """Work them all; each is kept as soon as it has ended."""
    await keep("symbols.read", await symbols_read(world))
    await keep("window.read", await window_read(world))
    await keep("limit.resume_refused_while_halted", await resume_refused(world))


async def symbols_read(world: World) -> Worked:
    handle = await world.temporal.start_workflow(
        "ReadSymbols",
        SymbolsRequest(venue=VENUE, account=MAIN),
        id="symbols-of-a-recording",
        task_queue=names.ORDERS_QUEUE,
        result_type=VenueSymbols,
    )
    found = await asyncio.wait_for(handle.result(), WITHIN_S)
    return Worked(id=handle.id, status=OrderStatus.FILLED, detail=f"{len(found.symbols)} symbols")


async def window_read(world: World) -> Worked:
    await world.finish(await world.place())
    until_ms = time.time_ns() // 1_000_000
    handle = await world.temporal.start_workflow(
        "ReadWindow",
        WindowRequest(
            venue=VENUE,
            account=MAIN,
            symbol=STILL,
            since_ms=until_ms - 5_000,
            until_ms=until_ms,
        ),
        id="window-of-a-recording",
        task_queue=names.ORDERS_QUEUE,
        result_type=MarketWindow,
    )
    found = await asyncio.wait_for(handle.result(), WITHIN_S)
    return Worked(id=handle.id, status=OrderStatus.FILLED, detail=str(found.source))


async def resume_refused(world: World) -> Worked:
    placed = await world.rest(price=FAR_BELOW)
    await update(world, placed, names.PAUSE, {"requested_by": "ann"})
    await switch(world, placed, TradingState.HALTED)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await update(world, placed, names.RESUME, {"requested_by": "ann"})
    assert "TRADING_HALTED" in str(refused.value.cause.type)
    await switch(world, placed, TradingState.ACTIVE)
    await update(world, placed, names.RESUME, {"requested_by": "ann"})
    await until_status(world, placed, OrderStatus.WORKING)
    return worked(await world.orders.cancel(placed.order_id))
