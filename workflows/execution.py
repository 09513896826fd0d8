"""What every execution of several orders does: register, work legs, end in one named state.

The counterpart of `parent_order` for workflows whose orders go to more than one place. State and
handlers are in `execution_face`; here are the run and the legs that are being worked. An execution
implements `admit` and `trade`, and calls `end`.

A subclass is a workflow definition: it sets the class attributes, defines `__init__` with
`workflow.init` and `run` with a default argument, and lets `run` return `await
self.run_execution()`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import names, ports
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.execution_face import ExecutionFace, PlanT, SnapshotT, StateT
from workflows.leg_order import LegOrder, LegRecord, accept_leg, snapshot_of_leg
from workflows.shielded import let_handlers_finish, run_to_its_end

HISTORY_EVENTS_PER_RUN = 1_000


class Execution(ExecutionFace[PlanT, StateT, SnapshotT], ABC):
    """Base of the execution workflows; see the module's docstring."""

    _legs_told = 0

    # --- what an execution adds -----------------------------------------------------------------

    @abstractmethod
    async def admit(self) -> None:
        """Register and accept the plan, or deny it; leaves the state RUNNING or terminal."""

    @abstractmethod
    async def trade(self) -> None:
        """Work from `self.state` until `end` was called, or until `hand_over` was."""

    # --- the run --------------------------------------------------------------------------------

    async def run_execution(self) -> SnapshotT:
        """Run to the end; a cancel of the workflow becomes a cancel of the execution."""
        protocol = await run_to_its_end(self._protocol(), self._heed_cancel)
        try:
            protocol.result()
        except FailureError as error:
            # the ledger keeps it open: it will be adopted, and what it left will be settled
            await self.alarm(AlarmCode.EXECUTION_BROKEN, str(error))
            raise
        self._is_stored = True
        await let_handlers_finish(self._heed_cancel)
        if self._hands_over:
            workflow.continue_as_new(self.state)
        return self.snapshot()

    def _heed_cancel(self) -> None:
        """Temporal's own cancel, kept in the state: the run after this one would not know of it."""
        if self.state.cancelled_because is None and not self.state.status.is_terminal:
            self.change(cancelled_because=workflow.cancellation_reason() or "user_request")
        self._show_cancelling()

    async def _protocol(self) -> None:
        if not self._is_continued:
            await self.admit()
        if not self.state.status.is_terminal:
            self.show()
            await self.trade()

    # --- state ----------------------------------------------------------------------------------

    def should_hand_over(self) -> bool:
        """True when this run's history is long enough for a new one; a cancel is carried along."""
        return workflow.info().get_current_history_length() > HISTORY_EVENTS_PER_RUN

    def hand_over(self) -> None:
        """End this run after the handlers; the next one continues from the state.

        Only while no leg is live.
        """
        self.put_legs_away()
        assert not self._legs, "a live leg cannot be handed over"
        self._hands_over = True

    # --- legs -----------------------------------------------------------------------------------

    def leg(self, name: str) -> LegOrder:
        """A leg that is being worked."""
        return self._legs[name]

    async def accept(self, *records: LegRecord, locks: tuple[str, ...] = ()) -> ports.LegsVerdict:
        """Register and reserve the legs in the ledger, all or none; worked from `take_up` on."""
        return await ports.accept_legs(
            ports.AcceptLegs(
                execution_id=self.execution_id,
                legs=tuple(accept_leg(record) for record in records),
                locks=locks,
            )
        )

    def take_up(self, record: LegRecord) -> LegOrder:
        """Keep a leg as one that is being worked; `start` it now or later."""
        self._legs[record.leg] = leg = LegOrder(record, self.terms)
        return leg

    def live_legs(self) -> list[LegOrder]:
        """The legs that are in the workflow, over or not, oldest first."""
        return list(self._legs.values())

    def check_legs(self) -> None:
        """Raise what broke the protocol of a leg."""
        for leg in self._legs.values():
            leg.check()

    async def legs_over(self, legs: Iterable[LegOrder]) -> None:
        """Wait until nothing of these can execute any more."""
        waited = list(legs)
        await workflow.wait_condition(lambda: _are_over_or_broken(waited))
        self.check_legs()

    async def legs_settled(self, within: timedelta | None = None) -> bool:
        """Wait until every executed unit of every leg has its fill; False when time was up.

        A leg that is held back has nothing to wait for.
        """
        legs = [leg for leg in self._legs.values() if leg.record.is_started]
        for leg in legs:
            leg.settle()
        try:
            await workflow.wait_condition(
                lambda: all(leg.is_settled for leg in legs) or _is_any_broken(legs),
                timeout=within,
                timeout_summary="fills that are missing",
            )
        except TimeoutError:
            return False
        self.check_legs()
        return True

    def put_legs_away(self) -> None:
        """Settled legs become part of the state."""
        settled: tuple[LegRecord, ...] = tuple(
            leg.record for leg in self._legs.values() if leg.is_settled
        )
        self._legs = {name: leg for name, leg in self._legs.items() if not leg.is_settled}
        self.change(legs=(*self.state.legs, *settled))

    # --- the end --------------------------------------------------------------------------------

    def deny(self, denied: Denied) -> None:
        """The plan is refused; nothing was sent."""
        self.change(code=denied.code, field=denied.field, error=denied.detail)
        self._finish(ExecutionStatus.DENIED)

    async def end(self, status: ExecutionStatus, error: str = "") -> None:
        """The final state, stored in the ledger before the workflow ends; locks are released."""
        self.change(error=error or self.state.error)
        self._finish(status)
        await self.save()

    def _finish(self, status: ExecutionStatus) -> None:
        self.change(completed_at=workflow.now())
        self.become(status)

    async def save(self) -> None:
        """Store it. An end that is stored already stays, and becomes ours when we end too.

        Until then the run goes on: what it would send is denied by a ledger that holds the end.
        """
        saved = await ports.save_execution(
            ports.SaveExecution(
                execution_id=self.execution_id,
                status=self.state.status,
                snapshot=self.snapshot().model_dump_json(exclude_none=True),
                legs=tuple(snapshot_of_leg(record) for record in self.records if record.is_over),
            )
        )
        if not self.state.status.is_terminal:
            return
        if saved.stored is not None:
            self.take_stored(saved.stored)
        workflow.upsert_search_attributes([names.ORDER_STATUS.value_set(self.state.status)])

    async def save_legs(self) -> None:
        """Tell the ledger the ends of legs, if there are new ones, while the execution goes on."""
        over = sum(record.is_over for record in self.records)
        if over > self._legs_told:
            self._legs_told = over
            await self.save()

    async def alarm(self, code: AlarmCode, detail: str) -> None:
        """Tell a human of this execution."""
        await ports.raise_alarm(
            ports.RaiseAlarm(code=code, object=self.execution_id, detail=detail)
        )

    # --- acceptance -----------------------------------------------------------------------------

    async def register(
        self,
        plan: PlanT,
        strategy_id: str,
        venues: tuple[str, ...],
        views: tuple[ports.ViewRequest, ...],
    ) -> ports.OpenedExecution:
        """Register the plan under its id; takes over terms, a stored end, or a denial."""
        info = workflow.info()
        opened = await ports.open_execution(
            ports.OpenExecution(
                execution_id=info.workflow_id,
                run_chain=info.first_execution_run_id,
                kind=self.KIND,
                strategy_id=strategy_id,
                account=plan.account,
                venues=venues,
                body_hash=plan.body_hash(),
                plan=plan.model_dump_json(exclude_none=True),
                views=views,
            )
        )
        self.change(terms=opened.terms)
        if opened.stored is not None:
            self.take_stored(opened.stored)
        elif opened.denied is not None:
            self.deny(opened.denied)
        return opened


def late(terms: ports.EngineTerms) -> Denied:
    """The denial of what could not be accepted in time."""
    return Denied(
        code=DenialCode.NOT_ACCEPTED_IN_TIME,
        detail=f"accept_timeout_s={terms.accept_timeout_s:f}",
    )


async def read_views(
    requests: tuple[ports.ViewRequest, ...], within: timedelta
) -> tuple[ports.VenueView, ...] | None:
    """Views of one moment, or with patience of nearly one; None when the time was up."""
    try:
        return await ports.glance_at_views(ports.ViewsRequest(views=requests))
    except FailureError:
        pass
    if within <= timedelta(0):
        return None
    try:
        return tuple(
            await asyncio.gather(*(ports.read_view(each, within=within) for each in requests))
        )
    except FailureError:
        return None


async def read_what_is_told(
    requests: tuple[ports.ViewRequest, ...], within: timedelta
) -> tuple[ports.VenueView, ...]:
    """As `read_views`, but a venue that does not tell in time is a view without a market."""
    try:
        return await ports.glance_at_views(ports.ViewsRequest(views=requests))
    except FailureError:
        return tuple(await asyncio.gather(*(_read_if_told(each, within) for each in requests)))


async def _read_if_told(request: ports.ViewRequest, within: timedelta) -> ports.VenueView:
    try:
        return await ports.read_view(request, within=within)
    except FailureError:
        return ports.VenueView(
            venue=request.venue, account=request.account, symbol=request.symbol, instrument=None
        )


def _is_any_broken(legs: Iterable[LegOrder]) -> bool:
    return any(leg.is_broken for leg in legs)


def _are_over_or_broken(legs: Iterable[LegOrder]) -> bool:
    return all(leg.record.is_over for leg in legs) or _is_any_broken(legs)
