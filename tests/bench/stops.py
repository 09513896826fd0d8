"""A thousand stops of one symbol on one worker: how soon they act, and what watching costs.

The market is frozen and moved by hand, trade by trade. First it moves above all triggers: that is
what watching costs. Then it falls through them, a few at each trade and as fast as the engine can
work their exits, and at last through a hundred at once. A time is counted from before the trade is
asked for at the exchange's control port: to the signal in the history of the stop's workflow, and
to the arrival of its exit order at the exchange.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import psutil
from sqlalchemy import func, select

from activities.ledger.watch_models import PriceWatch
from tests.bench.figures import Measure, p50_and_p99, percentile
from tests.bench.rig import POLL_S, SYMBOL, VENUE, BenchError, Rig
from workflows import names
from workflows.domain.orders import client_order_id

STOPS, AT_ONCE = 1_000, 100
"""`AT_ONCE` of them have one price and fire together at the end."""
PER_TRADE, TRADE_EVERY_S = 2, 0.2
HIGHEST, APART = Decimal(49_990), Decimal("0.5")
ABOVE = (Decimal(50_000), Decimal("50_000.5"))
WATCH_S, WATCHED_TRADES_PER_S = 10, 20
_LANES = 16
_ARMED_WITHIN_S = 300.0
_WORKERS = ("worker-0", "worker-1")
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop that waits, and its trigger in quote units."""

    order_id: str
    price: Decimal


async def stops(rig: Rig) -> list[Measure]:
    """Trigger to signal, trigger to exit order, and the worker's memory and CPU."""
    with rig.progress(f"stops: {STOPS} are armed, watched and fired", 2 * STOPS) as step:
        async with _one_worker(rig) as worker, _frozen(rig):
            empty = worker.memory_info().rss
            waiting = await _arm(rig, step)
            watching = await _watch(rig, worker)
            full = worker.memory_info().rss
            told_ms = await _fall(rig, waiting, step)
            await asyncio.gather(*(rig.orders.result(each.order_id) for each in waiting))
            signals, exits = await _signals_ms(rig, waiting), rig.arrivals_ms()
    to_signal = [signals[each.order_id] - told_ms[each.price] for each in waiting]
    to_exit = [exits[client_order_id(each.order_id, 0)] - told_ms[each.price] for each in waiting]
    return [
        *p50_and_p99("stop_trigger", to_signal[:-AT_ONCE], None),
        Measure(name="stop_burst_p99", value=percentile(to_signal[-AT_ONCE:], 99), unit="ms"),
        *p50_and_p99("stop_exit", to_exit[:-AT_ONCE], None),
        Measure(name="stops_cpu", value=watching, unit="% of a core"),
        Measure(name="stops_rss", value=full / _MEGABYTE, unit="MB", baseline=empty / _MEGABYTE),
    ]


@asynccontextmanager
async def _one_worker(rig: Rig) -> AsyncIterator[psutil.Process]:
    """The only worker that runs meanwhile."""
    first, second = _WORKERS
    await rig.stack.stop_part(second)
    try:
        yield psutil.Process(rig.stack.parts[first].pid)
    finally:
        await rig.stack.start_part(second)


@asynccontextmanager
async def _frozen(rig: Rig) -> AsyncIterator[None]:
    """The market moves by hand only."""
    await rig.control[VENUE].act("freeze_market", symbol=SYMBOL)
    try:
        yield
    finally:
        await rig.control[VENUE].act("thaw_market", symbol=SYMBOL)


async def _arm(rig: Rig, step: Callable[[], object]) -> list[Stop]:
    """All stops, armed; the highest first."""
    gate = asyncio.Semaphore(_LANES)

    async def one(number: int) -> Stop:
        price = HIGHEST - APART * (min(number, STOPS - AT_ONCE) // PER_TRADE)
        async with gate:
            placed = await rig.place(
                rig.request(
                    side="sell", order_type="stop_loss", stop_price=price, placement="engine"
                )
            )
        step()
        return Stop(order_id=placed.order_id, price=price)

    made = await asyncio.gather(*map(one, range(STOPS)))
    query = select(func.count()).where(PriceWatch.status == "armed")
    deadline = time.monotonic() + _ARMED_WITHIN_S
    while True:
        async with rig.database.connect() as connection:
            armed = (await connection.execute(query)).scalar_one()
        if armed == STOPS:
            return made
        if time.monotonic() > deadline:
            raise BenchError(f"only {armed} of {STOPS} stops were armed")
        await asyncio.sleep(POLL_S)


async def _watch(rig: Rig, worker: psutil.Process) -> float:
    """CPU of the worker, in percent of one core, while prices move and nothing fires."""
    before, began = _cpu_s(worker), time.monotonic()
    for number in range(WATCH_S * WATCHED_TRADES_PER_S):
        await _trade(rig, ABOVE[number % len(ABOVE)])
        await asyncio.sleep(1 / WATCHED_TRADES_PER_S)
    return 100 * (_cpu_s(worker) - before) / (time.monotonic() - began)


def _cpu_s(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return times.user + times.system


async def _fall(rig: Rig, waiting: list[Stop], step: Callable[[], object]) -> dict[Decimal, float]:
    """One trade at each trigger; when each was asked for (ms since 1970)."""
    told_ms = {}
    for price in dict.fromkeys(each.price for each in waiting):
        told_ms[price] = time.time_ns() / 1e6
        await _trade(rig, price)
        for each in waiting:
            if each.price == price:
                step()
        await asyncio.sleep(TRADE_EVERY_S)
    return told_ms


async def _trade(rig: Rig, price: Decimal) -> None:
    await rig.control[VENUE].act("trade", symbol=SYMBOL, price=str(price))


async def _signals_ms(rig: Rig, waiting: list[Stop]) -> dict[str, float]:
    """When each workflow was signalled (ms since 1970)."""
    return {each.order_id: await _signal_ms(rig, each.order_id) for each in waiting}


async def _signal_ms(rig: Rig, order_id: str) -> float:
    handle = rig.temporal.get_workflow_handle(order_id)
    async for event in handle.fetch_history_events():
        told = event.workflow_execution_signaled_event_attributes
        if told.signal_name == names.PRICE_TRIGGER:
            return event.event_time.ToNanoseconds() / 1e6
    raise BenchError(f"stop {order_id} was never signalled")
