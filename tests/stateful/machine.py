"""What may happen to an order, as rules that hypothesis puts in any order.

A rule changes the world a little (a fault, a trade, a halt, time) and lets it come to rest; the
model checks every fact on the way. When an example is over, the faults end and the order must
come to the end that the model predicts.
"""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.stateful.runs import Fault
from tests.stateful.venue import Fate
from tests.stateful.world import World, intent_of
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce
from workflows.domain.reports import VenueStatus

TRANSACTIONS = (
    "reserve",
    "claim",
    "record_ack",
    "record_rejection",
    "record_unknown",
    "close_attempt",
    "prove_absent",
    "book_report",
    "give_up",
)
REQUESTS = ("submit", "find", "read", "cancel", "time")
SUBMITTING = ("claim", "submit", "record_ack", "record_rejection", "record_unknown")
_EDGES = ("before", "after")
DB_POINTS = [f"{name}.{edge}" for name in TRANSACTIONS for edge in _EDGES]
POINTS = [*DB_POINTS, *(f"{name}.{edge}" for name in REQUESTS for edge in _EDGES)]
SUBMIT_POINTS = [f"{name}.{edge}" for name in SUBMITTING for edge in _EDGES]

points = st.one_of(st.sampled_from(SUBMIT_POINTS), st.sampled_from(POINTS))
faults = st.sampled_from([Fault.CRASH, Fault.FREEZE, Fault.HOLD, Fault.SLOW])
LATE = (0, 40, 1_500, 4_900, 5_500)
fates = st.one_of(
    st.sampled_from(
        [
            Fate(arrive_ms=None),
            Fate(answer_ms=None),
            Fate(arrive_ms=4_900, answer_ms=None),
            Fate(arrive_ms=4_900, answer_ms=None, reset_ms=0),
            Fate(twice=True),
        ]
    ),
    st.builds(
        Fate,
        arrive_ms=st.sampled_from(LATE),
        answer_ms=st.sampled_from([0, 500, None]),
        reset_ms=st.sampled_from([None, 0, 900]),
    ),
)
fractions = st.sampled_from([Decimal(0), Decimal("0.25"), Decimal("0.5"), Decimal(1)])
traded = st.sampled_from([Decimal("0.25"), Decimal("0.25"), Decimal("0.5"), Decimal(1)])
lags = st.sampled_from([0, 1_000, 9_000])
times = st.sampled_from([1, 40, 400, 1_000, 3_000])
long_times = st.sampled_from([6_500, 9_000, 12_000, 16_000, 60_000])
strikes = st.dictionaries(points, faults, min_size=1, max_size=2)


@dataclass(frozen=True, kw_only=True)
class Start:
    """An order and the market that it meets."""

    intent: ChildIntent
    expires_in_ms: int | None
    match: Decimal
    lag_ms: int
    fill_lag_ms: int
    reserves_first: bool


_KINDS = [
    (ChildType.LIMIT, TimeInForce.GTC),
    (ChildType.LIMIT, TimeInForce.GTC),
    (ChildType.LIMIT, TimeInForce.IOC),
    (ChildType.MARKET, TimeInForce.GTC),
]
intents = st.builds(
    lambda kind, side, steps: intent_of(
        kind[0], Decimal("0.004") * steps, side=side, time_in_force=kind[1]
    ),
    st.sampled_from(_KINDS),
    st.sampled_from(Side),
    st.integers(1, 8),
)
starts = st.builds(
    Start,
    intent=intents,
    expires_in_ms=st.sampled_from([None, None, 4_000, 30_000]),
    match=fractions,
    lag_ms=lags,
    fill_lag_ms=lags,
    reserves_first=st.booleans(),
)


def is_live(machine: "OrderMachine") -> bool:
    """True while the order has not ended."""
    return machine.world.host.ended is None


def has_open_order(machine: "OrderMachine") -> bool:
    """True while an order rests at the venue."""
    orders = machine.world.venue.orders
    return bool(orders) and orders[0].status is VenueStatus.OPEN


class OrderMachine(RuleBasedStateMachine):
    """See the module's docstring."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()

    @initialize(start=starts, fate=fates, struck=st.one_of(st.just({}), strikes))
    def order(self, start: Start, fate: Fate, struck: dict[str, Fault]) -> None:
        self.world = World(start.intent, start.expires_in_ms, reserves_first=start.reserves_first)
        self.world.install(self._patch)
        self.world.venue.match = start.match
        self.world.venue.lag_ms, self.world.venue.fill_lag_ms = start.lag_ms, start.fill_lag_ms
        self.world.venue.fates["submit"] = [fate]
        self.world.scheduler.armed |= struck
        self.world.settle()

    @precondition(lambda self: self.world.host.ended is not None)
    @rule(start=starts, fate=fates, struck=st.one_of(st.just({}), strikes))
    def next_order(self, start: Start, fate: Fate, struck: dict[str, Fault]) -> None:
        """Nothing of the order before may be left that could still change it."""
        self._close()
        self.order(start, fate, struck)

    # --- time and processes ---------------------------------------------------------------------

    @rule(ms=times)
    def pass_time(self, ms: int) -> None:
        self.world.pass_time(ms)

    @rule(ms=long_times)
    def pass_a_long_time(self, ms: int) -> None:
        self.world.pass_time(ms)

    @rule()
    def until_something_happens(self) -> None:
        due_ms = self.world.due_ms()
        if due_ms is not None:
            self.world.pass_time(due_ms - self.world.scheduler.now_ms)

    @precondition(is_live)
    @rule(struck=strikes)
    def strike_at(self, struck: dict[str, Fault]) -> None:
        self.world.scheduler.armed |= struck

    @precondition(is_live)
    @rule(point=st.sampled_from(DB_POINTS))
    def break_the_database_at(self, point: str) -> None:
        self.world.scheduler.armed[point] = Fault.FAIL

    @precondition(is_live)
    @rule(stays=st.booleans())
    def lose_the_worker(self, stays: bool) -> None:
        """It crashes, or it stays frozen until a thaw."""
        if stays:
            self.world.scheduler.freeze()
        else:
            self.world.scheduler.crash()
        self.world.settle()

    @precondition(lambda self: self.world.scheduler.has_stopped)
    @rule()
    def thaw_and_release(self) -> None:
        self.world.scheduler.thaw()
        self.world.scheduler.release()
        self.world.settle()

    @precondition(is_live)
    @rule()
    def lose_all_workers_or_get_them_back(self) -> None:
        self.world.host.has_workers = not self.world.host.has_workers
        self.world.settle()

    @rule(
        venue_ms=st.sampled_from([-500, 0, 500]),
        worker_ms=st.sampled_from([-60_000, -2_000, -400, 0, 400, 2_000, 60_000]),
    )
    def clocks_jump(self, venue_ms: int, worker_ms: int) -> None:
        self.world.venue.jump_ms = venue_ms
        self.world.scheduler.worker_jump_ms = worker_ms

    # --- the network and the venue --------------------------------------------------------------

    @precondition(is_live)
    @rule(kind=st.sampled_from([*REQUESTS, "submit", "submit"]), fate=fates)
    def disturb_the_next_request(self, kind: str, fate: Fate) -> None:
        self.world.venue.fates.setdefault(kind, []).append(fate)

    @precondition(is_live)
    @rule(lag_ms=lags, fill_lag_ms=lags)
    def reads_lag(self, lag_ms: int, fill_lag_ms: int) -> None:
        self.world.venue.lag_ms, self.world.venue.fill_lag_ms = lag_ms, fill_lag_ms

    @precondition(is_live)
    @rule(match=fractions, before_cancel=fractions, rejects=st.booleans(), is_seen=st.booleans())
    def the_market_changes(
        self, match: Decimal, before_cancel: Decimal, rejects: bool, is_seen: bool
    ) -> None:
        self.world.venue.match, self.world.venue.fills_before_cancel = match, before_cancel
        self.world.venue.rejects, self.world.has_market = rejects, is_seen
        self.world.price += 1

    @precondition(has_open_order)
    @rule(
        fractions=st.lists(traded, min_size=1, max_size=3),
        told=st.lists(st.integers(0, 2), max_size=4),
    )
    def trade(self, fractions: list[Decimal], told: list[int]) -> None:
        """The feed sees each trade; of its reports some arrive, some again, in any order."""
        world, known = self.world, len(self.world.reports)
        for fraction in fractions:
            world.venue.trade(world.venue.orders[0], fraction)
            world.feed(lag_ms=0)
        reports = world.reports[known:]
        for number in told if reports else []:
            world.host.tell("report", reports[number % len(reports)])
        world.settle()

    @precondition(has_open_order)
    @rule(status=st.sampled_from([VenueStatus.CANCELLED, VenueStatus.REJECTED]))
    def the_venue_ends_it(self, status: VenueStatus) -> None:
        self.world.venue.finish(self.world.venue.orders[0], status)

    # --- the feed, people -----------------------------------------------------------------------

    @precondition(lambda self: self.world.venue.orders)
    @rule(lag_ms=st.sampled_from([0, 0, 1_000]), tells=st.sampled_from([None, 0, -1]))
    def the_feed_sees_it(self, lag_ms: int, tells: int | None) -> None:
        """It books what it sees, and tells nothing, its first report again, or the new one."""
        self.world.feed(lag_ms)
        if tells is not None and self.world.reports:
            self.world.host.tell("report", self.world.reports[tells])
            self.world.settle()

    @precondition(lambda self: self.world.reports and is_live(self))
    @rule(data=st.data())
    def the_feed_tells_again(self, data: st.DataObject) -> None:
        """Any report so far: late, repeated, in any order."""
        self.world.host.tell("report", data.draw(st.sampled_from(self.world.reports)))
        self.world.settle()

    @precondition(is_live)
    @rule()
    def cancel(self) -> None:
        self.world.stop()
        self.world.settle()

    @precondition(is_live)
    @rule(halted=st.booleans(), ready=st.booleans())
    def the_gates_change(self, halted: bool, ready: bool) -> None:
        self.world.model.halted, self.world.model.ready = halted, ready

    @precondition(is_live)
    @rule()
    def continue_as_new(self) -> None:
        self.world.host.tell("long")
        self.world.settle()

    # --- what must always hold ------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        world = self.world
        assert not world.model.broken
        assert len(world.venue.orders) <= 1
        assert not world.ledger.alarms & {"LATE_ACK", "LATE_FILL", "LEDGER_LOST_INTENT"}
        child = world.ledger.child
        if child is not None and child.known.status.is_final:
            assert child.reserved is None

    def _close(self) -> None:
        world = self.world
        if not world.model.broken:
            world.drain()
            self.nothing_is_broken()
        world.scheduler.close()
        world.host.lose_worker()

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._close()
        finally:
            self._patch.undo()
