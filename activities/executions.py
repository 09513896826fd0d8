"""The executions' port: short, idempotent local activities on our database.

Opening an execution glances at its venues meanwhile: the one thing here that asks a venue, and
only reads.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace

from temporalio import activity

from activities.accounts import unknown_account
from activities.ledger.execution_store import ExecutionStore
from activities.ledger.results import LedgerError, StoredExecution
from activities.ledger_activities import broken_protocol
from activities.views import VenueViews
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionKind
from workflows.ports import (
    AcceptLegs,
    EngineTerms,
    ExecutionsPort,
    LegsVerdict,
    OpenedExecution,
    OpenExecution,
    OpenExecutionKind,
    RaiseAlarm,
    SavedExecution,
    SaveExecution,
    VenueView,
)

_PAIR_FIELDS = ("buy_exchange", "sell_exchange")


class ExecutionActivities(ExecutionsPort):
    """`accounts` are the configured (venue, account) pairs; an execution elsewhere is denied."""

    def __init__(
        self,
        store: ExecutionStore,
        terms: EngineTerms,
        views: VenueViews,
        accounts: Collection[tuple[str, str]],
    ) -> None:
        self._store = store
        self._terms = terms
        self._views = views
        self._accounts = accounts

    @activity.defn(name="open_execution")
    async def open_execution(self, execution: OpenExecution) -> OpenedExecution:
        """See ExecutionsPort."""
        for place, venue in enumerate(execution.venues):
            denied = unknown_account(self._accounts, venue, execution.account)
            if denied is not None:
                return self._denied(_in_plan(denied, execution.kind, place))
        glance = asyncio.ensure_future(self._views.glance(execution.views))
        try:
            opened = await self._store.open_execution(execution)
            return self._opened(opened, await glance or ())
        finally:
            glance.cancel()

    def _opened(self, opened: StoredExecution, views: tuple[VenueView, ...]) -> OpenedExecution:
        if opened.kind is OpenExecutionKind.DENIED:
            return self._denied(Denied(code=DenialCode.IDEMPOTENCY_CONFLICT, detail=opened.detail))
        return OpenedExecution(
            kind=opened.kind,
            terms=self._terms,
            stored=opened.stored,
            views=views if opened.kind is OpenExecutionKind.NEW else (),
            legs=opened.legs,
            epoch=opened.epoch,
        )

    def _denied(self, denied: Denied) -> OpenedExecution:
        return OpenedExecution(kind=OpenExecutionKind.DENIED, terms=self._terms, denied=denied)

    @activity.defn(name="accept_legs")
    async def accept_legs(self, request: AcceptLegs) -> LegsVerdict:
        """See ExecutionsPort."""
        try:
            return await self._store.accept_legs(request)
        except LedgerError as error:
            raise broken_protocol(error) from error

    @activity.defn(name="save_execution")
    async def save_execution(self, request: SaveExecution) -> SavedExecution:
        """See ExecutionsPort."""
        return SavedExecution(stored=await self._store.save_execution(request))

    @activity.defn(name="raise_alarm")
    async def raise_alarm(self, alarm: RaiseAlarm) -> None:
        """See ExecutionsPort."""
        await self._store.raise_alarm(alarm.code, alarm.object, alarm.detail)


def _in_plan(denied: Denied, kind: ExecutionKind, place: int) -> Denied:
    """An unknown venue under the name of the plan's own field."""
    if denied.field != "exchange":
        return denied
    is_pair = kind is ExecutionKind.ARBITRAGE
    return replace(denied, field=_PAIR_FIELDS[place] if is_pair else "exchanges")
