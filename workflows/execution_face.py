"""What an execution shows and hears: its state, its handlers.

The state is one model, `ExecutionState` and what each kind adds to it; this is its only writer in
a running workflow. Handlers only look at it or set a flag in it. It must not know how an execution
is run, accepted or ended.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows import names, ports
from workflows.child_state import ChildState, read_report
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionKind, ExecutionStatus, move_execution
from workflows.durations import seconds
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.leg_order import LegOrder, LegRecord
from workflows.messages import cancel_reason
from workflows.payloads import strict_loads
from workflows.plans import parse_plan
from workflows.refusals import data_of, raise_if, refused_id
from workflows.resolving import check_verdict, take_verdict
from workflows.steering_messages import ResolveRequest, parse_resolve
from workflows.waiting import comes_true

_CANCEL_ANSWER_WITHIN = timedelta(seconds=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionState:
    """What continue-as-new carries of any execution; each kind adds its own."""

    plan: ArbitragePlan | RebalancePlan | None = None
    terms: ports.EngineTerms | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING
    code: DenialCode | None = None
    field: str | None = None
    error: str = ""
    cancelled_because: str | None = None
    is_adopted: bool = False
    created_at: datetime = _EPOCH
    completed_at: datetime | None = None
    legs: tuple[LegRecord, ...] = ()
    """Legs that are over, oldest first; the live ones are in the workflow until it hands over."""


PlanT = TypeVar("PlanT", ArbitragePlan, RebalancePlan)
StateT = TypeVar("StateT", bound=ExecutionState)
SnapshotT = TypeVar("SnapshotT", bound=BaseModel)


class ExecutionFace(ABC, Generic[PlanT, StateT, SnapshotT]):
    """The state of one execution, and what callers and people see of it."""

    KIND: ClassVar[ExecutionKind]
    PLAN: type[PlanT]
    STATE: type[StateT]
    SNAPSHOT: type[SnapshotT]

    def __init__(self, raw: RawValue | None) -> None:
        info = workflow.info()
        self._raw = raw
        # only Temporal sets this id, so a caller cannot pass a state off as a plan
        carried = self._carried(raw) if info.continued_run_id is not None else None
        self._is_continued = carried is not None
        self.state: StateT = carried or self.STATE(created_at=info.start_time)
        self._plan: PlanT | Denied | None = None
        self._legs: dict[str, LegOrder] = {}
        self._updated_at = info.start_time
        self._stored: SnapshotT | None = None
        self._hands_over = False
        self._is_stored = False
        """Its end is stored: what is told of it now stays."""

    @abstractmethod
    def snapshot_now(self) -> SnapshotT:
        """The execution as its public message, from state and live legs."""

    @abstractmethod
    def details(self) -> str:
        """The execution in Markdown, for Temporal's UI."""

    # --- state ----------------------------------------------------------------------------------

    @property
    def execution_id(self) -> str:
        """The workflow id: the caller's own id of the execution."""
        return workflow.info().workflow_id

    @property
    def terms(self) -> ports.EngineTerms:
        """The settings that this execution began with."""
        assert self.state.terms is not None, "a registered execution has its terms"
        return self.state.terms

    def parsed(self) -> PlanT | Denied:
        """The workflow's input as a plan; the id in it must be the workflow's."""
        if self._plan is None:
            self._plan = self._parse()
        return self._plan

    def _parse(self) -> PlanT | Denied:
        info = workflow.info()
        if self._raw is None:
            return Denied(code=DenialCode.INVALID_INPUT, detail="the plan is missing")
        if info.cron_schedule or info.retry_policy is not None:
            return Denied(
                code=DenialCode.INVALID_INPUT,
                detail="a plan takes no cron schedule and no retry policy: it would trade again",
            )
        parsed: PlanT | Denied = parse_plan(self._raw.payload.data, self.PLAN)
        if isinstance(parsed, Denied) or parsed.id == info.workflow_id:
            return parsed
        if parsed.id is None:
            return refused_id("id") or parsed
        return Denied(
            code=DenialCode.FIELD_NOT_ALLOWED, field="id", detail="id must equal the workflow id"
        )

    def is_cancelled(self) -> bool:
        """True once anybody asked for a cancel, by signal, update or Temporal itself."""
        return (
            self.state.cancelled_because is not None or workflow.cancellation_reason() is not None
        )

    def cancelled_because(self) -> str:
        """Why it is cancelled."""
        return self.state.cancelled_because or workflow.cancellation_reason() or "user_request"

    def change(self, **changes: object) -> None:
        """The only way in which the state changes."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # checked by tests
        self._updated_at = workflow.now()

    def become(self, status: ExecutionStatus) -> None:
        """Move along the legal graph and show it."""
        self.change(status=move_execution(self.state.status, status))
        self.show()

    def accept_by(self) -> datetime:
        """Until when it must be accepted; later it never trades."""
        return self.state.created_at + seconds(self.terms.accept_timeout_s)

    # --- legs -----------------------------------------------------------------------------------

    @property
    def records(self) -> tuple[LegRecord, ...]:
        """All legs as they are now, oldest first."""
        return (*self.state.legs, *(leg.record for leg in self._legs.values()))

    def take_stored(self, stored: str) -> None:
        """What the ledger holds under this id is the truth."""
        self._stored = self.SNAPSHOT.model_validate(strict_loads(stored.encode()))
        self.change(status=ExecutionStatus(getattr(self._stored, "status")))  # noqa: B009 - each kind's own message has one

    # --- what people and services see -----------------------------------------------------------

    def snapshot(self) -> SnapshotT:
        """The execution now."""
        return self._stored if self._stored is not None else self.snapshot_now()

    def show(self) -> None:
        """Current details for Temporal's UI, in Markdown."""
        workflow.set_current_details(self.details())

    def index(self, strategy_id: str, exchange: str, symbol: str) -> None:
        """Search attributes, so that it is found in Temporal's UI as orders are."""
        workflow.upsert_search_attributes(
            [
                names.STRATEGY_ID.value_set(strategy_id),
                names.EXCHANGE.value_set(exchange),
                names.SYMBOL.value_set(symbol),
                names.ORDER_TYPE.value_set(self.KIND),
                names.ORDER_STATUS.value_set(ExecutionStatus.RUNNING),
            ]
        )

    # --- handlers -------------------------------------------------------------------------------

    @workflow.update(name=names.ACCEPT, description="accepted or denied, once that is known")
    async def accepted(self, plan: RawValue | None = None) -> Any:
        """Wait for the verdict. With a plan, deny a body other than the running one's."""
        await workflow.wait_condition(lambda: self.state.status is not ExecutionStatus.PENDING)
        if plan is None or self._is_same(plan):
            return self.snapshot()
        return self.SNAPSHOT.model_validate(
            {
                "execution_id": self.execution_id,
                "status": ExecutionStatus.DENIED,
                "code": DenialCode.IDEMPOTENCY_CONFLICT,
                "error": "another plan runs under this id",
            }
        )

    @workflow.query(name=names.PROGRESS, description="the execution now")
    def progress(self) -> Any:
        """The execution now."""
        return self.snapshot()

    @workflow.signal(name=names.CANCEL, description="cancel the execution; any input or none")
    def cancel_by_signal(self, request: RawValue | None = None) -> None:
        """Ask for a cancel; what was sent with it never makes it fail."""
        self._request_cancel(request)

    @workflow.update(name=names.CANCEL, description="cancel; answers after at most 5 s")
    async def cancel(self, request: RawValue | None = None) -> Any:
        """Ask for a cancel and wait a little for the final state; else status `cancelling`."""
        self._request_cancel(request)
        is_answered = await comes_true(
            lambda: self._is_stored or self._hands_over,
            _CANCEL_ANSWER_WITHIN,
            formerly=lambda: self.state.status.is_terminal or self._hands_over,
        )
        if is_answered:
            return self.snapshot()
        return self.snapshot().model_copy(update={"status": ExecutionStatus.CANCELLING})

    @workflow.update(name=names.RESOLVE, description="an operator's verdict on an unknown leg")
    async def resolve(self, request: RawValue | None = None) -> Any:
        """Store the verdict; the leg follows it within half a minute."""
        await take_verdict(data_of(request), self._child_of)
        return self.snapshot()

    @resolve.validator
    def check_resolve(self, request: RawValue | None = None) -> None:
        """Refuse a verdict on what is not unknown."""
        raise_if(check_verdict(parse_resolve(data_of(request)), self._child_of))

    def _child_of(self, asked: ResolveRequest) -> ChildState | None:
        """The only child of the leg order that was named, while the leg is worked."""
        for leg in self._legs.values():
            if leg.record.order_id == asked.order_id:
                return leg.record.child
        return None

    @workflow.signal(name=names.EXECUTION_REPORT, description="from the account feed")
    def execution_report(self, report: RawValue | None = None) -> None:
        """A hint of the account feed about a leg; an unreadable one is ignored."""
        known = read_report(report)
        if known is None:
            workflow.logger.warning("an execution report could not be read")
            return
        for leg in self._legs.values():
            leg.on_report(known)
        self.show()

    def _request_cancel(self, request: RawValue | None) -> None:
        if self.state.cancelled_because is None and not self.state.status.is_terminal:
            reason = cancel_reason(request.payload.data if request else None)
            self.change(cancelled_because=reason)
            self._show_cancelling()

    def _show_cancelling(self) -> None:
        if self.state.status is ExecutionStatus.RUNNING:
            self.become(ExecutionStatus.CANCELLING)

    def _is_same(self, raw: RawValue) -> bool:
        asked, running = parse_plan(raw.payload.data, self.PLAN), self.running_plan()
        if running is None or isinstance(asked, Denied):
            return running is None and isinstance(asked, Denied)
        return asked.body_hash() == running.body_hash()

    def running_plan(self) -> PlanT | None:
        """The plan that runs, None when there was none to read."""
        if self._is_continued:
            return self.state.plan  # type: ignore[return-value]  # each kind's own state has its own plan
        parsed = self.parsed()
        return None if isinstance(parsed, Denied) else parsed

    def _carried(self, raw: RawValue | None) -> StateT | None:
        if raw is None:
            return None
        try:
            read: object = workflow.payload_converter().from_payload(raw.payload, self.STATE)
        except ApplicationError:
            return None
        return read if isinstance(read, self.STATE) and read.terms is not None else None
