"""Carries out the kills, freezes and faults of a plan, and counts what really happened.

Rule: every frozen process is woken again, whatever happens. A rule lives in the memory of the
paper exchange, so it is set again each time the exchange comes back. A part that is being started
is killed too: that is when it is most vulnerable.
"""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from activities.venues.simulator.faults.client import ControlClient, ControlError
from tests.chaos.fault_plan import PlannedFault
from tests.chaos.plan import Plan, PlannedKill
from workers.local_stack import LocalStack

LOOK_EVERY_S = 0.25
CLEAR_WITHIN_S = 30.0


@dataclass(slots=True)
class Broken:
    """What was broken: SIGKILLs, freezes, and requests or events that a fault met."""

    kills: int = 0
    freezes: int = 0
    faults: int = 0


class Breaker:
    """Breaks the parts of one stack by one plan."""

    def __init__(self, stack: LocalStack, control: ControlClient, plan: Plan) -> None:
        self._stack = stack
        self._control = control
        self._plan = plan
        self._draw = random.Random(f"parts {plan.seed}")
        self._standing = [each for each in plan.faults if not each.is_action and each.at_s == 0]
        self._hits: dict[int, int] = {}
        self.broken = Broken()

    async def work(self) -> None:
        """Break until the plan is over; then everything is whole again, though maybe starting."""
        try:
            async with asyncio.TaskGroup() as tasks:
                standing = tasks.create_task(self._keep_rules())
                for kill in self._plan.kills:
                    tasks.create_task(self._strike(kill))
                for fault in self._plan.faults:
                    if fault.is_action:
                        tasks.create_task(self._act(fault))
                await asyncio.sleep(self._plan.duration_s)
                standing.cancel()
        finally:
            await self._mend()

    # --- processes ------------------------------------------------------------------------------

    async def _strike(self, kill: PlannedKill) -> None:
        await asyncio.sleep(kill.at_s)
        name = self._part(kill.part)
        if kill.freeze_s:
            await self._freeze(name, kill.freeze_s)
            return
        if kill.part == "paper":
            await self._count()
            self._hits.clear()
        with suppress(ProcessLookupError):  # dead already, and about to be started
            await self._stack.kill(name)
            self.broken.kills += 1

    async def _freeze(self, name: str, freeze_s: float) -> None:
        try:
            pid = self._stack.parts[name].pid
        except ProcessLookupError:
            return
        with _stopped(pid):
            self.broken.freezes += 1
            await asyncio.sleep(freeze_s)

    def _part(self, kind: str) -> str:
        names = [name for name in self._stack.parts if name.split("-")[0] == kind]
        return self._draw.choice(names)

    # --- faults ---------------------------------------------------------------------------------

    async def _keep_rules(self) -> None:
        """Set the plan's rules, and again whenever the exchange has forgotten them."""
        await self._control_seed()
        while True:
            with suppress(ControlError):
                if not await self._control.rules():
                    for fault in self._standing:
                        await self._control.add(fault.name, **fault.options)
            await self._count()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _control_seed(self) -> None:
        with suppress(ControlError):
            await self._control.seed(self._plan.seed)

    async def _count(self) -> None:
        """Add what the rules have hit since the last look."""
        with suppress(ControlError):
            for rule in await self._control.rules():
                fresh = rule.hit - self._hits.get(rule.id, 0)
                self.broken.faults += max(fresh, 0)
                self._hits[rule.id] = rule.hit

    async def _act(self, fault: PlannedFault) -> None:
        await asyncio.sleep(fault.at_s)
        with suppress(ControlError):
            await self._control.act(fault.name, **fault.options)
            self.broken.faults += 1

    async def _mend(self) -> None:
        await self._count()
        async with asyncio.timeout(CLEAR_WITHIN_S):
            while True:
                try:
                    await self._control.clear()
                except ControlError:
                    await asyncio.sleep(LOOK_EVERY_S)
                else:
                    return


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
