"""The fake world's control: kill switch, verdicts, lost orders; and the terms it works by."""

from dataclasses import dataclass, field
from decimal import Decimal

from temporalio import activity

from workflows.domain.denials import Denied
from workflows.domain.instruments import Instrument
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

INSTRUMENT = Instrument(
    venue="binance",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=None,
    min_notional=Decimal(5),
    is_trading=True,
)
TERMS = EngineTerms(
    suspends=True,
    accept_timeout_s=Decimal(10),
    order_timeout_s=Decimal(30),
    twap_slices=10,
    twap_interval_s=Decimal(60),
    schedule_to_start_s=Decimal(1),
    submit_timeout_s=Decimal(8),
    glances=True,
    tells_waiting=True,
    reads_aside=True,
)


@dataclass
class FakeControl(ControlPort):
    """What happened is in the lists; what shall happen is in the other fields."""

    switch: Denied | None = None
    """What the kill switch denies new orders with."""
    verdicts: list[RecordVerdict] = field(default_factory=list)
    left: TakenOver | None = None
    """What a lost order left."""
    ended: list[LostOrder] = field(default_factory=list)

    @activity.defn(name="read_switch")
    async def read_switch(self, request: ReadSwitch) -> SwitchView:
        return SwitchView(denied=self.switch)

    @activity.defn(name="record_verdict")
    async def record_verdict(self, request: RecordVerdict) -> RecordedVerdict:
        if request not in self.verdicts:  # the same one again is the one that is stored
            self.verdicts.append(request)
        decided_s = self.verdicts.index(request)
        return RecordedVerdict(at=f"2030-01-31T12:00:{decided_s:02}Z")

    @activity.defn(name="take_over")
    async def take_over(self, order: LostOrder) -> TakenOver:
        return self.left or TakenOver(terms=TERMS, epoch="e1")

    @activity.defn(name="end_lost")
    async def end_lost(self, order: LostOrder) -> None:
        self.ended.append(order)
