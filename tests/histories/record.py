"""Records the histories of real orders and executions on the real engine, one per path.

    .venv/bin/python -m tests.histories.record 04-steered

It starts stacks of its own, works what belongs to the folder to every end, over kills too, and
replaces the folder by what Temporal holds, once all is recorded. `test_recorded_histories_replay`
then replays the files on the current code. A scenario belongs to the folder in which it first
appeared. When new code gives some histories another form, name a new folder and record those there
too: the files of the old form stay, for what began under it may still run. So an older folder is
not recorded again once its form is out.

Rule: a file names no machine. Process ids, host names and stack traces are cut, and a recording
that still holds one is an error.
"""

import asyncio
import json
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHistory

from tests.e2e.arbitrage_world import open_pair
from tests.e2e.world import BEST_ASK, HEDGE, MAIN, STILL, VENUE, World, open_world, until
from tests.histories import asked, controlled, steered
from tests.histories.executions import EXECUTIONS, Worked
from workflows import names
from workflows.messages import OrderSnapshot

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[2]
FAR_BELOW = "49900"
TWAP = {"order_type": "twap", "quantity": "0.05", "twap_slices": 5, "twap_interval": "1"}
QUICK = TWAP | {"twap_interval": "0.3"}
LONG = {"order_type": "twap", "quantity": "0.6", "twap_slices": 60, "twap_interval": "0.3"}
PROCESS = re.compile(r"\d+@[\w.-]+")

Scenario = Callable[[World], Awaitable[OrderSnapshot]]


def simple(**fields: Any) -> Scenario:
    """Place an order that ends by itself."""

    async def run(world: World) -> OrderSnapshot:
        return await world.finish(await world.place(**fields))

    return run


def killing(*parts: str, **fields: Any) -> Scenario:
    """Kill parts in the middle of an order, and wait for its end."""

    async def run(world: World) -> OrderSnapshot:
        placed = await world.place(**fields)
        await until(lambda: _is_under_way(world, placed))
        await asyncio.gather(*(world.stack.kill(part) for part in parts))
        await asyncio.gather(*(world.stack.wait_healthy(part) for part in parts))
        return await world.finish(placed)

    return run


async def without_input(world: World) -> OrderSnapshot:
    order_id = str(world.request().order_id)
    await world.temporal.start_workflow("MarketOrder", id=order_id, task_queue=names.ORDERS_QUEUE)
    return await world.orders.result(order_id)


async def conflict(world: World) -> OrderSnapshot:
    first = await world.finish(await world.place())
    return await world.finish(await world.place(order_id=first.order_id, quantity="0.02"))


async def filled_by_feed(world: World) -> OrderSnapshot:
    placed = await world.rest(quantity="0.2")
    await world.sell("0.1")
    await world.sell("0.1")
    return await world.finish(placed)


async def cancelled_by_update(world: World) -> OrderSnapshot:
    placed = await world.rest(quantity="0.2")
    await world.sell("0.1")
    return await world.orders.cancel(placed.order_id, "enough")


async def cancelled_by_signal(world: World) -> OrderSnapshot:
    placed = await world.rest(price=FAR_BELOW)
    await world.temporal.get_workflow_handle(placed.order_id).signal(names.CANCEL)
    return await world.finish(placed)


async def cancelled_by_temporal(world: World) -> OrderSnapshot:
    placed = await world.rest(price=FAR_BELOW)
    await world.temporal.get_workflow_handle(placed.order_id).cancel()
    return await world.finish(placed)


async def cancelled_by_hand(world: World) -> OrderSnapshot:
    placed = await world.rest(price=FAR_BELOW)
    (judged,) = world.at_exchange(placed)
    await world.hand.cancel_order(str(judged.order_id), STILL)
    return await world.finish(placed)


async def resting_over_kills(world: World) -> OrderSnapshot:
    placed = await world.rest(quantity="0.2")
    parts = ("worker-0", "worker-1", "temporal")
    await asyncio.gather(*(world.stack.kill(part) for part in parts))
    await asyncio.gather(*(world.stack.wait_healthy(part) for part in parts))
    await world.sell("0.2")
    return await world.finish(placed)


async def twap_cancelled(world: World) -> OrderSnapshot:
    placed = await world.place(**TWAP)
    await until(lambda: _is_under_way(world, placed))
    return await world.orders.cancel(placed.order_id)


async def _is_under_way(world: World, placed: OrderSnapshot) -> bool:
    return (await world.orders.progress(placed.order_id)).filled_quantity > 0


SCENARIOS: dict[str, Scenario] = {
    "market.filled": simple(),
    "market.bounded_partly_filled": simple(
        side="sell", quantity="1.5", slippage_tolerance="0.00001"
    ),
    "market.denied_by_limit": simple(quantity="3"),
    "market.denied_symbol": simple(symbol="XXX/YYY"),
    "market.denied_without_input": without_input,
    "market.denied_conflict": conflict,
    "limit.filled_by_feed": filled_by_feed,
    "limit.ioc_partly_filled": simple(
        order_type="limit", price=BEST_ASK, quantity="1.9", time_in_force="IOC"
    ),
    "limit.fok_filled": simple(order_type="limit", price=BEST_ASK + 5, time_in_force="FOK"),
    "limit.post_only_rejected": simple(order_type="limit", price=BEST_ASK + 5, post_only=True),
    "limit.expired": simple(order_type="limit", price=FAR_BELOW, timeout_s="0.5"),
    "limit.cancelled_by_update_partly_filled": cancelled_by_update,
    "limit.cancelled_by_signal": cancelled_by_signal,
    "limit.cancelled_by_temporal": cancelled_by_temporal,
    "limit.cancelled_by_hand": cancelled_by_hand,
    "limit.over_worker_and_temporal_kill": resting_over_kills,
    "twap.filled": simple(**QUICK),
    "twap.jittered": simple(**TWAP, size_jitter="0.3", time_jitter="0.3"),
    "twap.cancelled": twap_cancelled,
    "twap.expired_beyond_price": simple(**QUICK, price=FAR_BELOW),
    "twap.over_worker_kill": killing("worker-0", "worker-1", **TWAP | {"twap_interval": "2"}),
    "twap.over_postgres_kill": killing("postgres", **TWAP),
    "twap.over_temporal_kill": killing("temporal", **TWAP),
    "twap.over_exchange_kill": killing("paper-binance", **TWAP),
    "twap.continued_as_new": simple(**LONG),
}


async def record(name: str) -> None:
    """Run every scenario of a folder, then put their histories in its place."""
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / name
        recorded.mkdir()
        for number, part in enumerate(FOLDERS[name]):
            stack = Path(folder) / f"stack-{number}"
            stack.mkdir()
            await part(stack, recorded)
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(recorded, HERE / name)


async def _record_orders(stack: Path, recorded: Path) -> None:
    """The feeds come last."""
    async with open_world(stack) as world:
        for name, scenario in SCENARIOS.items():
            ended = await scenario(world)
            _write(recorded, name, await world.history(ended.order_id))
            print(f"{name:<42} {ended.status:<14} {ended.reason}")
        following = names.account_feed_id(VENUE, MAIN)
        _write(recorded, "feed.following", await world.history(following))
        stopped = names.account_feed_id(VENUE, HEDGE)
        handle = world.temporal.get_workflow_handle(stopped)
        await handle.cancel()
        with suppress(WorkflowFailureError):
            await handle.result()
        _write(recorded, "feed.cancelled", await world.history(stopped))


async def _record_executions(
    stack: Path, recorded: Path, chosen: Collection[str] = tuple(EXECUTIONS)
) -> None:
    async with open_pair(stack) as pair:
        for name in chosen:
            ended = await EXECUTIONS[name](pair)
            await pair.clear()
            await _keep(pair.world, recorded, name, ended)


async def _record_steered(stack: Path, recorded: Path) -> None:
    async with open_world(stack) as world:
        await steered.work(world, partial(_keep, world, recorded))


async def _record_controlled(stack: Path, recorded: Path) -> None:
    async with open_world(stack) as world:
        await controlled.work(world, partial(_keep, world, recorded))


async def _record_asked(stack: Path, recorded: Path) -> None:
    async with open_world(stack) as world:
        await asked.work(world, partial(_keep, world, recorded))


async def _keep(world: World, recorded: Path, name: str, worked: Worked) -> None:
    """The run that ended it and, where it was handed over, the first one."""
    _write(recorded, name, await world.history(worked.id))
    if worked.first_run_id is not None:
        first = world.temporal.get_workflow_handle(worked.id, run_id=worked.first_run_id)
        _write(recorded, f"{name}.first_run", await first.fetch_history())
    print(f"{name:<42} {worked.status:<14} {worked.detail}")


def _write(folder: Path, name: str, history: WorkflowHistory) -> None:
    text = json.dumps(_cleaned(history.to_json_dict()), separators=(",", ":"))
    traces = [each for each in (socket.gethostname(), str(ROOT)) if each in text]
    assert not traces, f"{name} names this machine: {traces}"
    (folder / f"{name}.json").write_text(text + "\n")


def _cleaned(value: Any) -> Any:
    """Without process ids, host names and stack traces."""
    if isinstance(value, dict):
        return {key: _cleaned(each) for key, each in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    return PROCESS.sub("worker@host", value) if isinstance(value, str) else value


ANSWERED_ANEW = ("arbitrage.cancelled_by_update",)
"""Executions of which a part has another form since `04-steered`."""
FOLDERS: dict[str, tuple[Callable[[Path, Path], Awaitable[None]], ...]] = {
    "03-executions": (_record_orders, _record_executions),
    "04-steered": (_record_steered, partial(_record_executions, chosen=ANSWERED_ANEW)),
    "05-controlled": (_record_controlled,),
    "06-asked": (_record_asked,),
}
"""What belongs to each folder, given a folder for the stack and one for the files.

The first two are missing: the code that gave their form is gone.
"""

if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in FOLDERS]:
        sys.exit(f"usage: python -m tests.histories.record {'|'.join(FOLDERS)}")
    asyncio.run(record(sys.argv[1]))
