"""What a parent order shows and hears, whatever its strategy: its state, its handlers.

The state is one model, `ParentState`; this is its only writer in a running workflow. Handlers
only look at it or set a flag in it: nothing here calls an activity. It must not know how an order
is run, accepted or ended.
"""

from abc import ABC
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from temporalio import workflow
from temporalio.common import RawValue

from workflows import names, ports
from workflows.acceptance import is_same_order
from workflows.child_order import ChildOrder
from workflows.child_state import ChildState, read_report
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus, move_parent
from workflows.domain.orders import OrderType
from workflows.domain.reports import ChildReport
from workflows.messages import OrderRequest, OrderSnapshot, cancel_reason
from workflows.order_details import details_of
from workflows.order_state import (
    ParentState,
    Progress,
    Totals,
    continued_state,
    snapshot_of,
    totals_of,
)
from workflows.waiting import comes_true

HISTORY_EVENTS_PER_RUN = 1_000
_CANCEL_ANSWER_WITHIN = timedelta(seconds=5)


class OrderFace(ABC):
    """The state of one order, and what callers and people see of it."""

    ORDER_TYPES: ClassVar[tuple[OrderType, ...]]
    """The types of order that the workflow type works."""

    def __init__(self, raw: RawValue | None) -> None:
        info = workflow.info()
        self._raw = raw
        # only Temporal sets this id, so a caller cannot pass a state off as an order
        carried = continued_state(raw) if info.continued_run_id is not None else None
        self._is_continued = carried is not None
        self.state = carried or ParentState(created_at=info.start_time)
        self._child: ChildOrder | None = None
        self._updated_at = info.start_time
        self._stored: OrderSnapshot | None = None
        self._hands_over = False
        self._is_stored = False
        """Its end is stored: what is told of it now stays."""

    def strategy_progress(self) -> Progress:
        """Where the strategy is, for those that have more to tell than their fills."""
        return Progress()

    # --- state ----------------------------------------------------------------------------------

    @property
    def request(self) -> OrderRequest:
        """What the caller asked for, amendments applied."""
        wanted = self.state.wanted
        assert wanted is not None, "an accepted order has its request"
        return wanted

    @property
    def order_id(self) -> str:
        """The workflow id: the caller's own id of the order."""
        return workflow.info().workflow_id

    @property
    def terms(self) -> ports.EngineTerms:
        """The settings that this order began with."""
        assert self.state.terms is not None, "an accepted order has its terms"
        return self.state.terms

    def is_cancelled(self) -> bool:
        """True once anybody asked for a cancel, by signal, update or Temporal itself."""
        return (
            self.state.cancelled_because is not None or workflow.cancellation_reason() is not None
        )

    @property
    def live(self) -> ChildState | None:
        """The child that is being worked, as its machine knows it."""
        return self._child.state if self._child else self.state.child

    @property
    def totals(self) -> Totals:
        """Sums over all children, the live one included."""
        return totals_of(self.state, self.live)

    def should_hand_over(self) -> bool:
        """True when this run's history is long enough for a new one. Never while cancelling."""
        return (
            not self.is_cancelled()
            and workflow.info().get_current_history_length() > HISTORY_EVENTS_PER_RUN
        )

    def hand_over(self) -> None:
        """End this run after the handlers; the next one continues from the state."""
        self._hands_over = True

    def become(self, status: OrderStatus, reason: str = "") -> None:
        """Move along the legal graph and show it."""
        self._change(status=move_parent(self.state.status, status), reason=reason)
        self._show()

    def become_live(self, status: OrderStatus, reason: str = "") -> None:
        """As `become`, for states that a cancel overtakes: once it was asked for, nothing moves."""
        before = self.state.status
        if self.is_cancelled():
            return
        self.become(status, reason)
        is_indexed = before is OrderStatus.ACCEPTED and status is OrderStatus.WORKING
        if status is not before and not is_indexed and self.terms.tells_waiting:
            workflow.upsert_search_attributes([names.ORDER_STATUS.value_set(status)])

    def _cancel_reason(self) -> str:
        return self.state.cancelled_because or workflow.cancellation_reason() or "user_request"

    def _deny(self, denied: Denied) -> None:
        self._change(
            status=move_parent(self.state.status, OrderStatus.DENIED),
            code=denied.code,
            field=denied.field,
            reason=denied.detail,
        )
        self._show()

    def _change(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # checked by tests
        self._updated_at = workflow.now()

    # --- what people and services see -----------------------------------------------------------

    def snapshot(self) -> OrderSnapshot:
        """The order now."""
        if self._stored is not None:
            return self._stored
        return snapshot_of(
            self.state,
            order_id=self.order_id,
            order_type=self._order_type(),
            live=self.live,
            progress=self.strategy_progress() if self.state.request else Progress(),
            updated_at=self._updated_at,
        )

    def _order_type(self) -> OrderType | None:
        if self.state.request is not None:
            return self.state.request.order_type
        return self.ORDER_TYPES[0] if len(self.ORDER_TYPES) == 1 else None

    def _index(self) -> None:
        request = self.request
        workflow.upsert_search_attributes(
            [
                names.STRATEGY_ID.value_set(request.strategy_id),
                names.EXCHANGE.value_set(request.exchange),
                names.SYMBOL.value_set(request.symbol),
                names.SIDE.value_set(request.side),
                names.ORDER_TYPE.value_set(request.order_type),
                names.ORDER_STATUS.value_set(OrderStatus.WORKING),
            ]
        )

    def _show(self) -> None:
        """Current details for Temporal's UI, in Markdown."""
        workflow.set_current_details(details_of(self.snapshot()))

    # --- handlers -------------------------------------------------------------------------------

    @workflow.update(name=names.ACCEPT, description="accepted or denied, once that is known")
    async def accept(self, order: RawValue | None = None) -> OrderSnapshot:
        """Wait for the verdict. With an order, deny a body other than the running one's."""
        await workflow.wait_condition(lambda: self.state.status is not OrderStatus.PENDING)
        if order is None or is_same_order(order, self.ORDER_TYPES, self.state.request):
            return self.snapshot()
        return OrderSnapshot(
            order_id=self.order_id,
            status=OrderStatus.DENIED,
            code=DenialCode.IDEMPOTENCY_CONFLICT,
            reason="another order runs under this id",
        )

    @workflow.query(name=names.PROGRESS, description="the order now")
    def progress(self) -> OrderSnapshot:
        """The order now."""
        return self.snapshot()

    @workflow.signal(name=names.CANCEL, description="cancel the order; any input or none")
    def cancel_by_signal(self, request: RawValue | None = None) -> None:
        """Ask for a cancel; what was sent with it never makes it fail."""
        self._request_cancel(request)

    @workflow.update(name=names.CANCEL, description="cancel; answers after at most 5 s")
    async def cancel(self, request: RawValue | None = None) -> OrderSnapshot:
        """Ask for a cancel and wait a little for the final state; else status `cancelling`."""
        self._request_cancel(request)
        is_answered = await comes_true(
            lambda: self._is_stored or self._hands_over,
            _CANCEL_ANSWER_WITHIN,
            formerly=lambda: self.state.status.is_terminal or self._hands_over,
        )
        if is_answered:
            return self.snapshot()
        return self.snapshot().model_copy(update={"status": OrderStatus.CANCELLING})

    @workflow.signal(name=names.EXECUTION_REPORT, description="from the account feed")
    def execution_report(self, report: RawValue | None = None) -> None:
        """A hint of the account feed about a child; an unreadable one is ignored."""
        known = read_report(report)
        if known is None:
            workflow.logger.warning("an execution report could not be read")
            return
        if self._child is not None:
            self._child.on_report(known)
            self._show()
        else:
            self._keep_for_later(known)

    def _keep_for_later(self, report: ChildReport) -> None:
        """A continued run may hear of its child before it works it."""
        child = self.state.child
        if child is None or child.intent.client_order_id != report.client_order_id:
            return
        if workflow.patched("early-reports"):
            known = child.report
            merged = report if known is None else known.merged(report)
            self._change(child=replace(child, report=merged))

    def _request_cancel(self, request: RawValue | None) -> None:
        if self.state.cancelled_because is None and not self.state.status.is_terminal:
            reason = cancel_reason(request.payload.data if request else None)
            self._change(cancelled_because=reason)
            self._show_cancelling()

    def _heed_cancel(self) -> None:
        """Temporal's own cancel, kept in the state: the run after this one would not know of it."""
        if self.state.cancelled_because is None and not self.state.status.is_terminal:
            self._change(cancelled_because=workflow.cancellation_reason() or "user_request")
        self._show_cancelling()

    def _show_cancelling(self) -> None:
        status = self.state.status
        if not status.is_terminal and status not in (OrderStatus.PENDING, OrderStatus.CANCELLING):
            self.become(OrderStatus.CANCELLING, self._cancel_reason())
