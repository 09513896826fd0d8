"""Lost streams, crashes and asked prices in any order: every trigger fires that was reached, once.

Rule: the truth is what each trigger does alone when it is shown every trade.
"""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.ledger.watch_rows import StoredWatch
from activities.price_recovery import fill_gaps
from activities.watch_table import Hit, WatchTable
from tests.unit.trigger_samples import START, prices, shown, triggers
from workflows.domain.prices import PublicTrade
from workflows.domain.triggers import Tick, TriggerSpec, TriggerState

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example
events = st.lists(
    st.tuples(st.just("trade"), prices)
    | st.sampled_from(["lose", "enter", "ask", "fill", "store", "crash"]).map(lambda e: (e, None)),
    max_size=60,
)
plain_triggers = triggers(confirm_n=1, confirm_ms=0)


@dataclass
class Story:
    """A market, a follower's memory, and what the ledger holds of it."""

    specs: dict[str, TriggerSpec]
    trades: list[PublicTrade] = field(default_factory=list)
    table: WatchTable = field(default_factory=WatchTable)
    stored: dict[str, TriggerState] = field(default_factory=dict)
    stored_ms: int = 0
    seen_ms: int = 0
    is_live: bool = False
    fired: dict[str, int] = field(default_factory=dict)

    async def public_trades(self, _symbol: str, since_ms: int) -> list[PublicTrade]:
        return [trade for trade in self.trades if trade.at_ms >= since_ms]

    def begin(self) -> None:
        """A new process, with what the ledger holds."""
        self.table, self.is_live = WatchTable(), False
        for name, spec in self.specs.items():
            if name not in self.fired:
                watch = StoredWatch(
                    watch_id=name,
                    order_id=name,
                    account="main",
                    spec=spec,
                    state=self.stored.get(name, START),
                    armed_at_ms=0,
                )
                self.table.add(watch, sure_ms=self.stored_ms)

    def note(self, hits: list[Hit]) -> None:
        for hit in hits:
            assert hit.watch_id not in self.fired
            self.fired[hit.watch_id] = len(self.trades)

    async def fill(self) -> None:
        gateway: Any = self
        found = await fill_gaps(
            self.table, gateway, "BTC/USDT", now_ms=len(self.trades), is_live=lambda: self.is_live
        )
        self.note(found.hits)
        self.seen_ms = max(self.seen_ms, found.until_ms)

    async def happen(self, event: str, price: Decimal | None) -> None:
        now_ms = len(self.trades)
        match event:
            case "trade" if price is not None:
                trade = PublicTrade(
                    trade_id=str(now_ms), price=price, quantity=Decimal(1), at_ms=now_ms
                )
                self.trades.append(trade)
                if self.is_live:
                    self.seen_ms = now_ms
                    self.note(self.table.take(Tick(at_ms=now_ms, last=price)))
            case "lose" if self.is_live:
                self.is_live = False
                self.table.open_gaps(self.seen_ms)
            case "enter":
                self.is_live, self.seen_ms = True, max(self.seen_ms, now_ms - 1)
            case "ask" if self.trades:
                self.note(self.table.take(Tick(at_ms=now_ms, last=self.trades[-1].price)))
            case "fill":
                await self.fill()
            case "store":
                snapshot = self.table.snapshot(self.seen_ms)
                if snapshot is not None:
                    self.stored |= snapshot[0]
                    self.stored_ms = max(self.stored_ms, snapshot[1])
                    self.table.stored(snapshot[0])
            case "crash":
                self.begin()


async def told(specs: dict[str, TriggerSpec], happened: list[tuple[str, Any]]) -> Story:
    story = Story(specs)
    story.begin()
    for event, price in happened:
        await story.happen(event, price)
    await story.happen("enter", None)
    await story.fill()
    return story


@UNDISTURBED
@given(st.lists(plain_triggers, min_size=1, max_size=4), events)
def test_a_trigger_fires_exactly_if_a_trade_reached_it_and_never_before(
    specs: list[TriggerSpec], happened: list[tuple[str, Any]]
) -> None:
    named = {str(number): spec for number, spec in enumerate(specs)}
    story = asyncio.run(told(named, happened))
    ticks = [Tick(at_ms=trade.at_ms, last=trade.price) for trade in story.trades]
    for name, spec in named.items():
        _, index, _ = shown(spec, ticks)
        assert (index is None) == (name not in story.fired)
        if index is not None:
            assert story.fired[name] > index
    assert not story.table.gaps
