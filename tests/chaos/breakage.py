"""Carries out the kills, freezes and faults of a plan, and counts what really happened.

Rule: every frozen process is woken again, whatever happens. A rule lives in the memory of the
paper exchange, so it is set again each time the exchange comes back. A part that is being started
is killed too: that is when it is most vulnerable. Each venue has its own rules.
"""

import asyncio
import os
import random
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.faults.client import ControlClient, ControlError
from tests.chaos.fault_plan import ANCHOR, PlannedFault
from tests.chaos.planned import Plan, PlannedKill
from tests.chaos.prices import PriceDiary
from workers.local_stack import LocalStack

LOOK_EVERY_S = 0.25
CLEAR_WITHIN_S = 30.0
SWINGS = (Decimal("0.0036"), Decimal("-0.0036"))
SWING_LASTS_S = 0.5


@dataclass(slots=True)
class Broken:
    """What was broken: SIGKILLs, freezes, and requests or events that a fault met."""

    kills: int = 0
    freezes: int = 0
    faults: int = 0


class Breaker:
    """Breaks the parts of one stack by one plan."""

    def __init__(
        self,
        stack: LocalStack,
        controls: Mapping[str, ControlClient],
        plan: Plan,
        prices: PriceDiary,
    ) -> None:
        self._stack = stack
        self._plan = plan
        self._draw = random.Random(f"parts {plan.seed}")
        self.broken = Broken()
        self._sites = [
            _Site(control, plan, venue, self.broken, prices) for venue, control in controls.items()
        ]

    async def work(self, traded: asyncio.Event) -> None:
        """Break until the plan is over and all callers are answered (`traded`).

        Then everything is whole again, though maybe starting.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                standing = [tasks.create_task(site.keep_rules()) for site in self._sites]
                for kill in self._plan.kills:
                    tasks.create_task(self._strike(kill))
                for site in self._sites:
                    for fault in site.actions:
                        tasks.create_task(site.act(fault))
                await asyncio.sleep(self._plan.duration_s)
                await traded.wait()
                for task in standing:
                    task.cancel()
        finally:
            await asyncio.gather(*(site.mend() for site in self._sites))

    # --- processes ------------------------------------------------------------------------------

    async def _strike(self, kill: PlannedKill) -> None:
        await asyncio.sleep(kill.at_s)
        name = self._part(kill.part)
        if kill.freeze_s:
            await self._freeze(name, kill.freeze_s)
            return
        for site in self._sites:
            if name == f"paper-{site.venue}":
                await site.forget()
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


class _Site:
    """The faults of one venue, and how often they were met."""

    def __init__(
        self,
        control: ControlClient,
        plan: Plan,
        venue: str,
        broken: Broken,
        prices: PriceDiary,
    ) -> None:
        own = [each for each in plan.all_faults if each.venue == venue]
        self.venue = venue
        self.actions = [each for each in own if each.is_action]
        self._standing = [each for each in own if not each.is_action]
        self._control, self._seed, self._broken = control, plan.seed, broken
        self._prices = prices
        self._hits: dict[int, int] = {}

    async def keep_rules(self) -> None:
        """Set the plan's rules, and again whenever the exchange has forgotten them."""
        with suppress(ControlError):
            await self._control.seed(self._seed)
        while True:
            with suppress(ControlError):
                if not await self._control.rules():
                    for fault in self._standing:
                        await self._control.add(fault.name, **fault.options)
            await self._count()
            await asyncio.sleep(LOOK_EVERY_S)

    async def forget(self) -> None:
        """The exchange is about to die, and its rules with it."""
        await self._count()
        self._hits.clear()

    async def act(self, fault: PlannedFault) -> None:
        """Do something at its time."""
        await asyncio.sleep(fault.at_s)
        with suppress(ControlError):
            await self._control.act(fault.name, **fault.options)
            self._broken.faults += 1
            if fault.name == "trade":  # it is over before anybody looks
                price = Decimal(str(fault.options["price"]))
                self._prices.note(self.venue, str(fault.options["symbol"]), price, price)

    async def mend(self) -> None:
        """No faults and no orders by hand any more; waits for an exchange that is being started."""
        await self._count()
        async with asyncio.timeout(CLEAR_WITHIN_S):
            while True:
                try:
                    await self._control.clear()
                    await self._cancel_hand_made()
                except ControlError:
                    await asyncio.sleep(LOOK_EVERY_S)
                else:
                    return

    async def _cancel_hand_made(self) -> None:
        """What its cancel did not reach at its time."""
        for fault in self.actions:
            if fault.name == "cancel":
                with suppress(ControlError):  # it has ended, or never began
                    await self._control.act(fault.name, **fault.options)

    async def _count(self) -> None:
        """Add what the rules have hit since the last look."""
        with suppress(ControlError):
            for rule in await self._control.rules():
                fresh = rule.hit - self._hits.get(rule.id, 0)
                self._broken.faults += max(fresh, 0)
                self._hits[rule.id] = rule.hit


async def swing(controls: Mapping[str, ControlClient], prices: PriceDiary) -> None:
    """Prices go up and down everywhere and come back: what still waits for one meets it.

    Raises ControlError when an exchange is away.
    """
    places = [(venue, symbol) for venue in controls for symbol in ANCHOR]
    for venue, symbol in places:
        await controls[venue].act("freeze_market", symbol=symbol)
    for away in SWINGS:
        for venue, symbol in places:
            price = ANCHOR[symbol] * (1 + away)
            await controls[venue].act("trade", symbol=symbol, price=str(price), quantity="0.001")
            prices.note(venue, symbol, price, price)
        await asyncio.sleep(SWING_LASTS_S)
    for venue, symbol in places:
        await controls[venue].act("thaw_market", symbol=symbol)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
