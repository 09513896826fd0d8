"""What a workflow asks its server for, and what the server tells it, as data.

`remote`, `local` and `condition` stand in for the functions of `temporalio.workflow` that the real
ports and the real order call, and `Aside` for the task that asks beside the order. It must not know
orders.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.exceptions import ActivityError

from tests.stateful.server import Limits, Outcome, in_ms


@dataclass(kw_only=True)
class Command:
    """What the order waits for: an activity (with `name`), or a condition; 0 ms: without limit."""

    name: str = ""
    request: Any = None
    limits: Limits | None = None
    is_local: bool = False
    condition: Callable[[], bool] | None = None
    timeout_ms: int = 0
    seq: int = 0

    def __await__(self) -> Generator["Command", Any, Any]:
        return (yield self)

    @property
    def key(self) -> tuple[int, str, Any, int]:
        """What must be the same when it is asked for again in a replay."""
        return self.seq, self.name, self.request, self.timeout_ms


class Aside:
    """In place of an `asyncio.Task`: work beside the order that asks for one activity."""

    def __init__(self, work: Coroutine[Command, Any, Any], seq: int) -> None:
        self._work = work
        self.command = work.send(None)
        self.command.seq = seq
        self._outcome: Outcome | None = None
        self._is_cancelled = False

    def take(self, outcome: Outcome) -> None:
        """The activity's outcome; the work ends with it."""
        value, error = outcome
        try:
            self._work.throw(error) if error else self._work.send(value)
        except StopIteration as stop:
            self._outcome = (stop.value, None)
        except ActivityError as raised:
            self._outcome = (None, raised)
        assert self._outcome is not None, "one activity is asked for beside the order"

    @property
    def is_asking(self) -> bool:
        return self._outcome is None and not self._is_cancelled

    def done(self) -> bool:
        return not self.is_asking

    def cancelled(self) -> bool:
        return self._is_cancelled

    def result(self) -> Any:
        assert self._outcome is not None
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def add_done_callback(self, callback: Callable[["Aside"], None]) -> None:
        """What is given up has no outcome that a callback could look at."""

    def cancel(self) -> None:
        """Nobody waits for the activity any more; a worker that has begun it goes on."""
        self._is_cancelled = True
        self._work.close()


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that the server tells the workflow."""

    kind: str
    payload: Any = None
    seq: int = -1


@dataclass(kw_only=True)
class Task:
    """One workflow task: its time, its event, and the outcomes of its local activities."""

    now_ms: int
    event: Event
    markers: list[Outcome] = field(default_factory=list)


# --- what the real ports call -------------------------------------------------------------------


def remote(method: Any, request: Any, **options: Any) -> Awaitable[Any]:
    """In place of `workflow.execute_activity_method`."""
    return Command(name=method.__name__, request=request, limits=_limits(options))


def local(method: Any, request: Any, **options: Any) -> Awaitable[Any]:
    """In place of `workflow.execute_local_activity_method`."""
    limits = _limits(options)
    return Command(name=method.__name__, request=request, limits=limits, is_local=True)


def condition(
    until: Callable[[], bool], *, timeout: timedelta | None = None, **_: Any
) -> Awaitable[None]:
    """In place of `workflow.wait_condition`."""
    timeout_ms = 0 if timeout is None else max(1, in_ms(timeout) or 0)
    return Command(condition=until, timeout_ms=timeout_ms)


def _limits(options: dict[str, Any]) -> Limits:
    start_to_close_ms = in_ms(options["start_to_close_timeout"])
    assert start_to_close_ms is not None
    return Limits(
        start_to_close_ms=start_to_close_ms,
        schedule_to_start_ms=in_ms(options.get("schedule_to_start_timeout")),
        schedule_to_close_ms=in_ms(options.get("schedule_to_close_timeout")),
        retry=options["retry_policy"],
    )
