"""One order, its workers, its ledger and its venue on one virtual clock, and the faults.

The order protocol and the activities are the real ones. What they take from Temporal and from
the machine (the workflow's commands, `activity.info()`, clocks) comes from here while a world is
installed. After each fault everything that can happen at that moment happens.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import activity, workflow

from activities import orders
from activities.ledger.lost_store import LostStore
from activities.ledger.store import LedgerStore
from activities.ledger_activities import LedgerActivities
from activities.markets import Markets
from activities.orders import VenueActivities
from activities.reads import ProofWindow, VenueDataActivities
from activities.venues.gateway import VenueGateway
from tests.stateful import commands
from tests.stateful.host import EPOCH, Host
from tests.stateful.ledger import MemoryLedger
from tests.stateful.model import Model
from tests.stateful.runs import START_MS, Scheduler, settled
from tests.stateful.venue import PRICE, READ_LAG_MS, WINDOW_MS, FakeGateway, Venue
from tests.workflows.fakes import INSTRUMENT, TERMS
from workflows import waiting
from workflows.child_state import ChildState, Priced
from workflows.domain.orders import ChildIntent, ChildType, client_order_id
from workflows.domain.reports import ChildReport

_DRAIN_STEPS = 400
_CANCEL_AFTER_STEPS = 60
_STEP_LIMIT_MS = 30_000


class NoVerdicts:
    """No operator decides anything."""

    async def verdict_on(self, client_order_id: str, attempt: int) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Info:
    """What the activities ask of `activity.info()`."""

    attempt: int
    scheduled_time: datetime
    started_time: datetime


class World:
    """See the module's docstring."""

    def __init__(
        self, intent: ChildIntent, expires_in_ms: int | None, *, reserves_first: bool = False
    ) -> None:
        self.model = Model(quantity=intent.quantity)
        self.scheduler = Scheduler()
        self.ledger = MemoryLedger(self.scheduler, self.model)
        self.venue = Venue(self.scheduler, self.model)
        self.reports: list[ChildReport] = []
        self.price = PRICE
        self.has_market = True
        begins = EPOCH + timedelta(milliseconds=START_MS)
        self.host = Host(
            self.scheduler,
            self.model,
            self._activities(),
            ChildState(intent=intent, reference_price=PRICE, priced_at=begins),
            TERMS,
            None if expires_in_ms is None else begins + timedelta(milliseconds=expires_in_ms),
            reserves_first=reserves_first,
        )
        self.scheduler.on_lost_worker = self.host.lose_worker
        self._deadline_ms = None if expires_in_ms is None else START_MS + expires_in_ms

    def _activities(self) -> dict[str, Any]:
        model, scheduler = self.model, self.scheduler
        gateway = FakeGateway(scheduler, self.venue, model, self.ledger.claimed_at_ms)
        gateways = {("binance", "main"): cast(VenueGateway, gateway)}
        store = cast(LedgerStore, self.ledger)
        window = ProofWindow(validity_ms=WINDOW_MS, read_lag_ms=READ_LAG_MS)
        venue = VenueActivities(gateways, store)
        markets = Markets(gateways)
        data = VenueDataActivities(gateways, store, cast(LostStore, NoVerdicts()), window, markets)
        ledger = LedgerActivities(store, TERMS, markets, [("binance", "main")])
        return {
            "submit": venue.submit,
            "cancel_child": venue.cancel_child,
            "resolve": data.resolve,
            "read_child": data.read_child,
            "reserve": ledger.reserve,
            "give_up": ledger.give_up,
            "reprice": self._reprice,
        }

    async def _reprice(self, intent: ChildIntent) -> Priced | None:
        await self.scheduler.point("reprice")
        if not self.has_market:
            return None
        price = None if intent.price is None else self.price
        return Priced(intent=replace(intent, price=price), reference_price=self.price)

    # --- time -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """All that can happen now."""
        settled(self._step)
        if self.host.ended is not None:
            self.ledger.end_order()

    def _step(self) -> bool:
        if self._deadline_ms is not None and self.scheduler.now_ms >= self._deadline_ms:
            self.model.stopped = True
        moved = self.venue.step()
        moved = self.scheduler.step() or moved
        return self.host.step() or moved

    def due_ms(self) -> int | None:
        """When something happens next by itself; always in the future."""
        dues = (self.venue.due_ms(), self.scheduler.due_ms(), self.host.due_ms())
        now_ms = self.scheduler.now_ms
        return min((due for due in dues if due is not None and due > now_ms), default=None)

    def pass_time(self, ms: int) -> None:
        """Move the clock, from event to event."""
        self.settle()
        until_ms = self.scheduler.now_ms + ms
        while True:
            due_ms = self.due_ms()
            if due_ms is None or due_ms > until_ms:
                break
            self.scheduler.now_ms = due_ms
            self.settle()
        self.scheduler.now_ms = until_ms
        self.settle()

    # --- what people do -------------------------------------------------------------------------

    def stop(self) -> None:
        """Cancel the order."""
        self.model.stopped = True
        self.host.tell("cancel")

    def feed(self, lag_ms: int) -> None:
        """The account feed sees the order as it was a while ago, and books it."""
        if self.ledger.child is None:
            return
        for order in self.venue.orders:
            if order.past[0][0] <= self.scheduler.now_ms - lag_ms:
                booked = self.ledger.book(self.venue.report(order, lag_ms=lag_ms))
                self.reports.append(booked.report)

    def drain(self) -> None:
        """End all faults; the order must then end by itself, or when it is cancelled.

        What is frozen or held comes back last, when everything has been decided without it.
        """
        self._heal()
        for number in range(_DRAIN_STEPS):
            if self.host.ended is not None:
                break
            if number == _CANCEL_AFTER_STEPS:
                self.stop()
            due_ms = self.due_ms()
            wait_ms = _STEP_LIMIT_MS if due_ms is None else due_ms - self.scheduler.now_ms
            self.pass_time(min(wait_ms, _STEP_LIMIT_MS))
        self.model.require(self.host.ended is not None, "the order does not come to an end")
        self.scheduler.thaw()
        self.scheduler.release()
        self.settle()
        self.pass_time(2 * (WINDOW_MS + READ_LAG_MS))

    def _heal(self) -> None:
        self.scheduler.armed.clear()
        self.venue.fates.clear()
        self.venue.lag_ms = self.venue.fill_lag_ms = 0
        self.model.ready = self.has_market = self.host.has_workers = True
        self.settle()

    # --- in place of Temporal and the machine's clocks ------------------------------------------

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let the product's code see this world."""
        patch.setattr(workflow, "now", self.host.now)
        patch.setattr(workflow, "wait_condition", commands.condition)
        patch.setattr(workflow, "execute_activity_method", commands.remote)
        patch.setattr(workflow, "execute_local_activity_method", commands.local)
        patch.setattr(waiting, "asyncio", SimpleNamespace(create_task=self.host.ask_aside))
        patch.setattr(activity, "info", self._info)
        patch.setattr(orders, "time", _Time(self.scheduler))

    def _info(self) -> Info:
        run = self.scheduler.current
        assert run is not None
        return Info(
            attempt=run.number,
            scheduled_time=EPOCH + timedelta(milliseconds=run.scheduled_ms),
            started_time=EPOCH + timedelta(milliseconds=run.started_ms),
        )


@dataclass(frozen=True)
class _Time:
    scheduler: Scheduler

    def time_ns(self) -> int:
        return self.scheduler.worker_clock_ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self.scheduler.now_ms * 1_000_000


def intent_of(kind: ChildType, quantity: Decimal, **changes: Any) -> ChildIntent:
    """The child order of an example."""
    intent = ChildIntent(
        client_order_id=client_order_id("stateful", 0),
        order_id="stateful",
        child_index=0,
        strategy_id="s",
        account="main",
        venue="binance",
        symbol=INSTRUMENT.symbol,
        side=changes.pop("side"),
        child_type=kind,
        quantity=quantity,
        price=None if kind is ChildType.MARKET else PRICE,
    )
    return replace(intent, **changes)
