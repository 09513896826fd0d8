"""One order's workflow on a server that records its history, and on workers that may vanish.

The real `ChildOrder` runs as a coroutine that asks for commands. A task takes one event, runs
until the order waits for the server, and only then is it recorded; if its worker vanishes before,
the event is taken again, later, by another worker that rebuilds the order from the history. The
rebuilt order must be in the very state that was recorded. Continue-as-new hands over nothing but
`ChildState`. It must not know venues or ledgers.
"""

from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from tests.stateful.commands import Aside, Command, Event, Task
from tests.stateful.model import Model
from tests.stateful.runs import Scheduler
from tests.stateful.server import Activity, Limits, Outcome, Work
from workflows import ports
from workflows.child_order import ChildContext, ChildOrder
from workflows.child_state import ChildState, Priced
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DENIALS = ("TRADING_HALTED", "TRADING_REDUCING")


class Host:
    """The workflow, its server's memory of it, and its place in the worker's cache."""

    def __init__(
        self,
        scheduler: Scheduler,
        model: Model,
        activities: dict[str, Work],
        state: ChildState,
        terms: ports.EngineTerms,
        expires_at: datetime | None,
        *,
        reserves_first: bool,
    ) -> None:
        self._scheduler, self._model, self._activities = scheduler, model, activities
        self._terms, self._expires_at = terms, expires_at
        self._reserves_first = reserves_first
        # what the server holds
        self._first = self._recorded = state
        self._recorded_key: Any = None
        self._first_seq = 0
        self._history: list[Task] = []
        self._inbox: deque[Event] = deque([Event(kind="start")])
        self._remote: tuple[int, Activity] | None = None
        self._timer: tuple[int, int, str] | None = None
        self.runs = 1
        self.replays = 0
        self.ended: ChildState | None = None
        self.has_workers = True
        # what the worker holds
        self._order: ChildOrder | None = None
        self._work: Coroutine[Command, Any, None] | None = None
        self._awaited: Command | None = None
        self._aside: Aside | None = None
        self._seq = 0
        self._task: Task | None = None
        self._local: Activity | None = None
        self._now_ms = scheduler.now_ms
        self._cancelled = self._cancelled_at_start = self._is_long = self._takes_reports = False
        self._has_heard_halt = False

    # --- from outside ---------------------------------------------------------------------------

    def tell(self, kind: str, payload: Any = None) -> None:
        """A signal; it is durable at once."""
        if self.ended is None:
            self._inbox.append(Event(kind=kind, payload=payload))

    def lose_worker(self) -> None:
        """The worker with the cached workflow is gone, and what it had not reported."""
        if self._work is not None:
            self._work.close()
        if self._aside is not None:
            self._aside.cancel()
        self._order = self._work = self._awaited = self._task = self._local = self._aside = None

    def now(self) -> datetime:
        """`workflow.now()`: the time at which the task started."""
        return EPOCH + timedelta(milliseconds=self._now_ms)

    def ask_aside(self, work: Coroutine[Command, Any, Any]) -> Aside:
        """`asyncio.create_task()`: it asks before the order's own next command."""
        assert self._asked_aside() is None, "one activity is asked for at a time"
        self._seq += 1
        self._aside = Aside(work, self._seq)
        return self._aside

    def step(self) -> bool:
        """One step of the server or of the task; True if anything happened."""
        return self._step_server() or (self.has_workers and self._step_task())

    def due_ms(self) -> int | None:
        dues = [] if self._remote is None else [self._remote[1].due_ms()]
        if self._timer is not None:
            dues.append(self._timer[1])
        if self._local is not None:
            dues.append(self._local.due_ms())
        return min((due for due in dues if due is not None), default=None)

    # --- the server -----------------------------------------------------------------------------

    def _step_server(self) -> bool:
        moved = False
        if self._remote is not None:
            seq, activity = self._remote
            moved = activity.step(has_workers=self.has_workers)
            if activity.outcome is not None:
                self._remote, moved = None, True
                self._inbox.append(Event(kind="resolved", payload=activity.outcome, seq=seq))
        if self._timer is not None and self._scheduler.now_ms >= self._timer[1]:
            seq, _, kind = self._timer
            self._timer, moved = None, True
            self._inbox.append(Event(kind=kind, seq=seq))
        return moved

    # --- tasks ----------------------------------------------------------------------------------

    def _step_task(self) -> bool:
        if self._task is not None:
            return self._step_local()
        if not self._inbox or self.ended is not None:
            return False
        if self._work is None:
            self._seq = self._first_seq
            self._replay()
        self._now_ms = self._scheduler.now_ms
        self._task = Task(now_ms=self._now_ms, event=self._inbox[0])
        self._apply(self._task.event)
        self._ask_locally()
        return True

    def _step_local(self) -> bool:
        assert self._local is not None
        assert self._task is not None
        moved = self._local.step(has_workers=True)
        outcome = self._local.outcome
        if outcome is not None:
            self._local = None
            self._task.markers.append(outcome)
            self._take(outcome)
            self._ask_locally()
        elif self._local.retries_ms is not None:  # the pause is a durable timer: the task ends
            retries_ms, self._local = self._local.retries_ms, None
            assert self._awaited is not None
            self._timer = (self._awaited.seq, retries_ms, "retry")
            self._complete()
        return moved or outcome is not None

    def _ask_locally(self) -> None:
        """Run the local activity that is awaited, inside this task; else the task is complete."""
        command = self._awaited
        if command is None or not command.is_local or self._has_timer(command):
            self._complete()
        else:
            self._local = self._activity(command)

    def _has_timer(self, command: Command) -> bool:
        return self._timer is not None and self._timer[0] == command.seq

    def _complete(self) -> None:
        task, command = self._task, self._awaited
        assert task is not None
        assert self._order is not None
        self._inbox.popleft()
        self._history.append(task)
        self._task = None
        self._hear(task)
        self._recorded = state = self._order.state
        has_ended = state.report is not None and state.report.status.is_terminal
        self._model.on_known(state.executed_quantity, ended=has_ended)
        self._recorded_key = self._key()
        if command is None:
            self._end_run(state)
        else:
            self._schedule(command)

    def _schedule(self, command: Command) -> None:
        """Let the server have what the task has asked for, and what it no longer asks for."""
        asked = self._asked_aside() or command
        if not asked.name or asked.is_local:
            self._remote = None
        elif self._remote is None or self._remote[0] != asked.seq:
            self._remote = (asked.seq, self._activity(asked))
        if command.is_local:
            assert self._has_timer(command), "a task ends with a local activity only to retry it"
        elif not command.timeout_ms:
            self._timer = None
        elif not self._has_timer(command):
            due_ms = self._scheduler.now_ms + command.timeout_ms
            self._timer = (command.seq, due_ms, "fired")

    def _asked_aside(self) -> Command | None:
        """The activity that is asked for beside what the order waits for."""
        aside = self._aside
        return aside.command if aside is not None and aside.is_asking else None

    def _key(self) -> Any:
        """All that is asked for now, to compare a replay with."""
        asked = (self._awaited, self._asked_aside())
        return [None if command is None else command.key for command in asked]

    def _activity(self, command: Command) -> Activity:
        assert command.limits is not None
        work = self._activities[command.name]
        about = getattr(command.request, "attempt", 0)
        return Activity(self._scheduler, work, command.request, about, command.limits)

    def _hear(self, task: Task) -> None:
        """Tell the model what is durable now: that trading is halted, as the order heard it."""
        assert self._order is not None
        answers = [value for value, _ in task.markers]
        if task.event.kind == "resolved":
            answers.append(task.event.payload[0])
        for answer in answers:
            denied = getattr(answer, "denied", None) or answer
            self._has_heard_halt |= getattr(denied, "code", "") in DENIALS
        if self._order.state.status is ChildStatus.DENIED:
            self._model.require(self._has_heard_halt, "denied without a word of the ledger")
            self._model.on_denied()

    def _end_run(self, state: ChildState) -> None:
        self.lose_worker()
        self._timer = None
        if state.is_off_venue:
            self.ended = state
            self._model.on_end(state.status, state.executed_quantity)
            return
        self.runs += 1
        self._first = self._recorded = state
        self._first_seq, self._history = self._seq, []
        self._is_long = False
        self._inbox.appendleft(Event(kind="start"))

    # --- the order ------------------------------------------------------------------------------

    def _replay(self) -> None:
        """Rebuild the order from the history: it must come to the recorded state."""
        self.replays += bool(self._history)
        self._cancelled, self._is_long = self._cancelled_at_start, False
        for task in self._history:
            self._now_ms = task.now_ms
            self._apply(task.event)
            for marker in task.markers:
                self._take(marker)
        if self._order is None:
            return
        same = (self._order.state, self._key()) == (self._recorded, self._recorded_key)
        self._model.require(same, "a replay came to another state than was recorded")

    def _apply(self, event: Event) -> None:
        if event.kind == "start":
            self._begin()
        elif event.kind == "cancel":
            self._cancelled = True
        elif event.kind == "long":
            self._is_long = True
        elif event.kind == "report" and self._takes_reports:
            assert self._order is not None
            self._order.on_report(event.payload)
        elif event.kind == "resolved":
            self._resolve(event)
        elif event.kind == "fired" and self._waits_for(event):
            self._advance(error=TimeoutError())
        self._check_condition()

    def _resolve(self, event: Event) -> None:
        """An answer that was given up, or timed out, is not taken."""
        asked = self._asked_aside()
        if asked is not None and asked.seq == event.seq:
            assert self._aside is not None
            self._aside.take(event.payload)
        elif self._waits_for(event):
            self._take(event.payload)

    def _waits_for(self, event: Event) -> bool:
        return self._awaited is not None and self._awaited.seq == event.seq

    def _begin(self) -> None:
        self._cancelled_at_start = self._cancelled
        self._takes_reports = False
        self._order = ChildOrder(self._first, self._context(None))
        self._work = self._life()
        self._advance()

    async def _life(self) -> None:
        """What a parent does with a child: work it, then wait for its missing fills."""
        reserved = None
        if self._reserves_first and self.runs == 1:  # in one trip with the order's acceptance
            reserved = await ports.reserve(_first_reservation(self._first))
        self._takes_reports = True
        order = self._order = ChildOrder(self._first, self._context(reserved))
        await order.work()
        if order.state.is_off_venue:
            self._takes_reports = False
            await order.settle()

    def _context(self, reserved: ports.Reserved | None) -> ChildContext:
        return ChildContext(
            terms=self._terms,
            parent_quantity=self._first.intent.quantity,
            reprice=self._reprice,
            is_cancelled=lambda: self._cancelled,
            should_hand_over=lambda: self._is_long and not self._cancelled,
            expires_at=self._expires_at,
            reserved=reserved,
        )

    async def _reprice(self, intent: ChildIntent) -> Priced | None:
        once = Limits(
            start_to_close_ms=5_000,
            schedule_to_start_ms=None,
            schedule_to_close_ms=5_000,
            retry=RetryPolicy(),
        )
        try:
            priced: Priced | None = await Command(name="reprice", request=intent, limits=once)
        except ActivityError:
            return None
        return priced

    def _take(self, outcome: Outcome) -> None:
        value, error = outcome
        self._advance(value, error)
        self._check_condition()

    def _check_condition(self) -> None:
        awaited = self._awaited
        while awaited is not None and awaited.condition is not None and awaited.condition():
            self._advance()
            awaited = self._awaited

    def _advance(self, value: Any = None, error: Exception | None = None) -> None:
        assert self._work is not None
        self._awaited = None
        try:
            command = self._work.throw(error) if error else self._work.send(value)
        except StopIteration:
            return
        self._seq += 1
        command.seq = self._seq
        self._awaited = command


def _first_reservation(state: ChildState) -> ports.Reserve:
    return ports.Reserve(
        intent=state.intent,
        attempt=state.attempt,
        reference_price=state.reference_price,
        parent_quantity=state.intent.quantity,
    )
