"""What starts no arbitrage: bad plans, markets that cannot be trusted, the ledger's no.

Each with its code, and nothing reserved or sent.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import BUY_VENUE, PLAN, SELL_VENUE, Run, two_venues
from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.scripted_answers import rests
from tests.workflows.scripted_venue import SYMBOL, levels
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.execution_messages import ArbitrageSnapshot
from workflows.ports import OpenExecutionKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAITS = {"leg_time_in_force": "GTC", "timeout": "30"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


def _legs(*sides: str) -> list[dict[str, Any]]:
    return [
        {"exchange": BUY_VENUE, "side": side, "price": "50000", "symbol": SYMBOL, "amount": "0.1"}
        for side in sides
    ]


BAD_PLANS: list[tuple[dict[str, Any], DenialCode, str | None]] = [
    ({"sell_exchange": BUY_VENUE}, DenialCode.SAME_VENUE, "sell_exchange"),
    ({"amount": "0"}, DenialCode.NOT_POSITIVE, "amount"),
    ({"amount": "1e-1x"}, DenialCode.INVALID_DECIMAL, "amount"),
    ({"buy_price": "-1"}, DenialCode.NOT_POSITIVE, "buy_price"),
    ({"est_profit": "500"}, DenialCode.INCONSISTENT_PLAN, "est_profit"),
    ({"timeout": "0"}, DenialCode.OUT_OF_RANGE, "timeout"),
    ({"timeout": "100000"}, DenialCode.OUT_OF_RANGE, "timeout"),
    ({"orders": _legs("buy", "sell", "buy")}, DenialCode.UNSUPPORTED_LEGS, "orders"),
    ({"mode": "both"}, DenialCode.UNKNOWN_ENUM, "mode"),
    ({"colour": "red"}, DenialCode.UNKNOWN_FIELD, "colour"),
    ({"symbol": "ABC/USDT"}, DenialCode.UNKNOWN_SYMBOL, "symbol"),
    ({"amount": "0.0001"}, DenialCode.OUT_OF_RANGE, "amount"),
    ({"min_profit": "100"}, DenialCode.BELOW_MIN_PROFIT, None),
    ({"min_profit_worst": "35"}, DenialCode.BELOW_MIN_PROFIT, None),
    ({"buy_price": "49800"}, DenialCode.SLIPPAGE, None),
    ({"sell_price": "50700"}, DenialCode.SLIPPAGE, None),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD_PLANS)
async def test_a_plan_that_cannot_be_worked_is_denied_and_nothing_is_reserved(
    client: Client, desk: Desk, change: dict[str, Any], code: DenialCode, field: str | None
) -> None:
    run = await Run(desk, two_venues(), client, change).start()
    result = await run.end()
    assert (result.status, result.code) == (ExecutionStatus.DENIED, code), result.error
    if field is not None:
        assert result.field == field
    assert (run.world.accepted, run.world.submits) == ([], [])


def _without_depth(world: ExecutionWorld) -> None:
    for venue in world.venues.values():
        known = venue.listings[SYMBOL]
        known.asks = levels((known.asks[0].price, "0.00005"), ("60000", "9"))


def _without_funds(world: ExecutionWorld) -> None:
    world.venues[SELL_VENUE].free["BTC"] = Decimal(0)


def _without_a_book(world: ExecutionWorld) -> None:
    world.venues[SELL_VENUE].listings[SYMBOL].bids = ()


def _halted(world: ExecutionWorld) -> None:
    known = world.venues[BUY_VENUE].listings[SYMBOL]
    known.instrument = replace(known.instrument, is_trading=False)


def _without_a_grid(world: ExecutionWorld) -> None:
    known = world.venues[BUY_VENUE].listings[SYMBOL]
    known.instrument = replace(known.instrument, step=Decimal(0))


def _apart(world: ExecutionWorld) -> None:
    world.venues[SELL_VENUE].read_age_ms = 700


def _slow(world: ExecutionWorld) -> None:
    world.venues[SELL_VENUE].views_take_s = 0.2


def _silent(world: ExecutionWorld) -> None:
    world.venues[SELL_VENUE].views_fail = True


BAD_MARKETS: list[tuple[Any, dict[str, Any], DenialCode]] = [
    (_without_depth, {}, DenialCode.INSUFFICIENT_DEPTH),
    (_without_funds, {}, DenialCode.INSUFFICIENT_FUNDS),
    (_without_a_book, {}, DenialCode.RISK_STALE_REF),
    (_halted, {}, DenialCode.SYMBOL_NOT_TRADING),
    (_without_a_grid, {}, DenialCode.SYMBOL_RULES_INVALID),
    (_apart, {}, DenialCode.BOOK_SKEW),
    (_slow, {"max_age": "0.1"}, DenialCode.STALE_BOOK),
    (_silent, {}, DenialCode.NOT_ACCEPTED_IN_TIME),
]


@pytest.mark.parametrize(("spoil", "change", "code"), BAD_MARKETS)
async def test_a_market_that_cannot_be_trusted_starts_nothing(
    client: Client, desk: Desk, spoil: Any, change: dict[str, Any], code: DenialCode
) -> None:
    world = two_venues()
    spoil(world)
    result = await (await Run(desk, world, client, change).start()).end()
    assert (result.status, result.code) == (ExecutionStatus.DENIED, code), result.error
    assert (world.accepted, world.submits) == ([], [])


@pytest.mark.parametrize(
    "code",
    [
        DenialCode.PAIR_BUSY,
        DenialCode.TRADING_HALTED,
        DenialCode.TRADING_REDUCING,
        DenialCode.RECONCILING,
        DenialCode.RISK_MAX_NOTIONAL,
        DenialCode.RISK_MAX_POSITION,
    ],
)
async def test_what_the_ledger_denies_for_one_leg_is_sent_for_neither(
    client: Client, desk: Desk, code: DenialCode
) -> None:
    world = two_venues()
    world.denials["sell"] = [Denied(code=code, detail="the ledger's own words")]
    result = await (await Run(desk, world, client).start()).end()
    assert (result.status, result.code) == (ExecutionStatus.DENIED, code)
    assert "the ledger's own words" in result.error
    assert world.submits == []


async def test_an_id_that_was_used_before_tells_the_end_of_then(client: Client, desk: Desk) -> None:
    stored = ArbitrageSnapshot(execution_id="x", status=ExecutionStatus.UNWOUND, error="of then")
    world = two_venues()
    world.opened_as = OpenExecutionKind.FINISHED
    world.stored = stored.model_dump_json(exclude_none=True)
    result = await (await Run(desk, world, client).start()).workflow.result()
    assert result == stored
    assert (world.accepted, world.submits, world.saved) == ([], [], [])


async def test_another_plan_under_a_running_id_is_told_so(client: Client, desk: Desk) -> None:
    run = await Run(
        desk, two_venues({"buy": [rests()]}, {"sell": [rests()]}), client, WAITS
    ).start()
    await run.until_resting("buy")
    answers = [
        await run.workflow.execute_update(names.ACCEPT, plan, result_type=ArbitrageSnapshot)
        for plan in (PLAN | WAITS, PLAN | WAITS | {"amount": "0.2"})
    ]
    await run.workflow.signal(names.CANCEL)
    await run.end()
    assert [answer.code for answer in answers] == [None, DenialCode.IDEMPOTENCY_CONFLICT]
    assert answers[0].status is ExecutionStatus.RUNNING
