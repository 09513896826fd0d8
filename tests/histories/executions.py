"""The executions that the recorder works: arbitrages and rebalancings, to every end they have.

Rule: real ones, on the engine between two paper exchanges. What goes wrong is aimed at one leg by
the client order id that it will bear, and each scenario says how it must end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from temporalio.common import RawValue, WorkflowIDReusePolicy

from tests.e2e.arbitrage_world import BTC, BUY_VENUE, SELL_VENUE, Aimed, Pair, until_rests
from tests.e2e.rebalance_world import Rebalancing, shifting
from tests.e2e.world import until
from workflows import names
from workflows.domain.executions import ExecutionStatus as Status
from workflows.execution_messages import ArbitragePlan

PATIENT = {"max_age": "10", "max_skew": "10"}
"""The books stand still: a busy machine may look at them one after the other."""
CROSSING = PATIENT | {
    "buy_price": str(BTC.high),
    "sell_price": str(BTC.low),
    "limit_tolerance": "0.001",
}
"""Both legs take what stands in the books: a small loss, which the plan allows."""
RESTING = PATIENT | {"leg_time_in_force": "GTC", "timeout": "30"}
HELD = {"max_loss_bps": "0", "hold_retry": "0.3", "hold_for": "1"}
LONG_HELD = {"max_loss_bps": "0", "hold_retry": "0.1", "hold_for": "600"}
MOVED = 20_000
HANDED_OVER_WITHIN_S = 120.0
FIRST_SELL = f"1-sell-{BUY_VENUE}-BTC"
"""Both exchanges bid the same, so the first one by name sells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A workflow that was worked; with `first_run_id` when a new run took it over."""

    id: str
    status: str
    detail: str
    first_run_id: str | None = None


Scenario = Callable[[Pair], Awaitable[Worked]]


# --- arbitrages -----------------------------------------------------------------------------------


async def begin(pair: Pair, aimed: Aimed) -> None:
    """Start it as the typed client does."""
    plan = ArbitragePlan.model_validate(aimed.plan | {"id": aimed.id})
    await pair.world.orders.execute_arbitrage(plan)


async def refuse(aimed: Aimed, venue: str, leg: str) -> None:
    """Its exchange refuses this leg for good."""
    await aimed.aim(venue, leg, "refuse", purpose="submit")


async def worked(aimed: Aimed, *wanted: Status) -> Worked:
    """Its end, which must be one of those wanted."""
    told = await aimed.end()
    assert told.status in wanted, f"{told.status} {told.code} {told.error}"
    return Worked(id=aimed.id, status=told.status, detail=f"{told.code or ''} {told.error}".strip())


def arbitrage(*wanted: Status, **plan: Any) -> Scenario:
    """One that ends by itself."""

    async def run(pair: Pair) -> Worked:
        aimed = pair.arbitrage(BTC, **CROSSING | plan)
        await begin(pair, aimed)
        return await worked(aimed, *wanted)

    return run


def refused(*legs: tuple[str, str], wanted: Status, **plan: Any) -> Scenario:
    """One of which these legs, as (exchange, leg), are refused by their exchanges."""

    async def run(pair: Pair) -> Worked:
        aimed = pair.arbitrage(BTC, **CROSSING | plan)
        for venue, leg in legs:
            await refuse(aimed, venue, leg)
        await begin(pair, aimed)
        return await worked(aimed, wanted)

    return run


async def unknown_leg(pair: Pair) -> Worked:
    aimed = pair.arbitrage(BTC, **CROSSING)
    await aimed.aim(BUY_VENUE, "buy", "drop_after")
    await begin(pair, aimed)
    return await worked(aimed, Status.COMPLETED)


async def partial(pair: Pair) -> Worked:
    """The bids shrink while the sell is on its way, and completing is refused."""
    half = BTC.amount / 2
    aimed = pair.arbitrage(BTC, **PATIENT, buy_price=str(BTC.high))
    first = await pair.bait(SELL_VENUE, BTC, "buy", half)
    await pair.bait(SELL_VENUE, BTC, "buy", half)
    rule = await aimed.aim(SELL_VENUE, "sell", "hold_before")
    for number in (1, 2):
        await refuse(aimed, SELL_VENUE, f"complete-{number}")
    await begin(pair, aimed)
    await pair.control(SELL_VENUE).held(rule)
    await pair.take_back(SELL_VENUE, first)
    await pair.control(SELL_VENUE).release()
    return await worked(aimed, Status.PARTIAL)


async def resting_pair(pair: Pair, **plan: Any) -> Aimed:
    """Both legs wait in the books: what they were to meet is gone when they arrive."""
    aimed = pair.arbitrage(BTC, **RESTING | plan)
    sides = ((BUY_VENUE, "buy", "sell"), (SELL_VENUE, "sell", "buy"))
    baits = {venue: await pair.bait(venue, BTC, bait, BTC.amount) for venue, _, bait in sides}
    rules = {venue: await aimed.aim(venue, leg, "hold_before") for venue, leg, _ in sides}
    await begin(pair, aimed)
    for venue, leg, _ in sides:
        await pair.control(venue).held(rules[venue])
        await pair.take_back(venue, baits[venue])
        await pair.control(venue).release()
        await until_rests(aimed, venue, leg)
    return aimed


async def filled_at_rest(pair: Pair) -> Worked:
    """Both legs wait, and the market fills one after the other; the feed tells."""
    aimed = await resting_pair(pair)
    for venue, leg in ((BUY_VENUE, "buy"), (SELL_VENUE, "sell")):
        await pair.control(venue).act("fill", client_order_id=aimed.child(leg))
    return await worked(aimed, Status.COMPLETED)


async def cancelled_by_update(pair: Pair) -> Worked:
    aimed = await resting_pair(pair)
    await pair.world.orders.cancel_arbitrage(aimed.id, "enough")
    return await worked(aimed, Status.CANCELLED)


async def cancelled_by_temporal(pair: Pair) -> Worked:
    aimed = await resting_pair(pair)
    await aimed.workflow.cancel()
    return await worked(aimed, Status.CANCELLED)


async def cancelled_in_flight(pair: Pair) -> Worked:
    """One leg has filled, the other comes too late for its bids: its residual is still cleared."""
    aimed = pair.arbitrage(BTC, **PATIENT, buy_price=str(BTC.high))
    bait = await pair.bait(SELL_VENUE, BTC, "buy", BTC.amount)
    rule = await aimed.aim(SELL_VENUE, "sell", "hold_before")
    await begin(pair, aimed)
    await pair.control(SELL_VENUE).held(rule)
    await aimed.workflow.signal(names.CANCEL, {"reason": "enough"})
    await pair.take_back(SELL_VENUE, bait)
    await pair.control(SELL_VENUE).release()
    return await worked(aimed, Status.COMPLETED, Status.UNWOUND)


async def adopted(pair: Pair) -> Worked:
    """Its workflow is lost while both legs rest."""
    aimed = await resting_pair(pair)
    await lose(pair, "Arbitrage", aimed.id)
    return await worked(aimed, Status.CANCELLED)


async def lose(pair: Pair, kind: str, execution_id: str) -> None:
    """Terminate its workflow, and begin it again with the stored plan as the sweep does."""
    handle = pair.world.temporal.get_workflow_handle(execution_id)
    began = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    await handle.terminate()
    await pair.world.temporal.start_workflow(
        kind,
        RawValue(began.input.payloads[0]),
        id=execution_id,
        task_queue=names.ORDERS_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )


async def over_worker_kill(pair: Pair) -> Worked:
    """All workers die while a leg is on its way."""
    aimed = pair.arbitrage(BTC, **CROSSING)
    rule = await aimed.aim(BUY_VENUE, "buy", "hold_before")
    await begin(pair, aimed)
    await pair.control(BUY_VENUE).held(rule)
    await kill_workers(pair)
    await pair.control(BUY_VENUE).release()
    return await worked(aimed, Status.COMPLETED, Status.UNWOUND)


async def kill_workers(pair: Pair) -> None:
    """SIGKILL all of them; they come back by themselves."""
    stack = pair.world.stack
    fleet = [name for name in stack.parts if name.startswith("worker-")]
    await asyncio.gather(*(stack.kill(name) for name in fleet))


async def conflict(pair: Pair) -> Worked:
    """Another plan under the id of one that has ended."""
    aimed = pair.arbitrage(BTC, **CROSSING)
    await begin(pair, aimed)
    await aimed.end()
    aimed.changes["amount"] = str(BTC.amount * 2)
    await begin(pair, aimed)
    return await worked(aimed, Status.DENIED)


async def without_input(pair: Pair) -> Worked:
    aimed = pair.arbitrage(BTC)
    await pair.world.temporal.start_workflow(
        "Arbitrage", id=aimed.id, task_queue=names.ORDERS_QUEUE
    )
    return await worked(aimed, Status.DENIED)


async def continued_as_new(pair: Pair) -> Worked:
    """A residual is held for so long that a new run takes it over, and a cancel ends that."""
    aimed = pair.arbitrage(BTC, **CROSSING | LONG_HELD)
    await refuse(aimed, SELL_VENUE, "sell")
    await begin(pair, aimed)
    first = (await aimed.workflow.describe()).run_id

    async def is_handed_over() -> bool:
        return (await aimed.workflow.describe()).run_id != first

    await until(is_handed_over, within_s=HANDED_OVER_WITHIN_S)
    await aimed.workflow.signal(names.CANCEL)
    return replace(await worked(aimed, Status.RESIDUAL_HELD), first_run_id=first)


# --- rebalancings ---------------------------------------------------------------------------------


async def ended(work: Rebalancing, *wanted: Status) -> Worked:
    """Its end, which must be one of those wanted."""
    told = await work.end()
    assert told.status in wanted, f"{told.status} {told.code} {told.error} {told.skipped}"
    return Worked(id=work.id, status=told.status, detail=f"{told.code or ''} {told.error}".strip())


def rebalancing(wanted: Status, **plan: Any) -> Scenario:
    """One that ends by itself."""

    async def run(pair: Pair) -> Worked:
        work = await shifting(pair, MOVED, **plan)
        await work.start()
        return await ended(work, wanted)

    return run


async def level(pair: Pair) -> Worked:
    """Nothing is out of its band."""
    work = await shifting(pair, 0)
    await work.start()
    return await ended(work, Status.COMPLETED)


async def corrected(pair: Pair) -> Worked:
    """The first pass sells nothing, the second one all."""
    work = await shifting(pair, MOVED)
    await work.refuse(BUY_VENUE, FIRST_SELL)
    await work.start()
    done = await ended(work, Status.COMPLETED)
    assert (await work.progress()).passes == 2
    return done


async def cancelled_rebalancing(pair: Pair) -> Worked:
    work = await shifting(pair, MOVED)
    rule = await work.aim(BUY_VENUE, FIRST_SELL, "hold_before")
    await work.start()
    await pair.control(BUY_VENUE).held(rule)
    handle = pair.world.temporal.get_workflow_handle(work.id)
    await handle.signal(names.CANCEL, {"reason": "enough"})
    await pair.control(BUY_VENUE).release()
    return await ended(work, Status.CANCELLED)


async def adopted_rebalancing(pair: Pair) -> Worked:
    """Its workflow is lost while a sell is on its way."""
    work = await shifting(pair, MOVED)
    rule = await work.aim(BUY_VENUE, FIRST_SELL, "hold_before")
    await work.start()
    await pair.control(BUY_VENUE).held(rule)
    await lose(pair, "Rebalance", work.id)
    await pair.control(BUY_VENUE).release()
    return await ended(work, Status.CANCELLED)


async def rebalancing_over_worker_kill(pair: Pair) -> Worked:
    work = await shifting(pair, MOVED)
    rule = await work.aim(BUY_VENUE, FIRST_SELL, "hold_after")
    await work.start()
    await pair.control(BUY_VENUE).held(rule)
    await kill_workers(pair)
    await pair.control(BUY_VENUE).release()
    return await ended(work, Status.COMPLETED)


async def denied_rebalancing(pair: Pair) -> Worked:
    work = await shifting(pair, MOVED)
    work.plan["targets"] = {"DOGE": "0.01"}
    await work.start()
    return await ended(work, Status.DENIED)


ARBITRAGES: dict[str, Scenario] = {
    "arbitrage.completed": arbitrage(Status.COMPLETED),
    "arbitrage.sequential": arbitrage(Status.COMPLETED, mode="sequential"),
    "arbitrage.sequential_refused": refused(
        (BUY_VENUE, "buy"), (SELL_VENUE, "sell"), wanted=Status.FAILED, mode="sequential"
    ),
    "arbitrage.unwound": refused((SELL_VENUE, "sell"), wanted=Status.UNWOUND),
    "arbitrage.both_refused": refused(
        (BUY_VENUE, "buy"), (SELL_VENUE, "sell"), wanted=Status.FAILED
    ),
    "arbitrage.unknown_leg": unknown_leg,
    "arbitrage.partial": partial,
    "arbitrage.residual_held": refused(
        (SELL_VENUE, "sell"), wanted=Status.RESIDUAL_HELD, **HELD, hold_end="hold"
    ),
    "arbitrage.flattened": refused(
        (SELL_VENUE, "sell"), wanted=Status.UNWOUND, **HELD, hold_end="flatten"
    ),
    "arbitrage.filled_at_rest": filled_at_rest,
    "arbitrage.cancelled_by_update": cancelled_by_update,
    "arbitrage.cancelled_by_temporal": cancelled_by_temporal,
    "arbitrage.cancelled_in_flight": cancelled_in_flight,
    "arbitrage.adopted": adopted,
    "arbitrage.denied_min_profit": arbitrage(Status.DENIED, min_profit="5"),
    "arbitrage.denied_conflict": conflict,
    "arbitrage.denied_without_input": without_input,
    "arbitrage.continued_as_new": continued_as_new,
}
REBALANCINGS: dict[str, Scenario] = {
    "rebalance.completed": rebalancing(Status.COMPLETED),
    "rebalance.preview": rebalancing(Status.COMPLETED, preview=True),
    "rebalance.level": level,
    "rebalance.corrected": corrected,
    "rebalance.cancelled": cancelled_rebalancing,
    "rebalance.adopted": adopted_rebalancing,
    "rebalance.denied_missing_price": denied_rebalancing,
    "rebalance.over_worker_kill": rebalancing_over_worker_kill,
}
KILLS: dict[str, Scenario] = {"arbitrage.over_worker_kill": over_worker_kill}
"""Last, for what is killed takes its time."""
EXECUTIONS = {**ARBITRAGES, **REBALANCINGS, **KILLS}
