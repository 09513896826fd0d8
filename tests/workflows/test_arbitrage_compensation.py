"""What an arbitrage does about a residual: complete, unwind, carry dust, or hold; and what it does
when its workflow was lost, or its history grows long."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import AMOUNT, BUY_VENUE, SELL_VENUE, Run, hedges, two_venues
from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.scripted_answers import crashes, lost, rejects, rests, takes
from tests.workflows.scripted_venue import SYMBOL, Answer, Order, Venue, levels
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    OrderType,
    Side,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import RejectionFamily, SubmitOutcome
from workflows.messages import OrderRequest
from workflows.ports import KnownLeg, OpenExecutionKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELD = {"hold_retry": "10", "hold_for": "60"}
REFUSED_FOR_NOW = rejects(RejectionFamily.PRICE, "-5022")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


def moving(then: Answer, world: ExecutionWorld, **bids: str) -> Answer:
    """As `then`, and the bids of these venues are at other prices from that moment on."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        outcome = await then(venue, intent)
        for name, price in bids.items():
            world.venues[name].listings[SYMBOL].bids = levels((price, "100"))
        return outcome

    return answer


def collapsing(**bids: str) -> ExecutionWorld:
    """The buy leg fills, the sell leg is refused, and the bids are elsewhere by then."""
    world = two_venues()
    world.venues[SELL_VENUE].answers["sell"] = [moving(REFUSED_FOR_NOW, world, **bids)]
    return world


# --- the cheaper one within the bound -------------------------------------------------------------


@pytest.mark.parametrize(
    ("okx", "binance", "hedge", "status", "outcome"),
    [
        ("50500", "49990", "complete-1 sell 0.1 at okx", "completed", Outcome.PROFIT),
        ("49990", "49900", "complete-1 sell 0.1 at okx", "completed", Outcome.LOSS_BOUNDED),
        ("49900", "49990", "unwind-1 sell 0.1 at binance", "unwound", Outcome.UNWOUND),
        ("49000", "49990", "unwind-1 sell 0.1 at binance", "unwound", Outcome.UNWOUND),
        ("49990", "49990", "complete-1 sell 0.1 at okx", "completed", Outcome.LOSS_BOUNDED),
    ],
)
async def test_a_residual_is_completed_or_unwound_whichever_is_cheaper(
    client: Client,
    desk: Desk,
    okx: str,
    binance: str,
    hedge: str,
    status: str,
    outcome: Outcome,
) -> None:
    world = collapsing(okx=okx, binance=binance)
    result = await (await Run(desk, world, client).start()).end()
    assert hedges(world) == [hedge]
    assert (result.status, result.outcome) == (status, outcome)
    assert result.residual_quantity == 0
    [decision] = result.compensation
    assert decision.order_id == f"{result.execution_id}:{hedge.split()[0]}"
    assert decision.residual == AMOUNT
    assert decision.expected_pnl == result.actual_profit


async def test_no_compensation_is_sent_at_a_price_beyond_its_bound(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49900", binance="49990")
    await (await Run(desk, world, client, {"max_loss_bps": "40"}).start()).end()
    [sent] = [submit.intent for submit in world.submits if "unwind" in submit.intent.order_id]
    cost = Decimal(50_050)  # 50,000 and the fee
    assert sent.price is not None
    assert sent.price * Decimal("0.999") >= cost * Decimal("0.996")
    assert (sent.price - Decimal("0.01")) * Decimal("0.999") < cost * Decimal("0.996")
    assert sent.time_in_force is TimeInForce.IOC


async def test_a_venue_without_the_base_cannot_complete_so_the_leg_is_unwound(
    client: Client, desk: Desk
) -> None:
    world = two_venues()

    async def spend(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        venue.free["BTC"] = Decimal(0)
        return await REFUSED_FOR_NOW(venue, intent)

    world.venues[SELL_VENUE].answers["sell"] = [spend]
    result = await (await Run(desk, world, client).start()).end()
    assert hedges(world) == ["unwind-1 sell 0.1 at binance"]
    assert result.status is ExecutionStatus.UNWOUND


async def test_what_a_compensation_leaves_is_the_next_ones(client: Client, desk: Desk) -> None:
    world = collapsing(okx="50400")
    world.venues[SELL_VENUE].answers["complete"] = [takes("0.3"), takes("0")]
    result = await (await Run(desk, world, client).start()).end()
    assert hedges(world) == [
        "complete-1 sell 0.1 at okx",
        "complete-2 sell 0.07 at okx",
        "complete-3 sell 0.07 at okx",
    ]
    assert result.status is ExecutionStatus.COMPLETED


@pytest.mark.parametrize("accident", [lost, crashes])
@pytest.mark.parametrize(
    ("truth", "sent"),
    [
        (takes(), ["complete-1 sell 0.1 at okx"]),
        (takes("0.4"), ["complete-1 sell 0.1 at okx", "complete-2 sell 0.06 at okx"]),
        (None, ["complete-1 sell 0.1 at okx", "complete-2 sell 0.1 at okx"]),
    ],
)
async def test_an_unknown_compensation_is_resolved_before_another_one_is_sent(
    client: Client, desk: Desk, accident: Any, truth: Answer | None, sent: list[str]
) -> None:
    world = collapsing(okx="50400")
    venue = world.venues[SELL_VENUE]
    venue.answers["complete"] = [accident(truth)]
    venue.resolves.clear()
    run = await Run(desk, world, client).start()
    await run.until_did("resolve complete-1")
    await run.progress()
    assert hedges(world) == sent[:1]
    venue.resolves.set()
    result = await run.end()
    assert hedges(world) == sent
    assert result.residual_quantity == 0


async def test_a_compensation_that_the_ledger_denies_is_told_to_a_human_and_asked_for_again(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="50400")
    world.denials["complete-1"] = [Denied(code=DenialCode.RISK_STALE_REF, detail="for now")]
    result = await (await Run(desk, world, client).start()).end()
    assert "alarm COMPENSATION_DENIED" in world.did()
    assert hedges(world) == ["complete-2 sell 0.1 at okx"]
    assert result.status is ExecutionStatus.COMPLETED


@pytest.mark.parametrize(("okx", "order"), [("50400", "complete-1"), ("40000", "hold-1")])
async def test_a_halt_of_trading_leaves_the_residual_to_a_human_at_once(
    client: Client, desk: Desk, okx: str, order: str
) -> None:
    world = collapsing(okx=okx, binance=okx)
    world.denials[order] = [Denied(code=DenialCode.TRADING_HALTED, detail="by hand")]
    plan = {"hold_retry": "3600", "hold_for": "86400", "max_loss_bps": "40"}
    result = await (await Run(desk, world, client, plan).start()).end()
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert result.residual_quantity == AMOUNT
    assert hedges(world) == []
    assert "alarm RESIDUAL_HELD" in world.did()


async def test_a_residual_below_every_minimum_is_carried_and_reported(
    client: Client, desk: Desk
) -> None:
    world = two_venues()
    for venue in world.venues.values():
        rules = venue.listings[SYMBOL].instrument
        venue.listings[SYMBOL].instrument = replace(rules, min_notional=Decimal(600))
    world.venues[SELL_VENUE].answers["sell"] = [takes("0.9")]
    result = await (await Run(desk, world, client).start()).end()
    assert hedges(world) == []
    assert result.residual_quantity == AMOUNT / 10
    assert [each.action for each in result.compensation] == ["carry_dust"]
    assert result.status is ExecutionStatus.PARTIAL
    assert result.residual_mark is not None


# --- beyond the bound -----------------------------------------------------------------------------


async def test_a_residual_beyond_the_bound_rests_at_it_is_alarmed_and_kept_at_the_hard_stop(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49000", binance="49000")
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(9)]
    result = await (await Run(desk, world, client, HELD).start()).end()
    assert (result.status, result.outcome) == (
        ExecutionStatus.RESIDUAL_HELD,
        Outcome.RESIDUAL_HELD,
    )
    assert result.residual_quantity == AMOUNT
    assert world.did("alarm").count("alarm RESIDUAL_BEYOND_BOUND") == 1
    assert "alarm RESIDUAL_HELD" in world.did("alarm")
    holds = [submit.intent for submit in world.submits if "hold" in submit.intent.order_id]
    assert 5 <= len(holds) <= 7
    assert {each.time_in_force for each in holds} == {TimeInForce.GTC}
    bound = Decimal(50_050) * Decimal("0.995") / Decimal("0.999")
    assert all(
        each.price is not None and 0 <= each.price - bound < Decimal("0.01") for each in holds
    )
    assert result.naked_seconds >= 60


async def test_a_resting_hold_that_the_market_takes_ends_the_arbitrage_unwound(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49000", binance="49000")
    world.venues[BUY_VENUE].answers["hold"] = [rests("0.4"), rests("1")]
    result = await (await Run(desk, world, client, HELD).start()).end()
    assert hedges(world) == ["hold-1 sell 0.1 at binance", "hold-2 sell 0.06 at binance"]
    assert (result.status, result.residual_quantity) == (ExecutionStatus.UNWOUND, 0)


async def test_a_market_that_comes_back_is_seen_at_the_next_look(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49000", binance="49000")
    back = moving(rests(), world, okx="50300")
    world.venues[BUY_VENUE].answers["hold"] = [back]
    result = await (await Run(desk, world, client, HELD).start()).end()
    assert hedges(world)[-1].startswith("complete-")
    assert (result.status, result.outcome) == (ExecutionStatus.COMPLETED, Outcome.PROFIT)


async def test_a_hard_stop_that_flattens_trades_the_residual_away_beyond_the_bound(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49000", binance="49000")
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(9)]
    plan = HELD | {"hold_end": "flatten"}
    result = await (await Run(desk, world, client, plan).start()).end()
    assert hedges(world)[-1].startswith("flatten-")
    assert result.residual_quantity == 0
    assert result.actual_profit == Decimal("-109.9")  # 0.1 x (49000 x 0.999 - 50050)
    assert result.status is ExecutionStatus.UNWOUND


async def test_a_cancel_ends_the_holding(client: Client, desk: Desk) -> None:
    world = collapsing(okx="49000", binance="49000")
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(99)]
    run = await Run(desk, world, client, {"hold_retry": "3000", "hold_for": "86400"}).start()
    await run.until_did("submit hold-1")
    await run.workflow.signal(names.CANCEL)
    result = await run.end()
    assert (result.status, result.residual_quantity) == (ExecutionStatus.RESIDUAL_HELD, AMOUNT)
    assert "cancel hold-1" in world.did("cancel")


async def test_a_long_hold_goes_on_in_new_runs_and_forgets_nothing(
    client: Client, desk: Desk
) -> None:
    world = collapsing(okx="49000", binance="49000")
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(2_000)]
    plan = {"hold_retry": "10", "hold_for": "2000"}
    run = await Run(desk, world, client, plan).start()
    first_run = run.workflow.first_execution_run_id
    result = await asyncio.wait_for(run.workflow.result(), 120)
    latest = await client.get_workflow_handle(run.id).describe()
    assert latest.run_id != first_run
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert {"buy", "sell"} <= {leg.leg for leg in result.orders}
    assert result.residual_quantity == AMOUNT == world.exposure()
    assert result.naked_seconds >= 2000
    names_sent = [submit.intent.order_id for submit in world.submits]
    assert len(set(names_sent)) == len(names_sent)


# --- a lost workflow ------------------------------------------------------------------------------


def left(
    venue: Venue, execution_id: str, side: Side, *, status: ChildStatus, executed: str | None
) -> KnownLeg:
    """A leg as the ledger knows it; with `executed` the venue has it, open."""
    order_id = f"{execution_id}:{side}"
    request = OrderRequest(
        strategy_id="arbitrage",
        exchange=venue.name,
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=AMOUNT,
        price=Decimal(50_050) if side is Side.BUY else Decimal("50449.5"),
    )
    intent = ChildIntent(
        client_order_id=client_order_id(order_id, 0),
        order_id=order_id,
        child_index=0,
        strategy_id="arbitrage",
        account="main",
        venue=venue.name,
        symbol=SYMBOL,
        side=side,
        child_type=ChildType.LIMIT,
        quantity=AMOUNT,
        price=request.price,
    )
    if executed is not None:
        order = venue.orders[intent.client_order_id] = Order(intent)
        venue.trade(order, Decimal(executed))
    known = status in (ChildStatus.WORKING, ChildStatus.FILLED)
    return KnownLeg(
        order_id=order_id,
        request=request,
        intent=intent,
        attempt=1,
        status=status,
        report=venue.orders[intent.client_order_id].report if known else None,
    )


@pytest.mark.parametrize(
    ("buy", "sell", "hedge", "end"),
    [
        ((ChildStatus.WORKING, "0"), (ChildStatus.WORKING, "0"), [], ExecutionStatus.CANCELLED),
        ((ChildStatus.READY, None), (ChildStatus.READY, None), [], ExecutionStatus.CANCELLED),
        (
            (ChildStatus.FILLED, "0.1"),
            (ChildStatus.READY, None),
            ["complete-1 sell 0.1 at okx"],
            None,
        ),
        (
            (ChildStatus.SENDING, "0.1"),
            (ChildStatus.WORKING, "0.04"),
            ["complete-1 sell 0.06 at okx"],
            None,
        ),
        (
            (ChildStatus.UNKNOWN, None),
            (ChildStatus.SENDING, "0.1"),
            ["complete-1 buy 0.1 at binance"],
            None,
        ),
        ((ChildStatus.SENDING, "0.1"), (ChildStatus.SENDING, "0.1"), [], None),
    ],
)
async def test_what_a_lost_workflow_left_is_settled_and_compensated_and_never_sent(
    client: Client,
    desk: Desk,
    buy: tuple[ChildStatus, str | None],
    sell: tuple[ChildStatus, str | None],
    hedge: list[str],
    end: ExecutionStatus | None,
) -> None:
    world = two_venues()
    run = Run(desk, world, client)
    world.opened_as = OpenExecutionKind.ADOPTED
    world.legs = tuple(
        left(world.venues[venue], run.id, side, status=state[0], executed=state[1])
        for venue, side, state in (
            (BUY_VENUE, Side.BUY, buy),
            (SELL_VENUE, Side.SELL, sell),
        )
    )
    result = await (await run.start()).end()
    assert hedges(world) == hedge
    assert [step for step in world.did("submit") if "-" not in step] == []
    assert result.residual_quantity == 0
    assert result.status.is_terminal
    if end is not None:
        assert result.status is end
