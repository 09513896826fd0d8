"""How soon a trade is in the ledger, and with a reader of the live stream.

Orders rest, another account trades with them. The time is from the trade in the exchange's log to
`booked_at` of its row. The bare side is the same trades as the other account hears of them: ccxt's
stream, and one INSERT per trade into a table that has nothing but these two columns. Both rows
carry the time at which their transaction began. A reader's time ends when it has read the fill's
event; beside it stands the ledger's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.models import FillRow
from tests.bench.figures import Measure, p50_and_p99
from tests.bench.readers import fills_heard
from tests.bench.rig import INSIDE, MAIN, POLL_S, SYMBOL, BenchError, Rig, open_hand
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id

FILLS, WARM_UP = 100, 10
AT_ONCE = 10
_LISTENS_WITHIN_S = 10.0
_HEARD_WITHIN_S = 10.0
_ENDS_WITHIN_S = 30.0
_QUANTITY = "0.001"
_TABLE = """CREATE TABLE bench_trades (
  trade_id text PRIMARY KEY, booked_at timestamptz NOT NULL DEFAULT now())"""
_INSERT = "INSERT INTO bench_trades (trade_id) VALUES (:trade_id) RETURNING booked_at"


async def fills(rig: Rig) -> list[Measure]:
    """Trade at the exchange to fill in the ledger and to its event, of orders that rested."""
    total = WARM_UP + FILLS
    with rig.progress(
        "fill to ledger and reader: resting orders, traded with one by one", 2 * total
    ) as step:
        resting = []
        for first in range(0, total, AT_ONCE):
            batch = range(first, min(first + AT_ONCE, total))
            resting += await asyncio.gather(*(_rest(rig) for _ in batch))
            for _ in batch:
                step()
        async with _bare_listener(rig) as heard, fills_heard(rig) as read:
            await _trade_with(rig, resting, step)
            trades = _trades_of(rig, resting)[WARM_UP:]
            for each in (heard, read):
                await _until_heard(each, [trade_id for trade_id, _ in trades])
    booked = await _booked(rig, [trade_id for trade_id, _ in trades])
    ours = [booked[trade_id].timestamp() * 1_000 - at for trade_id, at in trades]
    bare = [heard[trade_id].timestamp() * 1_000 - at for trade_id, at in trades]
    told = [read[trade_id] - at for trade_id, at in trades]
    return p50_and_p99("fill_to_ledger", ours, bare) + p50_and_p99("fill_to_reader", told, ours)


async def _trade_with(rig: Rig, resting: Iterable[str], step: Callable[[], object]) -> None:
    """Fill the orders one by one: each must have ended before the next trade."""
    open_orders = {asyncio.create_task(rig.orders.result(name)) for name in resting}
    while open_orders:
        await rig.hand.create_order(
            SYMBOL, "limit", "sell", _QUANTITY, str(INSIDE), {"timeInForce": "IOC"}
        )
        ended, open_orders = await asyncio.wait(
            open_orders, timeout=_ENDS_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not ended or any(each.result().status is not OrderStatus.FILLED for each in ended):
            raise BenchError("an order that rested was traded with and did not end filled")
        step()


async def _rest(rig: Rig) -> str:
    placed = await rig.place(rig.request(side="buy", order_type="limit", price=INSIDE))
    child = client_order_id(placed.order_id, 0)
    async with asyncio.timeout(_LISTENS_WITHIN_S):
        while child not in await rig.claims([child]) or not rig.log().orders_named(child):
            await asyncio.sleep(POLL_S)
    return placed.order_id


def _trades_of(rig: Rig, order_ids: Iterable[str]) -> list[tuple[str, int]]:
    """Trade id and time (ms since 1970) of our side of each order's trades, oldest first."""
    wanted = {client_order_id(name, 0) for name in order_ids}
    ours = [each for each in rig.log().trades if each.client_order_id in wanted]
    return [(str(each.trade_id), each.ts_ms) for each in ours]


async def _booked(rig: Rig, trade_ids: list[str]) -> dict[str, datetime]:
    query = select(FillRow.trade_id, FillRow.booked_at).where(
        FillRow.account == MAIN, FillRow.symbol == SYMBOL, FillRow.trade_id.in_(trade_ids)
    )
    async with rig.database.connect() as connection:
        return dict((await connection.execute(query)).tuples().all())


@asynccontextmanager
async def _bare_listener(rig: Rig) -> AsyncIterator[dict[str, datetime]]:
    """Book the trades of the account `hedge` in the barest way; yields trade id -> booked at."""
    heard: dict[str, datetime] = {}
    async with AsyncExitStack() as opened:
        listener = await open_hand(opened, rig.stack)
        async with rig.database.begin() as connection:
            await connection.execute(text(_TABLE))
        listening = asyncio.create_task(_listen(listener, rig.database, heard))
        try:
            await _until_listening(rig, listening, heard)
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _until_listening(
    rig: Rig, listening: "asyncio.Task[None]", heard: dict[str, datetime]
) -> None:
    """Trade by hand until the listener hears of it. Raises what ended the listener."""
    async with asyncio.timeout(_HEARD_WITHIN_S):
        while not heard:
            if listening.done():
                listening.result()
            await rig.hand.create_order(SYMBOL, "market", "buy", _QUANTITY)
            await asyncio.sleep(POLL_S)


async def _until_heard(heard: Mapping[str, object], trade_ids: list[str]) -> None:
    async with asyncio.timeout(_HEARD_WITHIN_S):
        while not heard.keys() >= set(trade_ids):
            await asyncio.sleep(POLL_S)


async def _listen(listener: Any, database: AsyncEngine, heard: dict[str, datetime]) -> None:
    """Book what the stream says. Nothing may wait between two receives: ccxt would keep an event
    back until the next one comes. Hence the queue."""
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> None:
        while True:
            for trade in await listener.watch_my_trades(SYMBOL):
                queue.put_nowait(str(trade["id"]))

    async def book() -> None:
        while True:
            trade_id = await queue.get()
            async with database.begin() as connection:
                row = await connection.execute(text(_INSERT), {"trade_id": trade_id})
            heard[trade_id] = row.scalar_one()

    async with asyncio.TaskGroup() as both:
        both.create_task(receive())
        both.create_task(book())
