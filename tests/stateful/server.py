"""The part of a Temporal server that one order needs: activities, their timeouts and retries.

One activity is asked for at a time. A run whose attempt has timed out is not stopped: its worker
does not know, and goes on; only its answer is not taken any more. It must not know workflows.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    TimeoutType,
)

from tests.stateful.runs import Pause, Run, Scheduler

Work = Callable[[Any], Coroutine[Pause, None, Any]]
Outcome = tuple[Any, Exception | None]


def in_ms(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """An activity's timeouts, ms, and its retries."""

    start_to_close_ms: int
    schedule_to_start_ms: int | None
    schedule_to_close_ms: int | None
    retry: RetryPolicy


class Activity:
    """One activity from its scheduling to its outcome; `outcome` is None until then."""

    def __init__(
        self, scheduler: Scheduler, work: Work, request: Any, about: int, limits: Limits
    ) -> None:
        self._scheduler = scheduler
        self._work, self._request, self._about = work, request, about
        self._limits = limits
        self._scheduled_ms = self._ready_ms = scheduler.now_ms
        self._number = 1
        self._started_ms: int | None = None
        self._run: Run | None = None
        self.outcome: Outcome | None = None

    def step(self, *, has_workers: bool) -> bool:
        """Start, or time out; True if anything happened."""
        if self.outcome is not None:
            return False
        due_ms = self._timeout_due_ms()
        if due_ms is not None and self._scheduler.now_ms >= due_ms[0]:
            self._time_out(due_ms[1])
            return True
        if self._run is None and has_workers and self._scheduler.now_ms >= self._ready_ms:
            self._start()
            return True
        return False

    def due_ms(self) -> int | None:
        """When something happens by itself."""
        if self.outcome is not None:
            return None
        timeout = self._timeout_due_ms()
        dues = [] if timeout is None else [timeout[0]]
        if self._run is None and self._scheduler.now_ms < self._ready_ms:
            dues.append(self._ready_ms)
        return min(dues, default=None)

    @property
    def retries_ms(self) -> int | None:
        """When the next attempt starts, while it waits for that after a failed one."""
        waits = self._run is None and self.outcome is None and self._number > 1
        return self._ready_ms if waits else None

    def _timeout_due_ms(self) -> tuple[int, TimeoutType] | None:
        limits, dues = self._limits, []
        if self._run is not None and self._started_ms is not None:
            closes_ms = self._started_ms + limits.start_to_close_ms
            dues.append((closes_ms, TimeoutType.START_TO_CLOSE))
        elif limits.schedule_to_start_ms is not None:
            starts_ms = self._ready_ms + limits.schedule_to_start_ms
            dues.append((starts_ms, TimeoutType.SCHEDULE_TO_START))
        if limits.schedule_to_close_ms is not None:
            closes_ms = self._scheduled_ms + limits.schedule_to_close_ms
            dues.append((closes_ms, TimeoutType.SCHEDULE_TO_CLOSE))
        return min(dues, key=lambda due: due[0], default=None)

    def _start(self) -> None:
        run = Run(
            work=self._work(self._request),
            worker=self._scheduler.worker,
            done=lambda value, error: self._done(run, value, error),
            about=self._about,
            number=self._number,
            scheduled_ms=self._scheduled_ms,
            started_ms=self._scheduler.now_ms,
        )
        self._run, self._started_ms = run, self._scheduler.now_ms
        self._scheduler.start(run)

    def _done(self, run: Run, value: Any, error: Exception | None) -> None:
        if run is not self._run:
            return
        if error is None:
            self.outcome = (value, None)
        else:
            self._retry_or_fail(error)

    def _time_out(self, kind: TimeoutType) -> None:
        error = TimeoutError(kind.name, type=kind, last_heartbeat_details=[])
        if kind is TimeoutType.START_TO_CLOSE:
            self._retry_or_fail(error)
        else:
            self._fail(error)

    def _retry_or_fail(self, error: Exception) -> None:
        policy, limits = self._limits.retry, self._limits
        is_last = policy.maximum_attempts and self._number >= policy.maximum_attempts
        if is_last or (isinstance(error, ApplicationError) and error.non_retryable):
            self._fail(error)
            return
        ready_ms = self._scheduler.now_ms + _pause_ms(policy, self._number, error)
        closes_ms = limits.schedule_to_close_ms
        if closes_ms is not None and ready_ms >= self._scheduled_ms + closes_ms:
            self._fail(error)
            return
        self._run, self._ready_ms, self._number = None, ready_ms, self._number + 1

    def _fail(self, cause: Exception) -> None:
        error = ActivityError(
            "activity failed",
            scheduled_event_id=0,
            started_event_id=0,
            identity="",
            activity_type="",
            activity_id="",
            retry_state=None,
        )
        error.__cause__ = cause
        self._run = None
        self.outcome = (None, error)


def _pause_ms(policy: RetryPolicy, number: int, error: Exception) -> int:
    asked = error.next_retry_delay if isinstance(error, ApplicationError) else None
    if asked is not None:
        return in_ms(asked) or 0
    doubled = policy.initial_interval * (1 << min(number - 1, 16))
    longest = policy.maximum_interval or policy.initial_interval * 100
    return in_ms(min(doubled, longest)) or 0
