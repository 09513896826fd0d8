"""Every cell of the decision table, made by two real exchanges, and what the engine then does.

A row says into which state either leg is brought and what must come of it. The cells of one symbol
come one after the other, as the pair's lock wants it; the two symbols run side by side.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from activities.venues.simulator.faults.client import ControlError
from tests.e2e.arbitrage_world import (
    BUY_VENUE,
    LANES,
    SELL_VENUE,
    Aimed,
    Lane,
    Pair,
    assert_books_agree,
)
from tests.e2e.world import until
from workflows.domain.executions import ExecutionStatus as End
from workflows.execution_messages import ArbitrageSnapshot

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

STATES = ("none", "open", "partial", "filled", "rejected", "unknown")
TIMES = {"timeout": "2", "one_sided_timeout": "1", "leg_time_in_force": "GTC"}
HALF = Decimal("0.5")
DUST = Decimal("0.01")
"""Share of the amount: what base fees and lots make uneven."""
MANY = 5
_DONE, _PART = frozenset({End.COMPLETED}), frozenset({End.PARTIAL})
_EITHER = _DONE | _PART
"""A completion of the net quantity may be a fee short of the whole."""
_BACK, _NOTHING = frozenset({End.UNWOUND}), frozenset({End.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The two states, how the residual is hedged (`complete`, `unwind` or not), and the end."""

    buy: str
    sell: str
    hedge: str | None = None
    ends: frozenset[End]

    @property
    def id(self) -> str:
        return f"{self.buy}-{self.sell}"

    @property
    def states(self) -> tuple[tuple[str, str, str], ...]:
        """Venue, leg and state of both legs."""
        return (BUY_VENUE, "buy", self.buy), (SELL_VENUE, "sell", self.sell)


def both_ways(here: str, there: str, ends: frozenset[End], hedge: str | None = None) -> list[Cell]:
    """The cell and its mirror, which the table treats alike."""
    pairs = dict.fromkeys([(here, there), (there, here)])
    return [Cell(buy=buy, sell=sell, hedge=hedge, ends=ends) for buy, sell in pairs]


CELLS = [
    *both_ways("none", "none", frozenset({End.DENIED})),
    *both_ways("none", "open", _NOTHING),
    *both_ways("none", "partial", _PART),
    *both_ways("none", "filled", _DONE),
    *both_ways("none", "rejected", _NOTHING),
    *both_ways("none", "unknown", _DONE),
    *both_ways("open", "open", _NOTHING),
    *both_ways("open", "partial", _PART, "complete"),
    *both_ways("open", "filled", _EITHER, "complete"),
    *both_ways("open", "rejected", _NOTHING),
    *both_ways("open", "unknown", _EITHER, "complete"),
    *both_ways("partial", "partial", _PART),
    *both_ways("partial", "filled", _EITHER, "complete"),
    *both_ways("partial", "rejected", _BACK, "unwind"),
    *both_ways("partial", "unknown", _EITHER, "complete"),
    *both_ways("filled", "filled", _DONE),
    *both_ways("filled", "rejected", _BACK, "unwind"),
    *both_ways("filled", "unknown", _DONE),
    *both_ways("rejected", "rejected", _NOTHING),
    *both_ways("rejected", "unknown", _BACK, "unwind"),
    *both_ways("unknown", "unknown", _DONE),
]
_BY_ID = {each.id: each for each in CELLS}


@dataclass
class Course:
    """One cell on its way: what was put in its way, to be cleared at the end."""

    pair: Pair
    lane: Lane
    cell: Cell
    aimed: Aimed
    baits: dict[str, int] = field(default_factory=dict)
    rules: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    async def prepare(self) -> None:
        """Baits at both venues; a thin one for the leg that must go first. Faults for the legs."""
        first = next((leg for _, leg, state in self.cell.states if state != "none"), None)
        for venue, leg, state in self.cell.states:
            side = "sell" if leg == "buy" else "buy"
            size = self.lane.amount * (1 if leg == first else MANY)
            self.baits[venue] = await self.pair.bait(venue, self.lane, side, size)
            for fault, options in FAULTS.get(state, ()):
                rule = await self.aimed.aim(venue, leg, fault, **options)
                self.rules.setdefault((venue, leg), []).append(rule)

    async def drive(self) -> None:
        """Bring the legs into their states; those that are unknown stay so until both are there."""
        await asyncio.gather(*(self.bring(*state) for state in self.cell.states))
        unknown = [each for each in self.cell.states if each[2] == "unknown"]
        if not unknown:
            return
        for venue, leg, state in self.cell.states:
            if state in ("open", "partial"):
                await until(lambda v=venue, x=leg: not self.aimed.is_open(v, x))
        self.assert_not_hedged()
        for venue, leg, _ in unknown:
            for rule in self.rules[venue, leg][1:]:
                await self.pair.control(venue).remove(rule)

    async def bring(self, venue: str, leg: str, state: str) -> None:
        """One leg into its state, as far as that is the test's to do."""
        control = self.pair.control(venue)
        if state in ("open", "partial"):
            held = await control.held(self.rules[venue, leg][0])
            await self.pair.take_back(venue, self.baits[venue])
            if state == "partial":
                side, half = "sell" if leg == "buy" else "buy", self.lane.amount * HALF
                self.baits[venue] = await self.pair.bait(venue, self.lane, side, half)
            await control.release(held.id)
            await until(lambda: self.aimed.at(venue, leg))
        if state == "unknown":
            looked_up = self.rules[venue, leg][1]
            await until(lambda: _has_hit(control, looked_up))

    def assert_not_hedged(self) -> None:
        """Nothing was sent beside the two legs."""
        for venue in (BUY_VENUE, SELL_VENUE):
            for leg in ("complete-1", "unwind-1", "hold-1", "buy-2", "sell-2"):
                assert self.aimed.at(venue, leg) == [], f"{leg} was sent"

    async def clean(self) -> None:
        """Nothing of this cell meets the next one."""
        for (venue, _), rules in self.rules.items():
            for rule in rules:
                with suppress(ControlError):
                    await self.pair.control(venue).remove(rule)
        for venue, bait in self.baits.items():
            with suppress(ControlError):
                await self.pair.take_back(venue, bait)


async def _has_hit(control: Any, rule: int) -> bool:
    return bool(await control.hits(rule))


_SUBMIT, _LOOK_UP = {"purpose": "submit"}, {"purpose": "look_up", "times": 0}
FAULTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "open": (("hold_before", _SUBMIT),),
    "partial": (("hold_before", _SUBMIT),),
    "rejected": (("refuse", _SUBMIT),),
    "unknown": (
        ("accept_then_reset", _SUBMIT),
        ("server_error", _LOOK_UP),
        ("event_lost", {"kind": "any", "times": 0}),
    ),
}


async def live(pair: Pair, lane: Lane, cell: Cell) -> ArbitrageSnapshot:
    """One cell from its start to its end, which is judged."""
    plan = dict(TIMES)
    if "none" in (cell.buy, cell.sell):
        plan |= {"mode": "sequential", "slippage_tolerance": "0"}
    if (cell.buy, cell.sell) == ("none", "none"):
        plan |= {"min_profit": "1000"}
    course = Course(pair, lane, cell, pair.arbitrage(lane, **plan))
    try:
        await course.prepare()
        await course.aimed.start()
        await course.drive()
        return await course.aimed.end()
    finally:
        await course.clean()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(
    pair: Pair, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, ArbitrageSnapshot | BaseException]]:
    """The cells that were selected; one that broke is its exception."""
    waiting = [name for name in _BY_ID if any(f"[{name}]" in i.name for i in request.session.items)]
    found: dict[str, ArbitrageSnapshot | BaseException] = {}

    async def work(lane: Lane) -> None:
        while waiting:
            name = waiting.pop(0)
            [found[name]] = await asyncio.gather(
                live(pair, lane, _BY_ID[name]), return_exceptions=True
            )

    await asyncio.gather(*map(work, LANES))
    await pair.clear()
    yield found


@pytest.mark.parametrize("name", _BY_ID)
async def test_each_pair_of_leg_states_ends_in_the_tables_action(
    ends: dict[str, ArbitrageSnapshot | BaseException], name: str
) -> None:
    told, cell = ends[name], _BY_ID[name]
    if isinstance(told, BaseException):
        raise told
    story = [(o.leg, o.status.value, str(o.filled_amount), o.reason) for o in told.orders]
    assert told.status in cell.ends, f"{told.status} {told.error} {story}"
    hedged = {order.leg.partition("-")[0] for order in told.orders if order.filled_amount}
    assert hedged - {"buy", "sell"} == ({cell.hedge} if cell.hedge else set()), story
    if told.amount is not None:
        assert abs(told.residual_quantity) <= told.amount * DUST, story


async def test_after_all_cells_the_books_agree_with_both_exchanges(
    pair: Pair, ends: dict[str, ArbitrageSnapshot | BaseException]
) -> None:
    await assert_books_agree(pair)


async def test_every_cell_of_the_table_is_here() -> None:
    assert set(_BY_ID) == {f"{buy}-{sell}" for buy in STATES for sell in STATES}
