"""Chaos runs, one after the other on one stack: plan, break, mend, wait, judge.

Rule: after each run the faults are cleared and every part is healthy before anything is judged, and
what is judged is the exchange's own log. A run that is not clean leaves its evidence in a folder:
the exchange's log, the parts' logs, and the histories of the orders in question.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.service import RPCError

from tests.chaos.arbitrage_plan import VENUES
from tests.chaos.breakage import Breaker, Broken, swing
from tests.chaos.desk import Desk, Told
from tests.chaos.judge import Judge, Verdict, all_ended, compare_with_told, judge_triggers
from tests.chaos.operators import Operators
from tests.chaos.plan import (
    ARBITRAGES_PER_RUN,
    DURATION_S,
    ORDERS_PER_RUN,
    plan_of,
    seed_of_run,
)
from tests.chaos.planned import Plan, Planned, PlannedArbitrage
from tests.chaos.prices import PriceDiary
from tests.e2e.world import World, all_ready, open_world, until
from workers.local_stack import LocalStack
from workers.supervisor import RestartBound
from workflows import names
from workflows.domain.orders import client_order_id

OFTEN = RestartBound(deaths=60, first_deaths=10, pause_most_s=0.5)
HEALTHY_WITHIN_S = 60.0
MOST_CHILDREN = 20
LEGS = ("buy", "sell", *(f"{what}-{n}" for what in ("complete", "unwind") for n in range(1, 6)))
COUNTED = ("duplicates", "lost", "unfinished", "ledger_differences")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of a session of chaos."""

    runs: int
    seed: int
    orders: int = ORDERS_PER_RUN
    arbitrages: int = ARBITRAGES_PER_RUN
    duration_s: float = DURATION_S


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One run: what was planned, what was broken, what came of it."""

    run: int
    plan: Plan
    broken: Broken
    verdict: Verdict
    seconds: float

    def line(self) -> dict[str, object]:
        """The run as a line of JSON."""
        counts = {name: len(getattr(self.verdict, name)) for name in COUNTED}
        line = {"run": self.run, "seed": self.plan.seed, "orders": len(self.plan.orders)}
        line |= {"arbitrages": len(self.plan.arbitrages)}
        line |= {"kills": self.broken.kills, "freezes": self.broken.freezes}
        wrong = {"wrong": self.verdict.sentences()} if not self.verdict.is_clean else {}
        ended = {"ended": dict(self.verdict.statuses)}
        return line | {"faults": self.broken.faults, **counts, **ended, "s": self.seconds} | wrong


@dataclass(slots=True)
class Totals:
    """All runs of a session."""

    outcomes: list[Outcome] = field(default_factory=list)

    def line(self) -> dict[str, int]:
        """The last line of JSON: sums over all runs."""
        lines = [each.line() for each in self.outcomes]
        summed = ("orders", "arbitrages", "kills", "faults", *COUNTED)
        sums = {name: sum(int(str(line[name])) for line in lines) for name in summed}
        return {"runs": len(lines), **sums}

    @property
    def bad_seeds(self) -> list[int]:
        """Seeds of the runs that were not clean."""
        return [each.plan.seed for each in self.outcomes if not each.verdict.is_clean]


async def run_all(
    options: Options, folder: Path, evidence: Path, tell: Callable[[str], None]
) -> AsyncGenerator[Outcome]:
    """Run on one stack under `folder`. Raises SupervisorError when it cannot be kept alive."""
    judge = Judge()
    tell("starting the stack")
    async with open_world(folder, bound=OFTEN, venues=VENUES) as world:
        for number in range(options.runs):
            plan = plan_of(
                seed_of_run(options.seed, number),
                orders=options.orders,
                arbitrages=options.arbitrages,
                duration_s=options.duration_s,
            )
            outcome = await run_one(world, judge, number, plan, tell)
            if not outcome.verdict.is_clean:
                await _keep_evidence(world, outcome, evidence / str(plan.seed))
            yield outcome


async def run_one(
    world: World, judge: Judge, number: int, plan: Plan, tell: Callable[[str], None]
) -> Outcome:
    """One run on a running stack. Raises SupervisorError when that cannot be kept alive."""
    return await _unless_broken(world.stack, _run(world, judge, number, plan, tell))


async def _run(
    world: World, judge: Judge, number: int, plan: Plan, tell: Callable[[str], None]
) -> Outcome:
    since, name = time.monotonic(), f"run {number}, seed {plan.seed}"
    tell(f"{name}: {len(plan.entries)} orders and arbitrages, {len(plan.kills)} kills")
    desk, prices, operators = Desk(world), PriceDiary(), Operators(world, plan.deeds)
    breaker = Breaker(world.stack, world.controls, plan, prices)
    watching = asyncio.create_task(prices.keep(world))
    try:
        told = await _trade(desk, breaker, operators, plan)
        tell(f"{name}: waiting for the orders to end")
        await _all_healthy(world)
        resumed = await asyncio.gather(*(desk.resume(each.order_id) for each in plan.orders))
        await swing(world.controls, prices)
        await asyncio.gather(*(desk.end(each.order_id) for each in plan.orders if each.is_patient))
        running = await all_ended(world)
        transfers = await operators.book_transfers()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await desk.close()
    verdict = await judge.judge(world.stack.settings)
    await compare_with_told(world, told, running, verdict)
    await judge_triggers(world, plan, prices, verdict)
    verdict.statuses |= {"resumed": resumed.count(True), "transfers booked": transfers}
    return Outcome(
        run=number,
        plan=plan,
        broken=breaker.broken,
        verdict=verdict,
        seconds=round(time.monotonic() - since, 1),
    )


async def _trade(desk: Desk, breaker: Breaker, operators: Operators, plan: Plan) -> list[Told]:
    """Orders, breakage and people together; returns when all are answered and all is mended."""
    traded = asyncio.Event()

    async def at_its_time(entry: Planned) -> Told:
        await asyncio.sleep(entry.at_s)
        return await desk.work(entry)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(breaker.work(traded))
        tasks.create_task(operators.work())
        working = [tasks.create_task(at_its_time(entry)) for entry in plan.entries]
        await asyncio.wait(working)
        traded.set()
    return [each.result() for each in working]


async def _all_healthy(world: World) -> None:
    async with asyncio.timeout(HEALTHY_WITHIN_S):
        await asyncio.gather(*(world.stack.wait_healthy(name) for name in world.stack.parts))
    await until(lambda: all_ready(world), within_s=HEALTHY_WITHIN_S)


async def _unless_broken(stack: LocalStack, running: Coroutine[None, None, Outcome]) -> Outcome:
    """A part that cannot be kept alive ends the run at once, whatever it waits for."""
    run, failed = asyncio.create_task(running), asyncio.create_task(stack.failed())
    try:
        await asyncio.wait((run, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        return await run
    finally:
        for task in (run, failed):
            task.cancel()
        await asyncio.gather(run, failed, return_exceptions=True)


async def _keep_evidence(world: World, outcome: Outcome, folder: Path) -> None:
    """The exchanges' logs, the parts' logs, and the histories of orders that the verdict names."""
    await asyncio.to_thread(_copy_files, world, outcome, folder)
    sentences = " ".join(outcome.verdict.sentences())
    for entry in outcome.plan.entries:
        if entry.order_id in sentences or any(child in sentences for child in _children(entry)):
            with suppress(RPCError):
                history = await world.history(entry.order_id)
                (folder / f"{entry.order_id}.json").write_text(history.to_json())


def _children(entry: Planned) -> Iterator[str]:
    if isinstance(entry, PlannedArbitrage):
        for leg in LEGS:
            yield client_order_id(names.leg_order_id(entry.order_id, leg), 0)
    else:
        for index in range(MOST_CHILDREN):
            yield client_order_id(entry.order_id, index)


def _copy_files(world: World, outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for venue in VENUES:
        shutil.copy(world.stack.paper_journal(venue), folder / f"{venue}.jsonl")
    shutil.copytree(world.stack.home.logs, folder / "logs", dirs_exist_ok=True)
    (folder / "outcome.json").write_text(json.dumps(outcome.line(), indent=2))
