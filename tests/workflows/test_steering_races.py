"""Whatever happens to an order in the middle of whichever step: one live child, exact sums.

A race is an order, a moment (its n-th call is held open) and what happens there. A sample is run;
with ALL_RACES=1 all of them.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WorkflowHistory,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import fills
from tests.workflows.orders import MARKET
from tests.workflows.races import ACTIONS, NATIVE, Handle, RaceWorld, Router, cancel, draw, works
from workflows import names, order_face
from workflows.messages import OrderSnapshot
from workflows.ports import WatchStatus

SELL: dict[str, Any] = {**MARKET, "side": "sell", "quantity": "1"}
ONE: dict[str, Any] = {**MARKET, "quantity": "1", "price": "49000"}
STOP = {**SELL, "order_type": "stop_loss", "stop_price": "49000"}
OCO = {**SELL, "order_type": "oco", "oco_limit_price": "51000", "stop_price": "49000"}
TWAP = {**MARKET, "quantity": "1", "twap_slices": 4, "twap_interval": "60"}
ORDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "limit": ("LimitOrder", ONE),
    "twap": ("TwapOrder", TWAP),
    "twap passive": ("TwapOrder", {**TWAP, "passive_fraction": "0.5"}),
    "iceberg": ("IcebergOrder", {**ONE, "iceberg_display": "0.3", "placement": "engine"}),
    "iceberg native": ("IcebergOrder", ONE),
    "iceberg pegged": ("IcebergOrder", {**ONE, "price": "50500", "peg_offset": "0"}),
    "stop": ("StopOrder", {**STOP, "placement": "engine"}),
    "stop limit": ("StopOrder", {**STOP, "placement": "engine", "price": "48900"}),
    "stop native": ("StopOrder", STOP),
    "oco": ("StopOrder", {**OCO, "placement": "engine"}),
    "oco limit": ("StopOrder", {**OCO, "placement": "engine", "price": "48900"}),
    "oco native": ("StopOrder", OCO),
}
MOMENTS = range(14)
SHORT_RUN = 24
"""Events after which a run ends, in half of the races: so the next run begins in their middle."""
AT_ONCE = 4
SAMPLE = 72
WITHIN_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    order: str
    moment: int
    action: str
    is_cancelled_late: bool
    """A cancel at the venue comes too late: the child fills."""

    def __str__(self) -> str:
        late = " (cancels come late)" if self.is_cancelled_late else ""
        return f"{self.order} at call {self.moment}: {self.action}{late}"


def all_races() -> Iterator[Race]:
    for order in ORDERS:
        for action in ACTIONS:
            if "trigger" in action and ORDERS[order][0] != "StopOrder":
                continue
            for moment in MOMENTS:
                is_late = draw(f"{order}/{action}/{moment}", 4) == 0
                yield Race(order=order, moment=moment, action=action, is_cancelled_late=is_late)


def chosen() -> list[Race]:
    races = list(all_races())
    if os.environ.get("ALL_RACES"):
        only = os.environ.get("ONLY_RACE", "")
        return [race for race in races if str(race).startswith(only)]
    return sorted(races, key=lambda race: draw(f"sample {race}", 10**12))[:SAMPLE]


async def run_race(client: Client, router: Router, race: Race) -> list[str]:
    """What went wrong in it."""
    kind, order = ORDERS[race.order]
    world = RaceWorld(default=works, instrument=NATIVE, moment=race.moment)
    world.cancel_fills = race.is_cancelled_late
    if race.order == "iceberg":
        world.script = [fills()]
    order_id = f"race-{uuid.uuid4().hex[:12]}"
    router.worlds[order_id] = world
    handle: Handle = await client.start_workflow(
        kind, order, id=order_id, task_queue=names.ORDERS_QUEUE, result_type=OrderSnapshot
    )
    end = asyncio.create_task(handle.result())
    try:
        async with asyncio.timeout(WITHIN_S):
            told = await act_at_the_moment(handle, world, race, end)
            result = await come_to_an_end(handle, world, end, told)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        world.released.set()
        await handle.terminate()
        await asyncio.gather(end, return_exceptions=True)
        return [f"{race}: hangs after {world.calls[-20:]}", *world.violations]
    faults = world.violations + faults_of(world, result)
    faults += await replay_faults(client, handle)
    return [f"{race}: {fault} (told {told}, ended {result.status})" for fault in faults]


async def act_at_the_moment(
    handle: Handle, world: RaceWorld, race: Race, end: "asyncio.Task[OrderSnapshot]"
) -> str:
    reached = asyncio.create_task(world.reached.wait())
    await asyncio.wait([reached, end], timeout=5, return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
    asked = asyncio.create_task(ACTIONS[race.action](handle, world))
    shown = asyncio.create_task(handle.query(names.PROGRESS, result_type=OrderSnapshot))
    await asyncio.wait([asked], timeout=0.03)  # an update answers only when the call is released
    world.released.set()
    await asyncio.gather(shown, return_exceptions=True)
    return await asked


async def come_to_an_end(
    handle: Handle, world: RaceWorld, end: "asyncio.Task[OrderSnapshot]", told: str
) -> OrderSnapshot:
    """What fired leaves by itself; the others are cancelled."""
    if told == "fired":
        resting = world.resting()
        if resting is not None and world.intents[resting.client_order_id].price != Decimal(51_000):
            await ACTIONS["fill"](handle, world)
        while not end.done():
            await asyncio.wait([end], timeout=0.2)
            live = world.resting()
            if live is not None and world.intents[live.client_order_id].price == Decimal(48_900):
                await ACTIONS["fill"](handle, world)
    else:
        await cancel(handle, world)
    return await end


def faults_of(world: RaceWorld, result: OrderSnapshot) -> Iterator[str] | list[str]:
    faults = []
    if not result.status.is_terminal:
        faults.append(f"no end: {result.status}")
    if world.resting() is not None:
        faults.append("a child is still live at the venue")
    if world.executed != result.filled_quantity:
        faults.append(f"executed {world.executed}, told {result.filled_quantity}")
    if result.quantity is not None and world.executed > result.quantity:
        faults.append(f"executed {world.executed} of {result.quantity}")
    if any(watch.status is WatchStatus.ARMED for watch in world.watches.values()):
        faults.append("a watch is still armed")
    if len({submit.intent.client_order_id for submit in world.submits}) != len(world.submits):
        faults.append("a child was sent twice")
    return faults


async def replay_faults(client: Client, handle: Handle) -> list[str]:
    run_id = handle.first_execution_run_id
    while run_id:
        run = client.get_workflow_handle(handle.id, run_id=run_id)
        history = await run.fetch_history()
        try:
            await assert_replays(history)
        except Exception as error:  # noqa: BLE001 # every failure of a replay is a finding
            return [f"does not replay: {str(error)[:200]}"]
        run_id = next_run(history)
    return []


def next_run(history: WorkflowHistory) -> str:
    last = history.events[-1]
    return last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("events_per_run", [1_000, SHORT_RUN], ids=["long", "short"])
async def test_no_race_loses_a_child_or_an_update(
    client: Client, monkeypatch: pytest.MonkeyPatch, events_per_run: int
):
    monkeypatch.setattr(order_face, "HISTORY_EVENTS_PER_RUN", events_per_run)
    races = chosen()
    races = races if os.environ.get("ALL_RACES") else races[events_per_run == SHORT_RUN :: 2]
    router, turn = Router(), asyncio.Semaphore(AT_ONCE)

    async def one(race: Race) -> list[str]:
        async with turn:
            return await run_race(client, router, race)

    async with engine_on(client, router):
        found = await asyncio.gather(*(one(race) for race in races))
    faults = [fault for faults in found for fault in faults]
    assert not faults, "\n".join(faults)
