"""A little of `make chaos` in every test run, and proof that its judge can say guilty.

The seed is CHAOS_SEED where that is set, else a new one each time; it is printed, and with it
`make chaos RUNS=1 SEED=...` makes the plan of a run again.
"""

import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from starters.client import AlreadyTerminal
from tests.chaos import judge as judge_module
from tests.chaos.arbitrage_plan import VENUES
from tests.chaos.desk import Told
from tests.chaos.judge import Judge, Verdict, compare_with_told, replay
from tests.chaos.plan import plan_of, seed_of_run
from tests.chaos.planned import PlannedArbitrage, PlannedOrder, Route
from tests.chaos.run import OFTEN, run_one
from tests.e2e.world import BEST_BID, OKX, STILL, VENUE, World, open_world
from workers.settings import Settings
from workflows import names
from workflows.domain.executions import ExecutionStatus
from workflows.domain.orders import client_order_id
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot
from workflows.messages import OrderSnapshot

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

RUNS, ORDERS, ARBITRAGES, DURATION_S = 1, 28, 10, 5.0
SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbits(32))

Record = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A stack of its own: its parts die more often than others would bear."""
    folder = tmp_path_factory.mktemp("chaos")
    async with open_world(folder, bound=OFTEN, venues=VENUES) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(world: World) -> OrderSnapshot:
    return await world.finish(await world.place())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arbitrage(world: World) -> ArbitrageSnapshot:
    """One that has bought at one exchange and sold at the other."""
    plan = ArbitragePlan.model_validate(
        {
            "id": f"honest-{secrets.token_hex(4)}",
            "symbol": STILL,
            "buy_exchange": VENUE,
            "sell_exchange": OKX,
            "buy_price": "50300",
            "sell_price": "49700",
            "amount": "0.01",
            "min_profit": "-100",
            "min_profit_worst": "-100",
        }
    )
    await world.orders.execute_arbitrage(plan)
    ended = await world.orders.arbitrage_result(str(plan.id))
    assert ended.status is ExecutionStatus.COMPLETED, ended
    return ended


async def test_nothing_is_sent_twice_lost_or_left_when_parts_die_at_random(world: World, capsys):
    judge, strikes, faults, filled, paired = Judge(), 0, 0, 0, 0
    for number in range(RUNS):
        plan = plan_of(
            seed_of_run(SEED, number),
            orders=ORDERS,
            arbitrages=ARBITRAGES,
            duration_s=DURATION_S,
        )
        outcome = await run_one(world, judge, number, plan, lambda _: None)
        with capsys.disabled():
            print(f"\n{json.dumps(outcome.line())}", end="")
        assert outcome.verdict.is_clean, f"SEED={plan.seed}: {outcome.verdict.sentences()}"
        strikes += outcome.broken.kills + outcome.broken.freezes
        faults += outcome.broken.faults
        filled += outcome.verdict.statuses["filled"]
        paired += at_work(outcome.verdict)
    assert min(strikes, faults, filled, paired) > 0, (strikes, faults, filled, paired)


def at_work(verdict: Verdict) -> int:
    """Arbitrages that sent something, whatever came of it."""
    ends = verdict.statuses.items()
    never = ("arbitrage denied", "arbitrage never")
    return sum(
        many for end, many in ends if end.startswith("arbitrage") and not end.startswith(never)
    )


# --- the judge itself -----------------------------------------------------------------------------


def twice(records: list[Record], child: str) -> list[Record]:
    """The order is there a second time, under another number."""
    orders = [each for each in records if each["kind"] in ("order", "order_update")]
    own = [each for each in orders if each["client_order_id"] == child]
    number = max(each["order_id"] for each in orders) + 1
    return [*records, *({**each, "order_id": number, "executed": "0"} for each in own)]


def with_another_fill(records: list[Record], child: str) -> list[Record]:
    """The exchange executed more than the ledger knows of."""
    (trade, *_) = trades_of(records, child)
    return [*records, {**trade, "trade_id": trade["trade_id"] + 1_000_000}]


def without_a_fill(records: list[Record], child: str) -> list[Record]:
    """The ledger knows of a fill that never was."""
    (trade, *_) = trades_of(records, child)
    return [each for each in records if each is not trade]


def trades_of(records: list[Record], child: str) -> list[Record]:
    return [r for r in records if r["kind"] == "trade" and r["client_order_id"] == child]


@pytest.mark.parametrize(
    ("tamper", "charge"),
    [
        (twice, "duplicates"),
        (with_another_fill, "lost"),
        (without_a_fill, "ledger_differences"),
    ],
)
async def test_a_log_that_says_otherwise_is_a_violation(
    world: World, filled: OrderSnapshot, tmp_path: Path, tamper, charge
):
    child = filled.children[0].client_order_id
    settings = tampered(world, tmp_path, lambda records: tamper(records, child))
    verdict = await Judge(settle_within_s=0).judge(settings)
    assert getattr(verdict, charge), verdict.sentences()


@pytest.mark.usefixtures("filled", "arbitrage")
async def test_an_honest_copy_of_the_logs_is_clean(world: World, tmp_path: Path):
    verdict = await Judge().judge(tampered(world, tmp_path, lambda records: records))
    assert verdict.is_clean, verdict.sentences()


def with_another_price(records: list[Record], child: str) -> list[Record]:
    """The exchange paid a hundredth of a cent more than was told."""
    (trade, *_) = trades_of(records, child)
    dearer = {**trade, "price": str(Decimal(trade["price"]) + Decimal("0.01"))}
    return [dearer if each is trade else each for each in records]


@pytest.mark.parametrize(
    ("tamper", "charge"),
    [(with_another_price, "ledger_differences"), (without_a_fill, "lost")],
)
async def test_an_arbitrage_that_tells_another_profit_or_a_naked_leg_is_a_violation(
    world: World, arbitrage: ArbitrageSnapshot, tmp_path: Path, tamper, charge
):
    sold = client_order_id(names.leg_order_id(arbitrage.execution_id, "sell"), 0)
    settings = tampered(world, tmp_path, lambda records: tamper(records, sold), venue=OKX)
    verdict = await Judge(settle_within_s=0).judge(settings)
    assert arbitrage.execution_id in getattr(verdict, charge), verdict.sentences()


def tampered(
    world: World,
    home: Path,
    change: Callable[[list[Record]], list[Record]],
    venue: str = VENUE,
) -> Settings:
    """The same ledger, beside copies of the exchanges' logs with something changed in one."""
    settings = world.stack.settings
    copy = settings.model_copy(
        update={"delta_home": home, "database_url": SecretStr(settings.dsn())}
    )
    for name in VENUES:
        path = copy.home.paper_journal(name)
        path.parent.mkdir(parents=True)
        shutil.copy(world.stack.paper_journal(name), path)
    path = copy.home.paper_journal(venue)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(each | {"commit": True}, separators=(",", ":")) for each in change(records)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return copy


async def test_an_order_that_still_works_is_unfinished(world: World):
    resting = await world.rest(price=BEST_BID - 100, quantity="0.001")
    judge = Judge(settle_within_s=0)
    verdict = await judge.judge(world.stack.settings)
    again = await judge.judge(world.stack.settings)
    await world.orders.cancel(resting.order_id)
    assert list(verdict.unfinished) == [resting.order_id]
    assert again.is_clean, "what one run has counted is counted once"


@pytest.mark.parametrize(
    ("heard", "charge"),
    [
        ("accepted", "lost"),
        ("denied IDEMPOTENCY_CONFLICT", "ledger_differences"),
        ("denied INTERNAL 1f", "ledger_differences"),
    ],
)
async def test_what_callers_were_told_is_held_against_the_engine(world: World, heard, charge):
    """Nobody ever started this order."""
    order = PlannedOrder(
        at_s=0, key="ghost", body={}, routes=(Route.HTTP,), again_after_s=0, stop=None
    )
    verdict = Verdict()
    await compare_with_told(world, [Told(order, [(Route.HTTP, heard)])], [], verdict)
    assert list(getattr(verdict, charge)) == ["ghost"]


async def test_an_arbitrage_that_nobody_ever_started_is_lost(world: World):
    ghost = PlannedArbitrage(
        at_s=0,
        key="ghost-pair",
        body={},
        routes=(Route.CLIENT,),
        again_after_s=0,
        stop=None,
        waits=False,
        faults=(),
    )
    verdict = Verdict()
    await compare_with_told(world, [Told(ghost, [(Route.CLIENT, "running")])], [], verdict)
    assert list(verdict.lost) == ["ghost-pair"]


async def test_an_end_that_differs_from_the_ledgers_is_a_difference(
    world: World, filled: OrderSnapshot, monkeypatch
):
    order = PlannedOrder(
        at_s=0, key=filled.order_id, body={}, routes=(Route.CLIENT,), again_after_s=0, stop=None
    )
    told, verdict = Told(order, [(Route.CLIENT, "accepted")]), Verdict()
    await compare_with_told(world, [told], [], verdict)
    assert verdict.is_clean, verdict.sentences()
    other = filled.model_copy(update={"filled_quantity": Decimal("0.005")})

    async def another(_views: object, _order_id: str) -> OrderSnapshot:
        return other

    monkeypatch.setattr(type(world.views), "order", another)
    await compare_with_told(world, [told], [], verdict)
    assert list(verdict.ledger_differences) == [filled.order_id]


@pytest.mark.parametrize(
    ("reason", "is_wrong"), [("user_request", True), ("user_request: 0.01 unprotected", False)]
)
async def test_a_protective_order_that_ends_without_a_word_is_a_difference(
    world: World, monkeypatch, reason: str, is_wrong: bool
):
    placed = await world.place(
        order_type="stop_loss", side="sell", stop_price="49000", placement="engine"
    )
    with suppress(AlreadyTerminal):
        await world.orders.cancel(placed.order_id)
    honest = await world.finish(placed)
    assert "unprotected" in honest.reason
    told = honest.model_copy(update={"reason": reason})

    async def another(*_: object) -> OrderSnapshot:
        return told

    monkeypatch.setattr(judge_module, "_end_of", another)
    order = PlannedOrder(
        at_s=0, key=placed.order_id, body={}, routes=(Route.CLIENT,), again_after_s=0, stop=None
    )
    verdict = Verdict()
    await compare_with_told(world, [Told(order, [(Route.CLIENT, "accepted")])], [], verdict)
    assert bool(verdict.ledger_differences) is is_wrong


async def test_a_history_of_other_decisions_is_an_order_that_cannot_go_on(
    world: World, filled: OrderSnapshot
):
    history, verdict = await world.history(filled.order_id), Verdict()
    await replay([history], verdict)
    assert verdict.is_clean, verdict.sentences()
    for event in history.events:
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == "submit":
            scheduled.activity_type.name = "submit_twice"
    await replay([history], verdict)
    assert list(verdict.unfinished) == [filled.order_id]
