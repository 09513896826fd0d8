"""Coroutines of workers on a virtual clock, and the faults that strike them at named points.

Real activity code runs here unchanged. Whatever it awaits is a `Pause`; between two pauses a run
has the world to itself, so an example is the same every time it is run. A worker is a number: a
crash drops all its runs, a freeze stops them until a thaw, and then they go on as zombies, unaware
of what others did meanwhile. It must not know orders.
"""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

START_MS = 1_800_000_000_000
SLOW_MS = 400
"""Longer than a claim may age, shorter than every timeout."""
_LIMIT = 20_000


class Fault(StrEnum):
    """What can strike a run at a point."""

    CRASH = "crash"
    FREEZE = "freeze"
    HOLD = "hold"
    """Only this run stops, until it is released."""
    SLOW = "slow"
    FAIL = "fail"
    """The database connection breaks."""


@dataclass(kw_only=True)
class Pause:
    """Until a time, or as a fault says."""

    due_ms: int | None = None
    fault: Fault | None = None

    def __await__(self) -> Generator["Pause", None, None]:
        yield self

    def is_over(self, now_ms: int) -> bool:
        return self.due_ms is not None and now_ms >= self.due_ms


@dataclass(kw_only=True)
class Run:
    """One coroutine on one worker. `about` is the attempt of the order that it serves."""

    work: Coroutine[Pause, None, Any]
    worker: int
    done: Callable[[Any, Exception | None], None]
    about: int = 0
    number: int = 1
    scheduled_ms: int = 0
    started_ms: int = 0
    pause: Pause | None = None


@dataclass(kw_only=True)
class Scheduler:
    """All runs of all workers, in the order in which they began."""

    now_ms: int = START_MS
    worker: int = 1
    worker_jump_ms: int = 0
    runs: list[Run] = field(default_factory=list)
    frozen: set[int] = field(default_factory=set)
    armed: dict[str, Fault] = field(default_factory=dict)
    current: Run | None = None
    on_lost_worker: Callable[[], None] = lambda: None

    @property
    def worker_clock_ms(self) -> int:
        """The clock of the workers' machine."""
        return self.now_ms + self.worker_jump_ms

    @property
    def has_stopped(self) -> bool:
        """True while something is frozen or held."""
        held = any(run.pause is not None and run.pause.fault is Fault.HOLD for run in self.runs)
        return bool(self.frozen) or held

    async def point(self, name: str) -> None:
        """A place where a fault may strike."""
        fault = self.armed.pop(name, None)
        if fault is Fault.FAIL:
            raise OSError(f"the connection broke at {name}")
        if fault is Fault.SLOW:
            await Pause(due_ms=self.now_ms + SLOW_MS)
        elif fault is not None:
            await Pause(fault=fault)

    def start(self, run: Run) -> None:
        self.runs.append(run)

    def step(self) -> bool:
        """Let every run go on that can; True if any did."""
        moved = False
        for run in list(self.runs):
            if run not in self.runs or run.worker in self.frozen:
                continue
            if run.pause is None or run.pause.is_over(self.now_ms):
                moved = True
                self._resume(run)
        return moved

    def due_ms(self) -> int | None:
        """When the next run wakes up by itself."""
        dues = [
            run.pause.due_ms
            for run in self.runs
            if run.worker not in self.frozen and run.pause and run.pause.due_ms is not None
        ]
        return min(dues, default=None)

    def crash(self) -> None:
        """The worker's process is gone; another one takes its place."""
        self._lose_worker()
        gone = [run for run in self.runs if run.worker == self.worker - 1]
        self.runs = [run for run in self.runs if run.worker != self.worker - 1]
        for run in gone:
            run.work.close()

    def freeze(self) -> None:
        """The worker's process stands still; another one takes its place."""
        self.frozen.add(self.worker)
        self._lose_worker()

    def thaw(self) -> None:
        """Frozen processes go on where they were, however late it is."""
        self.frozen.clear()

    def release(self) -> None:
        """What was held goes on."""
        for run in self.runs:
            if run.pause is not None and run.pause.fault is Fault.HOLD:
                run.pause = None

    def close(self) -> None:
        """Drop everything that still runs."""
        for run in self.runs:
            run.work.close()
        self.runs = []

    def _lose_worker(self) -> None:
        self.worker += 1
        self.on_lost_worker()

    def _resume(self, run: Run) -> None:
        self.current = run
        try:
            run.pause = run.work.send(None)
        except StopIteration as stop:
            self._finish(run, stop.value, None)
        except Exception as error:  # noqa: BLE001  # what an activity raises is its outcome
            self._finish(run, None, error)
        finally:
            self.current = None
        if run.pause is None or run.pause.fault in (None, Fault.HOLD):
            return
        fault, run.pause = run.pause.fault, None
        if run.worker == self.worker and fault is Fault.CRASH:
            self.crash()
        elif run.worker == self.worker:
            self.freeze()

    def _finish(self, run: Run, value: Any, error: Exception | None) -> None:
        if isinstance(error, AssertionError):
            raise error
        self.runs.remove(run)
        run.pause = None
        run.done(value, error)


def settled(step: Callable[[], bool]) -> None:
    """Step until nothing moves any more at this moment."""
    for _ in range(_LIMIT):
        if not step():
            return
    raise AssertionError("the world does not come to rest at one moment")
