"""Races: an order is held in the middle of one call, something happens to it, then it goes on.

One engine works every race at once: each order has a world of its own, found by its workflow id.
What must never happen is noted by the world at the moment when it does.
"""

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from temporalio import activity
from temporalio.client import (
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from tests.workflows.fakes import INSTRUMENT, FakeWorld, fills, report_of, rests
from workflows import names
from workflows.domain.instruments import Native, TrailingBounds
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, SubmitOutcome, VenueStatus
from workflows.messages import OrderSnapshot
from workflows.ports import FiredWatch, Submit, WatchStatus

NATIVE = replace(
    INSTRUMENT,
    natives=tuple(Native),
    iceberg_parts=100,
    trailing_above=TrailingBounds(least=10, most=2_000),
    trailing_below=TrailingBounds(least=10, most=2_000),
)
HELD = (
    "open_order",
    "accept_order",
    "reserve",
    "give_up",
    "save_order",
    "read_market",
    "record_action",
    "read_protected",
    "raise_alarm",
    "arm_watch",
    "disarm_watch",
    "submit",
    "cancel_child",
    "read_child",
    "read_volume",
)
NEVER = 10_000


def works(world: FakeWorld, intent: ChildIntent) -> SubmitOutcome:
    """What is immediate fills by half, what is not rests."""
    half = intent.quantity >= 4 * INSTRUMENT.step
    answer = fills("0.5" if half else "1") if intent.is_immediate else rests
    return answer(world, intent)


@dataclass
class RaceWorld(FakeWorld):
    """A world that stops at its `moment`-th call, and notes what must not happen."""

    moment: int = NEVER
    calls: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    is_paused: bool = False
    wanted: Decimal = Decimal(1)
    """The largest total that the order may ever have been amended to."""
    violations: list[str] = field(default_factory=list)

    async def come_to(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) - 1 == self.moment:
            self.reached.set()
            await self.released.wait()

    def note_submit(self, request: Submit) -> None:
        live = [each for each in self.reports.values() if not each.status.is_terminal]
        if live:
            self.violations.append(f"{request.intent.child_index} sent while one was live")
        if self.is_paused:
            self.violations.append(f"{request.intent.child_index} sent in a pause")
        if self.executed + request.intent.quantity > self.wanted:
            self.violations.append(f"{request.intent.child_index} sent beyond the total")

    @property
    def executed(self) -> Decimal:
        return sum((each.executed_quantity for each in self.reports.values()), Decimal(0))

    def resting(self) -> ChildReport | None:
        live = [each for each in self.reports.values() if not each.status.is_terminal]
        return live[0] if live else None

    def trades(self, fraction: str, status: VenueStatus) -> ChildReport | None:
        """The resting child trades this part of itself, and is then as told."""
        live = self.resting()
        if live is None:
            return None
        intent = self.intents[live.client_order_id]
        filled = (intent.quantity * Decimal(fraction)).quantize(INSTRUMENT.step)
        report = report_of(intent, max(filled, live.executed_quantity), status)
        self.reports[live.client_order_id] = report
        return report

    def fire_armed(self) -> FiredWatch | None:
        armed = [each for each in self.watches.values() if each.status is WatchStatus.ARMED]
        return self.fires(armed[0].watch_id, "48990") if armed else None


class Router(FakeWorld):
    """Calls go to the world of the workflow that makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.worlds: dict[str, RaceWorld] = {}


def _routed(name: str) -> Callable[..., Awaitable[Any]]:
    inner = getattr(FakeWorld, name)

    @functools.wraps(inner)
    async def call(self: Router, request: Any) -> Any:
        workflow_id = activity.info().workflow_id
        assert workflow_id is not None
        world = self.worlds[workflow_id]
        await world.come_to(name)
        if isinstance(request, Submit):
            world.note_submit(request)
        return await inner(world, request)

    return call


for _name in HELD:
    setattr(Router, _name, _routed(_name))

Handle = WorkflowHandle[Any, OrderSnapshot]
Action = Callable[[Handle, RaceWorld], Awaitable[str]]


async def steer(handle: Handle, name: str, **fields: Any) -> str:
    """One update; the answer is the status, or the code of the refusal."""
    try:
        now: OrderSnapshot = await handle.execute_update(name, fields, result_type=OrderSnapshot)
    except WorkflowUpdateFailedError as failed:
        cause = failed.cause
        return str(cause.type) if isinstance(cause, ApplicationError) else "over"
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise  # no answer: the race hangs
    except RPCError:
        return "over"
    return str(now.status)


async def cancel(handle: Handle, world: RaceWorld) -> str:
    del world
    try:
        await handle.signal(names.CANCEL)
    except RPCError:
        return "over"
    return "asked"


async def cancel_by_update(handle: Handle, world: RaceWorld) -> str:
    del world
    return await steer(handle, names.CANCEL)


async def cancel_by_temporal(handle: Handle, world: RaceWorld) -> str:
    del world
    await handle.cancel()
    return "asked"


async def pause(handle: Handle, world: RaceWorld) -> str:
    told = await steer(handle, names.PAUSE)
    world.is_paused = told == "paused"  # nobody resumes it
    return told


async def pause_and_resume(handle: Handle, world: RaceWorld) -> str:
    del world
    asks = (names.PAUSE, names.RESUME)
    return " ".join(await asyncio.gather(*(steer(handle, name) for name in asks)))


async def resume_twice_and_pause(handle: Handle, world: RaceWorld) -> str:
    del world
    asks = (names.PAUSE, names.RESUME, names.RESUME, names.PAUSE)
    return " ".join(await asyncio.gather(*(steer(handle, name) for name in asks)))


async def amend(handle: Handle, world: RaceWorld) -> str:
    world.wanted = max(world.wanted, Decimal("1.5"))
    return await steer(handle, names.AMEND, quantity="1.5")


async def amend_down(handle: Handle, world: RaceWorld) -> str:
    del world
    return await steer(handle, names.AMEND, quantity="0.6")


async def _report(handle: Handle, report: ChildReport | None) -> str:
    if report is None:
        return "nothing rests"
    try:
        await handle.signal(names.EXECUTION_REPORT, report)
    except RPCError:
        return "over"
    return str(report.status)


async def fill(handle: Handle, world: RaceWorld) -> str:
    return await _report(handle, world.trades("1", VenueStatus.FILLED))


async def part(handle: Handle, world: RaceWorld) -> str:
    return await _report(handle, world.trades("0.4", VenueStatus.OPEN))


async def expire(handle: Handle, world: RaceWorld) -> str:
    return await _report(handle, world.trades("0.4", VenueStatus.EXPIRED))


async def by_hand(handle: Handle, world: RaceWorld) -> str:
    return await _report(handle, world.trades("0", VenueStatus.CANCELLED))


async def trigger(handle: Handle, world: RaceWorld) -> str:
    fired = world.fire_armed()
    if fired is None:
        return "not armed"
    try:
        await handle.signal(names.PRICE_TRIGGER, fired)
    except RPCError:
        return "over"
    return "fired"


async def trigger_untold(handle: Handle, world: RaceWorld) -> str:
    del handle
    return "fired" if world.fire_armed() is not None else "not armed"


def both(first: Action, second: Action) -> Action:
    async def act(handle: Handle, world: RaceWorld) -> str:
        told = await asyncio.gather(first(handle, world), second(handle, world))
        return " ".join(told)

    return act


ACTIONS: dict[str, Action] = {
    "cancel": cancel,
    "cancel by update": cancel_by_update,
    "cancel by Temporal": cancel_by_temporal,
    "pause": pause,
    "pause, resume": pause_and_resume,
    "pause, resume, resume, pause": resume_twice_and_pause,
    "amend": amend,
    "amend down": amend_down,
    "fill": fill,
    "part": part,
    "expire": expire,
    "by hand": by_hand,
    "trigger": trigger,
    "trigger untold": trigger_untold,
    "pause, cancel": both(pause, cancel),
    "amend, cancel": both(amend, cancel),
    "amend, fill": both(amend, fill),
    "part, amend down": both(part, amend_down),
    "pause, trigger": both(pause, trigger),
    "trigger, fill": both(trigger, fill),
    "trigger, part": both(part, trigger),
    "trigger, cancel": both(trigger, cancel),
    "trigger, trigger": both(trigger, trigger),
}


def draw(seed: str, count: int) -> int:
    """A number below `count` that follows from the seed."""
    return int(hashlib.sha256(seed.encode()).hexdigest(), 16) % count
