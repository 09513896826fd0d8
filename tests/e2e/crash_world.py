"""What the crash tests share: the four cases, aiming at one order, watching processes die.

Rule: a point is hit when the file that counts its passages says so and the process there has
ended by SIGKILL (or stands still), never because a test waited long enough. An order is aimed at
by the id of its first child, which is known before it starts.

`CRASH_SEED` chooses which case of a row runs; `CRASH_ALL=1` runs all four.
"""

import asyncio
import functools
import os
import random
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import select

from activities.failpoints import parse_failpoints
from activities.ledger.models import Attempt
from activities.venues.simulator.judge import JudgedRequest
from tests.e2e.proof import assert_order_is_true, story_of
from tests.e2e.world import BEST_ASK, BEST_BID, INSIDE, STILL, World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderRequest, OrderSnapshot

SEED = os.environ.get("CRASH_SEED") or str(date.today().toordinal())  # noqa: DTZ011 - only a seed
ALL = os.environ.get("CRASH_ALL") == "1"
QUANTITY = Decimal("0.01")
MOVES_AGAIN_WITHIN_S = 30.0
PROOF_MS = 1_500
"""Window and read lag, scaled: an unknown request is proven absent this long after its signing."""
WINDOW_MS = 500
ORDER_PATH = "/api/v3/order"
_TAKING = {"buy": BEST_ASK + 10, "sell": BEST_BID - 10}
_NEVER = 999_999
_TRIES = 3
Row = Callable[["World", "Case"], Awaitable[None]]
"""The test of one crash point."""


class StarvedError(Exception):
    """The machine was too busy to send what was claimed in time: the point was not reached."""


def again_when_starved(test: Row) -> Row:
    """Take the row with another order when the machine was too busy for it, three times at most."""

    @functools.wraps(test)
    async def row(world: World, case: Case) -> None:
        for _ in range(_TRIES - 1):
            with suppress(StarvedError):
                return await test(world, case)
        return await test(world, case)

    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What kind of order stands at the crash point."""

    order_type: str
    side: str

    def __str__(self) -> str:
        return f"{self.order_type}-{self.side}"


CASES = tuple(Case(order_type=t, side=s) for t in ("limit", "market") for s in ("buy", "sell"))
LIMITS = CASES[:2]


def cases(row: str, among: tuple[Case, ...] = CASES) -> list[Case]:
    """The cases of one row of the crash table in this run."""
    return list(among) if ALL else [random.Random(f"{SEED}-{row}").choice(among)]


class AttemptRow(NamedTuple):
    """What the ledger says of one attempt; never claimed means never signed."""

    state: str
    signed_at_ms: int | None
    outcome_reason: str


class AimedOrder:
    """An order whose first child is aimed at, and what the exchange's log says of that child."""

    def __init__(self, world: World, case: Case, *, rests: bool = False, **fields: object) -> None:
        """A limit order takes what is there, or with `rests` waits inside the spread."""
        print(f"CRASH_SEED={SEED}: {case}")
        defaults: dict[str, object] = {"order_type": case.order_type, "side": case.side}
        if case.order_type == "limit":
            defaults["price"] = INSIDE if rests else _TAKING[case.side]
        self._world = world
        self.request: OrderRequest = world.request(**{"quantity": QUANTITY} | defaults | fields)
        assert self.request.order_id is not None
        self.order_id = self.request.order_id
        self.child = client_order_id(self.order_id, 0)
        self.rests = rests and case.order_type == "limit"
        self.side = case.side

    def sent(self) -> list[JudgedRequest]:
        """Every request that asked the exchange for this child."""
        return self._requests("POST", "newClientOrderId")

    def looked_up(self) -> list[JudgedRequest]:
        """Every request that asked whether the exchange has this child."""
        return self._requests("GET", "origClientOrderId")

    def cancels(self) -> list[JudgedRequest]:
        """Every request that asked the exchange to cancel this child."""
        ids = {str(order.order_id) for order in self._world.log().orders_named(self.child)}
        return [
            each
            for each in self._world.log().requests
            if (each.method, each.path) == ("DELETE", ORDER_PATH)
            and each.params.get("orderId") in ids
        ]

    def _requests(self, method: str, name: str) -> list[JudgedRequest]:
        return [
            each
            for each in self._world.log().requests
            if (each.method, each.path, each.params.get(name)) == (method, ORDER_PATH, self.child)
        ]

    def is_open(self) -> bool:
        """True while the child rests in the exchange's book."""
        return any(order.is_open for order in self._world.log().orders_named(self.child))

    async def attempt(self, number: int = 1) -> AttemptRow:
        """An attempt to send this child, as the ledger has it now."""
        query = select(Attempt.state, Attempt.signed_at_ms, Attempt.outcome_reason).where(
            Attempt.client_order_id == self.child, Attempt.attempt == number
        )
        async with self._world.database.connect() as connection:
            return AttemptRow(*(await connection.execute(query)).one())

    async def submit(self) -> OrderSnapshot:
        """Start it; the verdict comes before its child is sent."""
        placed = await self._world.orders.submit(self.request)
        assert placed.code is None, f"{placed.code}: {placed.reason}"
        return placed

    async def cancel(self) -> OrderSnapshot:
        """Ask for a cancel; answers after a while, whatever became of it."""
        return await self._world.orders.cancel(self.order_id)

    async def trade_against(self, quantity: Decimal = QUANTITY) -> None:
        """The other account takes this resting child, or as much of it."""
        side = "sell" if self.side == "buy" else "buy"
        await self._world.other.create_order(
            STILL, "limit", side, str(quantity), str(INSIDE), {"timeInForce": "IOC"}
        )

    async def completes(self) -> OrderSnapshot:
        """It goes on by itself and ends filled, once, and all books agree."""
        if self.rests:
            await until(self.is_open, within_s=MOVES_AGAIN_WITHIN_S)
            await self.trade_against()
        done = await self.ends()
        assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, QUANTITY), (
            f"{done.reason}\n{await story_of(self._world, self.order_id)}"
        )
        return done

    async def ends(self) -> OrderSnapshot:
        """Its end, whichever, in time; ledger, exchange and what the caller is told are one."""
        try:
            done = await self._world.finish(
                OrderSnapshot(order_id=self.order_id, status=OrderStatus.WORKING),
                within_s=MOVES_AGAIN_WITHIN_S,
            )
        except TimeoutError:
            raise AssertionError(await story_of(self._world, self.order_id)) from None
        assert len(self._world.log().orders_named(self.child)) <= 1
        await assert_order_is_true(self._world, done)
        if await self._was_claimed_too_long_ago():
            raise StarvedError(self.order_id)
        return done

    async def _was_claimed_too_long_ago(self) -> bool:
        history = await self._world.history(self.order_id)
        results = [
            event.activity_task_completed_event_attributes.result.payloads
            for event in history.events
        ]
        return any(b"CLAIM_TOO_OLD" in each.data for payloads in results for each in payloads)


# --- failpoints -----------------------------------------------------------------------------------


@contextmanager
def armed(world: World, *points: str) -> Iterator[None]:
    """Arm failpoints in all processes of the engine, beside those that are armed already."""
    parse_failpoints(",".join(points))
    file = _points_file(world)
    before = file.read_text() if file.exists() else ""
    _replace(file, before + "\n".join(points) + "\n")
    try:
        yield
    finally:
        kept = file.read_text().splitlines()
        for point in points:
            kept.remove(point)
        _replace(file, "\n".join(kept))


def counted(key: str) -> str:
    """A point that only counts who passes it."""
    return f"{key}:kill@{_NEVER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One passage of an armed failpoint: which process, when (this machine's clock)."""

    pid: int
    at_ms: int


def passages(world: World, key: str) -> list[Passage]:
    """The passages of `name[target]`, oldest first."""
    file = world.stack.home.failpoints / key
    lines = file.read_text().splitlines() if file.exists() else []
    found = [map(int, line.split()) for line in lines]
    return [Passage(pid=pid, at_ms=at_ns // 1_000_000) for pid, at_ns in found]


def _points_file(world: World) -> Path:
    specification = world.stack.settings.exec_failpoints
    assert specification is not None
    return Path(specification.removeprefix("@"))


def _replace(file: Path, text: str) -> None:
    """As one step, so that no process reads half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


# --- processes ------------------------------------------------------------------------------------


def workers(world: World) -> list[str]:
    """The names of the worker processes."""
    return [name for name in world.stack.parts if name.startswith("worker-")]


async def all_healthy(world: World) -> None:
    """Every part runs and does its work."""
    await asyncio.gather(*(world.stack.wait_healthy(name) for name in world.stack.parts))


async def can_begin(world: World) -> None:
    """Every server and a worker are healthy; the other workers at least have begun to start."""
    parts, fleet = world.stack.parts, workers(world)
    await asyncio.gather(*(world.stack.wait_healthy(name) for name in parts if name not in fleet))
    await until(lambda: any(parts[name].healthy.is_set() for name in fleet), MOVES_AGAIN_WITHIN_S)
    await until(lambda: all(parts[name].running for name in fleet))


class Processes:
    """The engine's processes as they were when a row began."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_pid: dict[int, Process] = {
            part.process.pid: part.process
            for part in world.stack.parts.values()
            if part.process is not None and part.running
        }

    async def killed_at(self, key: str) -> Passage:
        """The passage at which a process killed itself: reached once, and dead by SIGKILL."""
        passage = await self.reached(key)
        assert await self.code_of(passage.pid) == -signal.SIGKILL
        return passage

    async def kill(self, pid: int) -> None:
        """SIGKILL one of them; returns when it is dead."""
        os.kill(pid, signal.SIGKILL)
        assert await self.code_of(pid) == -signal.SIGKILL

    async def code_of(self, pid: int) -> int:
        """How a process ended, waited for."""
        return await asyncio.wait_for(self._by_pid[pid].wait(), MOVES_AGAIN_WITHIN_S)

    def name_of(self, pid: int) -> str:
        """The part of the stack that a process is."""
        process = self._by_pid[pid]
        return next(n for n, part in self._world.stack.parts.items() if part.process is process)

    @asynccontextmanager
    async def stopped_at(self, key: str) -> AsyncIterator["Frozen"]:
        """The process that stands still at a point; it goes on at the end at the latest."""
        frozen = Frozen((await self.reached(key)).pid)
        try:
            await until(frozen.is_still)
            yield frozen
        finally:
            frozen.thaw()

    async def reached(self, key: str) -> Passage:
        """The first passage of an armed point."""
        await until(lambda: passages(self._world, key), within_s=MOVES_AGAIN_WITHIN_S)
        return passages(self._world, key)[0]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that was stopped by SIGSTOP."""

    pid: int

    def is_still(self) -> bool:
        """True while no thread of it runs."""
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def thaw(self) -> None:
        """Let it go on where it was."""
        os.kill(self.pid, signal.SIGCONT)
