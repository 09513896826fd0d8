"""The decision table as the workflow lives it: each pair of leg states is made by two scripted
venues, and what then goes out, when, and how it ends is what the specification's table says.

The expectations are written here by hand; the product's own table is not asked.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import (
    BUY_VENUE,
    SELL_VENUE,
    Run,
    hedges,
    two_venues,
)
from tests.workflows.execution_fakes import Desk, desk_on
from tests.workflows.scripted_answers import lost, not_sent, rejects, rests, takes
from tests.workflows.scripted_venue import Answer
from workflows.domain.executions import ExecutionStatus
from workflows.execution_messages import ArbitrageSnapshot

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMEOUT_S, ONE_SIDED_S = 8, 4
EARLY_S, LATE_S = 1.5, 3.5
"""What a busy machine may add; all timers of the plan are longer."""
AT_ONCE = 9
"""Cells that live side by side: each has timers whose lateness is measured."""
STATES = ("none", "open", "partial", "filled", "rejected", "unknown")
HALF, WHOLE = "0.05", "0.1"


def answer_of(state: str) -> Answer:
    """What the venue does to bring a leg into this state."""
    answers: dict[str, Answer] = {
        "none": not_sent("TRADING_HALTED"),
        "open": rests(),
        "partial": rests("0.5"),
        "filled": takes(),
        "rejected": rejects(),
        "unknown": lost(takes()),
        "absent": lost(),
    }
    return answers[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What must happen. `cancels`: the leg and when: `now`, `short` (alone for too long) or `due`.

    An unknown leg turns out filled, an absent one was never there.
    """

    buy: str
    sell: str
    cancels: tuple[tuple[str, str], ...] = ()
    hedges: tuple[str, ...] = ()
    end: ExecutionStatus

    @property
    def id(self) -> str:
        return f"{self.buy}-{self.sell}"


def cell(pair: str, end: ExecutionStatus, *hedged: str, cancels: str = "") -> Cell:
    buy, sell = pair.split()
    asked = tuple(
        (leg, when) for leg, when in (each.split() for each in cancels.split(", ") if each)
    )
    return Cell(buy=buy, sell=sell, cancels=asked, hedges=hedged, end=end)


_FAILED, _DONE = ExecutionStatus.FAILED, ExecutionStatus.COMPLETED
_PART, _BACK = ExecutionStatus.PARTIAL, ExecutionStatus.UNWOUND
_BUY_HALF, _BUY_ALL = f"complete-1 buy {HALF} at binance", f"complete-1 buy {WHOLE} at binance"
_SELL_HALF, _SELL_ALL = f"complete-1 sell {HALF} at okx", f"complete-1 sell {WHOLE} at okx"
_UNDO_BUY, _UNDO_HALF_BUY = (f"unwind-1 sell {n} at binance" for n in (WHOLE, HALF))
_UNDO_SELL, _UNDO_HALF_SELL = (f"unwind-1 buy {n} at okx" for n in (WHOLE, HALF))
CELLS = (
    cell("none none", _FAILED),
    cell("none open", _FAILED, cancels="sell now"),
    cell("none partial", _PART, _BUY_HALF, cancels="sell now"),
    cell("none filled", _DONE, _BUY_ALL),
    cell("none rejected", _FAILED),
    cell("none unknown", _DONE, _BUY_ALL),
    cell("open none", _FAILED, cancels="buy now"),
    cell("open open", _FAILED, cancels="buy due, sell due"),
    cell("open partial", _PART, _BUY_HALF, cancels="buy due, sell due"),
    cell("open filled", _DONE, _BUY_ALL, cancels="buy short"),
    cell("open rejected", _FAILED, cancels="buy now"),
    cell("open unknown", _DONE, _BUY_ALL, cancels="buy due"),
    cell("partial none", _PART, _SELL_HALF, cancels="buy now"),
    cell("partial open", _PART, _SELL_HALF, cancels="buy due, sell due"),
    cell("partial partial", _PART, cancels="buy due, sell due"),
    cell("partial filled", _DONE, _BUY_HALF, cancels="buy short"),
    cell("partial rejected", _BACK, _UNDO_HALF_BUY, cancels="buy now"),
    cell("partial unknown", _DONE, _BUY_HALF, cancels="buy now"),
    cell("filled none", _DONE, _SELL_ALL),
    cell("filled open", _DONE, _SELL_ALL, cancels="sell short"),
    cell("filled partial", _DONE, _SELL_HALF, cancels="sell short"),
    cell("filled filled", _DONE),
    cell("filled rejected", _BACK, _UNDO_BUY),
    cell("filled unknown", _DONE),
    cell("rejected none", _FAILED),
    cell("rejected open", _FAILED, cancels="sell now"),
    cell("rejected partial", _BACK, _UNDO_HALF_SELL, cancels="sell now"),
    cell("rejected filled", _BACK, _UNDO_SELL),
    cell("rejected rejected", _FAILED),
    cell("rejected unknown", _BACK, _UNDO_SELL),
    cell("unknown none", _DONE, _SELL_ALL),
    cell("unknown open", _DONE, _SELL_ALL, cancels="sell due"),
    cell("unknown partial", _DONE, _SELL_HALF, cancels="sell now"),
    cell("unknown filled", _DONE),
    cell("unknown rejected", _BACK, _UNDO_BUY),
    cell("unknown unknown", _DONE),
    # an unknown leg that was never there counts as refused, for a reason that may have passed
    cell("filled absent", _DONE, _SELL_ALL),
    cell("absent filled", _DONE, _BUY_ALL),
    cell("rejected absent", _FAILED),
    cell("absent absent", _FAILED),
    cell("unknown absent", _DONE, _SELL_ALL),
)
_BY_ID = {each.id: each for each in CELLS}
UNSURE = ("unknown", "absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a cell came to; `while_unknown` is what had happened when the truth was let out."""

    run: Run
    result: ArbitrageSnapshot
    while_unknown: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all cells."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outcomes(
    desk: Desk, server: WorkflowEnvironment, request: pytest.FixtureRequest
) -> dict[str, Outcome | BaseException]:
    """The cells that were selected, some side by side; one that broke is its exception."""
    places = asyncio.Semaphore(AT_ONCE)

    async def lived(cell: Cell) -> Outcome:
        async with places:
            return await live(server.client, desk, cell)

    chosen = [name for name in _BY_ID if any(f"[{name}]" in i.name for i in request.session.items)]
    ended = await asyncio.gather(*(lived(_BY_ID[name]) for name in chosen), return_exceptions=True)
    return dict(zip(chosen, ended, strict=True))


async def live(client: Client, desk: Desk, cell: Cell) -> Outcome:
    """Bring the pair into its states, let out the truth of unknown legs, and see it end."""
    world = two_venues({"buy": [answer_of(cell.buy)]}, {"sell": [answer_of(cell.sell)]})
    states = {"buy": cell.buy, "sell": cell.sell}
    hidden = [
        venue
        for venue, leg in zip(world.venues.values(), states, strict=True)
        if states[leg] in UNSURE
    ]
    for venue in hidden:
        venue.resolves.clear()
    options = {
        "leg_time_in_force": "GTC",
        "timeout": str(TIMEOUT_S),
        "one_sided_timeout": str(ONE_SIDED_S),
    }
    run = await Run(desk, world, client, options).start()
    for leg, state in states.items():
        if state in UNSURE:
            await run.until_did(f"resolve {leg}")
            for other, _ in cell.cancels:
                await run.until_did(f"cancel {other}")
    seen = await asyncio.gather(*(settled(run, leg, state) for leg, state in states.items()))
    assert all(seen)
    while_unknown = world.did()
    for venue in hidden:
        venue.resolves.set()
    return Outcome(run=run, result=await run.end(), while_unknown=while_unknown)


async def settled(run: Run, leg: str, state: str) -> bool:
    """While the other leg is unknown: wait until the workflow has taken in what came of this."""
    shown = {"filled": "filled", "rejected": "rejected", "none": "denied"}
    if state in shown:
        await run.until_leg(leg, shown[state])
    return True


@pytest.mark.parametrize("name", _BY_ID)
async def test_each_pair_of_leg_states_ends_in_the_tables_action(
    outcomes: dict[str, Outcome | BaseException], name: str
) -> None:
    outcome, cell = outcomes[name], _BY_ID[name]
    if isinstance(outcome, BaseException):
        raise outcome
    run, result = outcome.run, outcome.result
    assert tuple(hedges(run.world)) == cell.hedges
    assert result.status is cell.end
    cancelled = {step.removeprefix("cancel ") for step in run.world.did("cancel")}
    assert cancelled == {leg for leg, _ in cell.cancels}
    for leg, when in cell.cancels:
        waited = run.seconds_between("submit buy", f"cancel {leg}")
        low, high = {
            "now": (0, LATE_S),
            "short": (ONE_SIDED_S, ONE_SIDED_S + LATE_S),
            # the deadline counts from the acceptance, which was a little before the legs were sent
            "due": (TIMEOUT_S - EARLY_S, TIMEOUT_S + LATE_S),
        }[when]
        assert low <= waited <= high, f"{leg} was cancelled after {waited} s"


@pytest.mark.parametrize("name", [each.id for each in CELLS if {each.buy, each.sell} & set(UNSURE)])
async def test_nothing_is_hedged_while_a_leg_is_unknown(
    outcomes: dict[str, Outcome | BaseException], name: str
) -> None:
    outcome = outcomes[name]
    if isinstance(outcome, BaseException):
        raise outcome
    assert [step for step in outcome.while_unknown if "-" in step] == []


async def test_every_cell_of_the_table_is_here() -> None:
    made = {(each.buy, each.sell) for each in CELLS}
    assert {(buy, sell) for buy in STATES for sell in STATES} <= made
