"""The sweep of the kill switch against venues that lag, lose, refuse and forget."""

import asyncio
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from activities.ledger.results import StoredChild
from activities.ledger.state_store import SweepFacts, Unanswered
from activities.reads import ProofWindow
from activities.venues.gateway import OrderAbsentError, VenueOrder, VenueUnavailableError
from workers.sweep import AT_ONCE, Case, Sweep, SweepGateway
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, VenueStatus
from workflows.domain.scopes import Scope, ScopeKind

SYMBOL = "BTC/USDT"
GLOBAL = Scope(kind=ScopeKind.GLOBAL)
STRATEGY = Scope(kind=ScopeKind.STRATEGY, strategy_id="s1")
WINDOW = ProofWindow(validity_ms=500, read_lag_ms=1000)
SIGNED_AT_MS = 10_000
PROOF_MS = WINDOW.proof_time_ms("binance", SIGNED_AT_MS)
SHORT, LONG = Decimal("0.3"), Decimal(10)


def intent(name: str, venue: str = "binance", **changes: object) -> ChildIntent:
    fields: dict[str, object] = {
        "client_order_id": client_order_id(name, 0),
        "order_id": name,
        "child_index": 0,
        "strategy_id": "s1",
        "account": "main",
        "venue": venue,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "child_type": ChildType.LIMIT,
        "quantity": Decimal(1),
        "price": Decimal(50_000),
    }
    return ChildIntent(**{**fields, **changes})  # type: ignore[arg-type] # checked when it runs


@dataclass
class FakeVenue:
    """An account whose open orders are `open`, by the venue's id; `arriving` come later."""

    venue: str = "binance"
    account: str = "main"
    now_ms: int = PROOF_MS + 1
    open: dict[str, str] = field(default_factory=dict)
    ended: dict[str, ExecutionReport] = field(default_factory=dict)
    executed: dict[str, Decimal] = field(default_factory=dict)
    ignores_cancels: int = 0
    fails: dict[str, int] = field(default_factory=dict)
    """How often a call fails before it works, by its name."""
    cancels: list[str] = field(default_factory=list)
    finds: int = 0
    appears_at_find: int = 0
    under_way: int = 0
    most_at_once: int = 0

    def rest(self, name: str) -> str:
        """An order of ours that rests; its id at the venue."""
        venue_order_id = f"v-{name}"
        self.open[venue_order_id] = client_order_id(name, 0)
        return venue_order_id

    def report(self, venue_order_id: str) -> ExecutionReport:
        if venue_order_id in self.ended:
            return self.ended[venue_order_id]
        if venue_order_id not in self.open:
            raise OrderAbsentError("unknown order")
        return ExecutionReport(
            client_order_id=self.open[venue_order_id],
            venue_order_id=venue_order_id,
            status=VenueStatus.OPEN,
            executed_quantity=Decimal(0),
            venue_time_ms=self.now_ms,
        )

    def _may_fail(self, call: str) -> None:
        if self.fails.get(call, 0) > 0:
            self.fails[call] -= 1
            raise VenueUnavailableError(f"{call} failed")

    async def venue_time_ms(self) -> int:
        return self.now_ms

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> ExecutionReport:
        self._may_fail("find")
        self.finds += 1
        if self.finds > self.appears_at_find:
            for venue_order_id, ours in self.open.items():
                if ours == client_order_id:
                    return self.report(venue_order_id)
        self.now_ms += 200
        raise OrderAbsentError("not found")

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder:
        self._may_fail("read_order")
        report = self.report(venue_order_id)
        return VenueOrder(
            symbol=symbol, side=Side.BUY, quantity=Decimal(1), price=None, report=report
        )

    async def cancel(self, symbol: str, venue_order_id: str) -> None:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(0)
            self._may_fail("cancel")
            self.cancels.append(venue_order_id)
            if self.ignores_cancels > 0:
                self.ignores_cancels -= 1
                return
            ours = self.open.pop(venue_order_id, None)
            if ours is None:
                raise OrderAbsentError("unknown order")
            self.ended[venue_order_id] = ExecutionReport(
                client_order_id=ours,
                venue_order_id=venue_order_id,
                status=VenueStatus.CANCELLED,
                executed_quantity=self.executed.get(venue_order_id, Decimal(0)),
                venue_time_ms=self.now_ms,
            )
        finally:
            self.under_way -= 1

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        self._may_fail("open_orders")
        return [
            VenueOrder(
                symbol=symbol,
                side=Side.BUY,
                quantity=Decimal(1),
                price=None,
                report=self.report(each),
            )
            for each in self.open
        ]


def known(name: str, **changes: object) -> StoredChild:
    """A child that the ledger knows to rest."""
    child = intent(name, **changes)  # type: ignore[arg-type] # as above
    status = ChildStatus.WORKING
    return StoredChild(intent=child, status=status, venue_order_id=f"v-{name}")


def sent(name: str, **changes: object) -> Unanswered:
    child = intent(name, **changes)  # type: ignore[arg-type] # as above
    stored = StoredChild(intent=child, status=ChildStatus.SENDING)
    return Unanswered(child=stored, signed_at_ms=SIGNED_AT_MS)


async def swept(
    *venues: FakeVenue,
    open: Sequence[StoredChild] = (),
    unanswered: Sequence[Unanswered] = (),
    scope: Scope = GLOBAL,
    within_s: Decimal = LONG,
) -> Sweep:
    async def read_facts() -> SweepFacts | None:
        return SweepFacts(open=tuple(open), unanswered=tuple(unanswered))

    gateways = {(venue.venue, venue.account): venue for venue in venues}
    sweep = Sweep(
        scope=scope, gateways=gateways, symbols=(SYMBOL,), window=WINDOW, read_facts=read_facts
    )
    await sweep.run(within_s)
    return sweep


def outcomes(cases: Sequence[Case]) -> dict[str, str]:
    return {each.intent.order_id if each.intent else "?": each.outcome for each in cases}


def test_a_sweep_has_no_way_to_submit() -> None:
    called = {name for name, _ in inspect.getmembers(SweepGateway, inspect.isfunction)}
    called -= {name for name in called if name.startswith("_")}
    assert called == {"venue_time_ms", "find", "read_order", "cancel", "open_orders"}


async def test_what_is_told_of_an_order_is_what_the_venue_says_after_the_cancel() -> None:
    venue = FakeVenue(executed={"v-a": Decimal("0.25")})
    venue.rest("a")
    sweep = await swept(venue, open=[known("a")])
    assert sweep.is_complete
    (case,) = sweep.all_cases()
    assert case.report is not None
    assert (case.outcome, case.report.executed_quantity) == ("cancelled", Decimal("0.25"))
    assert venue.cancels == ["v-a"]


async def test_a_cancel_that_the_venue_swallowed_is_sent_again_until_the_order_is_gone() -> None:
    venue = FakeVenue(ignores_cancels=1, fails={"cancel": 1, "read_order": 1})
    venue.rest("a")
    sweep = await swept(venue, open=[known("a")])
    assert sweep.is_complete
    assert venue.cancels == ["v-a", "v-a"]


async def test_an_order_that_only_the_venue_knows_is_taken_off_too() -> None:
    venue = FakeVenue(fails={"open_orders": 1})
    venue.rest("forgotten")
    sweep = await swept(venue)
    assert sweep.is_complete
    assert outcomes(sweep.all_cases()) == {"?": "cancelled"}
    assert not venue.open


async def test_a_strategy_is_stopped_without_touching_the_orders_of_others() -> None:
    venue = FakeVenue()
    venue.rest("a")
    venue.rest("of another strategy")
    sweep = await swept(venue, open=[known("a")], scope=STRATEGY)
    assert sweep.is_complete
    assert venue.cancels == ["v-a"]


async def test_an_order_that_arrives_while_it_is_looked_for_is_cancelled() -> None:
    venue = FakeVenue(now_ms=SIGNED_AT_MS, appears_at_find=2)
    venue.rest("late")
    sweep = await swept(venue, unanswered=[sent("late")], scope=STRATEGY)
    assert sweep.is_complete
    assert outcomes(sweep.all_cases()) == {"late": "cancelled"}


async def test_absence_is_proven_only_by_a_look_after_proof_time() -> None:
    venue = FakeVenue(now_ms=PROOF_MS - 500)
    sweep = await swept(venue, unanswered=[sent("lost")], scope=STRATEGY)
    assert sweep.is_complete
    assert outcomes(sweep.all_cases()) == {"lost": "absent"}
    assert venue.finds == 4  # 500, 300 and 100 ms before it nothing was proven


async def test_what_is_not_proven_in_its_time_is_told_with_its_id() -> None:
    early = FakeVenue(now_ms=SIGNED_AT_MS - 1_000_000)
    sweep = await swept(early, unanswered=[sent("lost")], scope=STRATEGY, within_s=SHORT)
    assert not sweep.is_complete
    (case,) = sweep.unproven()
    assert case.client_order_id == client_order_id("lost", 0)
    assert case.trouble == "not found; it may still arrive"


async def test_a_market_order_without_a_documented_end_is_never_told_to_be_absent() -> None:
    venue = FakeVenue(venue="kucoin", now_ms=10**12)
    lost = sent("lost", venue="kucoin", child_type=ChildType.MARKET, price=None)
    sweep = await swept(venue, unanswered=[lost], scope=STRATEGY, within_s=SHORT)
    assert outcomes(sweep.unproven()) == {"lost": "unproven"}


async def test_a_venue_that_does_not_answer_costs_the_others_nothing() -> None:
    away = FakeVenue(venue="okx", fails={"cancel": 10**6, "open_orders": 10**6})
    here = FakeVenue()
    away.rest("away")
    here.rest("here")
    children = [known("here"), known("away", venue="okx")]
    sweep = await swept(away, here, open=children, within_s=SHORT)
    assert here.cancels == ["v-here"]
    assert outcomes(sweep.all_cases()) == {"here": "cancelled", "away": "unproven"}
    assert sweep.unreachable == {"okx/main/BTC/USDT": "open_orders failed"}


async def test_an_account_without_credentials_is_told_as_unproven() -> None:
    sweep = await swept(FakeVenue(), open=[known("a", account="gone")], within_s=SHORT)
    (case,) = sweep.unproven()
    assert case.trouble == "account gone is not configured at binance"


async def test_a_ledger_that_went_away_after_the_halt_is_told_and_the_venue_is_swept() -> None:
    venue = FakeVenue()
    venue.rest("a")

    async def nothing() -> None:
        return None

    sweep = Sweep(
        scope=GLOBAL,
        gateways={("binance", "main"): venue},
        symbols=(SYMBOL,),
        window=WINDOW,
        read_facts=nothing,
    )
    await sweep.run(SHORT)
    assert not venue.open
    assert not sweep.is_complete
    assert sweep.unreachable == {"ledger": "does not answer"}


async def test_many_cancels_leave_side_by_side_but_not_all_at_once() -> None:
    venue, names = FakeVenue(), [f"o{number}" for number in range(3 * AT_ONCE)]
    for name in names:
        venue.rest(name)
    sweep = await swept(venue, open=[known(name) for name in names])
    assert sweep.is_complete
    assert sorted(venue.cancels) == sorted(f"v-{name}" for name in names)
    assert venue.most_at_once == AT_ONCE


async def test_the_venues_own_throttle_is_kept() -> None:
    venue = FakeVenue()
    for number in range(5):
        venue.rest(f"o{number}")

    async def read_facts() -> SweepFacts | None:
        children = tuple(known(f"o{number}") for number in range(5))
        return SweepFacts(open=children, unanswered=())

    sweep = Sweep(
        scope=STRATEGY,
        gateways={("binance", "main"): venue},
        symbols=(),
        window=WINDOW,
        read_facts=read_facts,
        rates={("binance", "main"): Decimal(20)},
    )
    began = time.monotonic()
    await sweep.run(LONG)
    assert sweep.is_complete
    assert time.monotonic() - began >= 9 * 0.05  # five cancels and five reads, one each 50 ms


@pytest.mark.parametrize("status", [VenueStatus.FILLED, VenueStatus.EXPIRED])
async def test_an_order_that_ended_before_its_cancel_is_told_as_the_venue_tells_it(
    status: VenueStatus,
) -> None:
    venue = FakeVenue()
    venue.ended["v-a"] = ExecutionReport(
        client_order_id=client_order_id("a", 0),
        venue_order_id="v-a",
        status=status,
        executed_quantity=Decimal(1),
        venue_time_ms=1,
    )
    sweep = await swept(venue, open=[known("a")])
    assert sweep.is_complete
    assert outcomes(sweep.all_cases()) == {"a": status.value}
