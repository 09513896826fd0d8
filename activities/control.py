"""The port of control: kill switch, operators' verdicts, and orders that were lost."""

from temporalio import activity

from activities.ledger.lost_store import LostStore
from workflows.domain.denials import Denied
from workflows.fields import utc_text
from workflows.ports import (
    ControlPort,
    EngineTerms,
    LostOrder,
    ReadSwitch,
    RecordedVerdict,
    RecordVerdict,
    SwitchView,
    TakenOver,
)


class ControlActivities(ControlPort):
    """Steps on the ledger; `terms` are those that adopted children are worked with."""

    def __init__(self, store: LostStore, terms: EngineTerms) -> None:
        self._store = store
        self._terms = terms

    @activity.defn(name="read_switch")
    async def read_switch(self, request: ReadSwitch) -> SwitchView:
        """See ControlPort."""
        return SwitchView(denied=await self._store.read_switch(request))

    @activity.defn(name="record_verdict")
    async def record_verdict(self, request: RecordVerdict) -> RecordedVerdict:
        """See ControlPort."""
        recorded = await self._store.record_verdict(request)
        if isinstance(recorded, Denied):
            return RecordedVerdict(denied=recorded)
        return RecordedVerdict(at=utc_text(recorded))

    @activity.defn(name="take_over")
    async def take_over(self, order: LostOrder) -> TakenOver:
        """See ControlPort."""
        epoch, request, children = await self._store.take_over(order)
        return TakenOver(terms=self._terms, epoch=epoch, request=request, children=children)

    @activity.defn(name="end_lost")
    async def end_lost(self, order: LostOrder) -> None:
        """See ControlPort."""
        await self._store.end_lost(order)
