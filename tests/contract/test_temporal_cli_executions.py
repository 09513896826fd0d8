"""Arbitrages and rebalancings with the `temporal` program alone, between both paper exchanges.

Whatever a stranger sends ends in a clear result or changes nothing; no workflow task ever fails,
since one that fails is tried again for ever.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.contract.temporal_cli import (
    CANCELS,
    DOUBLED,
    NO_BODY,
    NULL,
    PLAIN_TEXT,
    TemporalCli,
)
from tests.e2e.arbitrage_world import (
    BTC,
    BUY_VENUE,
    SELL_VENUE,
    Pair,
    assert_books_agree,
    until_rests,
)
from tests.e2e.rebalance_world import shifting
from tests.e2e.world import until

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

TYPES = ("Arbitrage", "Rebalance")
FIRST_SELL = f"1-sell-{BUY_VENUE}-BTC"
LEG = {"symbol": "BTC/USDT", "amount": 0.01, "price": 50000, "exchange": BUY_VENUE, "side": "buy"}
PLANS: dict[str, dict[str, Any]] = {
    "Arbitrage": {
        "symbol": "BTC/USDT",
        "buy_exchange": BUY_VENUE,
        "sell_exchange": SELL_VENUE,
        "buy_price": 50010,
        "sell_price": 49990,
        "amount": 0.01,
        "min_profit": -100,
        "min_profit_worst": -1000,
        "max_age": 10,
        "max_skew": 10,
    },
    "Rebalance": {"exchanges": [BUY_VENUE, SELL_VENUE], "targets": {"BTC": 0.25, "ETH": 0.1}},
}
"""Numbers as a stranger writes them. The arbitrage takes what stands in the books, which stand
still: a busy machine may look at them one after the other."""
CANCELLED_BY = [CANCELS[n] for n in (0, 2, 4, 7, 10, 11, 12, 13)]


class Cli(TemporalCli):
    """The program, and what it starts between two exchanges."""

    async def propose(self, kind: str, execution_id: str, **fields: Any) -> None:
        """Start the usual plan with other fields; None leaves a field out."""
        body = {name: value for name, value in (PLANS[kind] | fields).items() if value is not None}
        await self.start(kind, execution_id, "--input", json.dumps(body))


@pytest.fixture
def cli(pair: Pair, tmp_path) -> Cli:
    return Cli(pair.world, str(tmp_path))


@pytest.fixture
def new_id(pair: Pair) -> Callable[[], str]:
    """Ids that nothing has."""
    return lambda: f"cli-{pair.arbitrage().id}"


# --- executions at work ---------------------------------------------------------------------------


@asynccontextmanager
async def arbitrage_at_work(cli: Cli, pair: Pair) -> AsyncIterator[str]:
    """Both legs rest at their exchanges: what they were to meet is gone when they arrive."""
    plan = {"leg_time_in_force": "GTC", "timeout": 60}
    aimed = pair.arbitrage(BTC, **plan)
    legs = ((BUY_VENUE, "buy"), (SELL_VENUE, "sell"))
    async with pair.baits(BTC):
        rules = {venue: await aimed.aim(venue, leg, "hold_before") for venue, leg in legs}
        await cli.propose("Arbitrage", aimed.id, **aimed.plan)
        for venue, rule in rules.items():
            await pair.control(venue).held(rule)
    for venue, leg in legs:
        await pair.control(venue).release()
        await until_rests(aimed, venue, leg)
    yield aimed.id
    assert not any(aimed.is_open(venue, leg) for venue, leg in legs)
    await pair.clear()


@asynccontextmanager
async def rebalancing_at_work(cli: Cli, pair: Pair) -> AsyncIterator[str]:
    """Its first sell is on its way for as long as this lasts."""
    work = await shifting(pair, 5_000)
    rule = await work.aim(BUY_VENUE, FIRST_SELL, "hold_before")
    await cli.propose("Rebalance", work.id, **work.plan)
    await pair.control(BUY_VENUE).held(rule)
    yield work.id
    await pair.control(BUY_VENUE).release()
    await pair.clear()


async def test_an_arbitrage_is_started_told_and_completed(cli: Cli, pair: Pair, new_id) -> None:
    execution_id = new_id()
    await cli.propose("Arbitrage", execution_id, strategy_id=execution_id)
    assert (await cli.progress(execution_id))["execution_id"] == execution_id
    done = await cli.result(execution_id)
    assert (done["status"], done["residual_quantity"]) == ("completed", "0")
    # the fee of the buy is paid in what was bought
    assert [leg["filled_amount"] for leg in done["orders"]] == ["0.01", "0.00999"]
    assert same(await cli.progress(execution_id), done)
    query = f'StrategyId="{execution_id}" AND OrderType="arbitrage" AND OrderStatus="completed"'
    await until(lambda: _is_listed(cli, query, execution_id))
    await assert_books_agree(pair)


async def _is_listed(cli: Cli, query: str, execution_id: str) -> bool:
    found = (await cli("list", "--query", query)).json
    return [each["execution"]["workflowId"] for each in found] == [execution_id]


async def test_a_rebalancing_is_previewed_and_completed(cli: Cli, pair: Pair, new_id) -> None:
    preview = new_id()
    await cli.propose("Rebalance", preview, preview=True)
    planned = await cli.result(preview)
    assert planned["status"] == "completed"
    assert not planned["orders"]
    assert planned["sells"] or planned["buys"]
    work = await shifting(pair, 5_000)
    await cli.propose("Rebalance", work.id, **work.plan)
    done = await cli.result(work.id)
    assert done["status"] == "completed"
    assert [leg["side"] for leg in done["orders"]] == ["sell", "buy"]
    await assert_books_agree(pair)


@pytest.mark.parametrize("kind", TYPES)
async def test_the_same_plan_again_answers_the_same_and_another_is_a_conflict(
    cli: Cli, new_id, kind
) -> None:
    execution_id, fields = new_id(), {} if kind == "Arbitrage" else {"preview": True}
    await cli.propose(kind, execution_id, **fields)
    first = await cli.result(execution_id)
    await cli.propose(kind, execution_id, **fields)
    assert await cli.result(execution_id) == first
    await cli.propose(kind, execution_id, **fields, timeout=7)
    assert (await cli.result(execution_id))["code"] == "IDEMPOTENCY_CONFLICT"


def same(told: dict[str, Any], other: dict[str, Any]) -> bool:
    """The program shows an empty list of a result as null."""
    one, two = ({name: each[name] or None for name in each} for each in (told, other))
    return one == two


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "reason"), CANCELLED_BY)
async def test_a_cancel_signal_cancels_an_arbitrage_whatever_comes_with_it(
    cli: Cli, pair: Pair, inputs, reason
) -> None:
    async with arbitrage_at_work(cli, pair) as execution_id:
        await cli.tell(execution_id, "cancel", *inputs)
        done = await cli.result(execution_id)
    assert (done["status"], done["error"]) == ("cancelled", reason)


@pytest.mark.parametrize(("inputs", "reason"), CANCELLED_BY[1::3])
async def test_a_cancel_signal_cancels_a_rebalancing_whatever_comes_with_it(
    cli: Cli, pair: Pair, inputs, reason
) -> None:
    async with rebalancing_at_work(cli, pair) as execution_id:
        await cli.tell(execution_id, "cancel", *inputs)
    done = await cli.result(execution_id)
    assert (done["status"], done["error"]) == ("cancelled", reason)
    assert [leg["leg"] for leg in done["orders"]] == [FIRST_SELL]


@pytest.mark.parametrize(("inputs", "reason"), [CANCELLED_BY[1], CANCELLED_BY[5]])
async def test_a_cancel_update_answers_with_the_final_state(
    cli: Cli, pair: Pair, inputs, reason
) -> None:
    async with arbitrage_at_work(cli, pair) as execution_id:
        answer = await cli.update(execution_id, "cancel", *inputs)
        assert (answer["status"], answer["error"]) == ("cancelled", reason)
        assert same(await cli.result(execution_id), answer)


async def test_a_cancel_update_of_a_rebalancing_waits_for_what_is_on_its_way(
    cli: Cli, pair: Pair
) -> None:
    async with rebalancing_at_work(cli, pair) as execution_id:
        answer = asyncio.create_task(cli.update(execution_id, "cancel", *PLAIN_TEXT))
        await until(lambda: _is(cli, execution_id, "cancelling"))
    assert (await answer)["status"] == "cancelled"
    assert same(await cli.result(execution_id), await answer)


async def _is(cli: Cli, execution_id: str, status: str) -> bool:
    return bool((await cli.progress(execution_id))["status"] == status)


async def test_temporals_own_cancel_cancels_an_arbitrage(cli: Cli, pair: Pair) -> None:
    async with arbitrage_at_work(cli, pair) as execution_id:
        assert (await cli("cancel", "--workflow-id", execution_id)).code == 0
        assert (await cli.result(execution_id))["status"] == "cancelled"


# --- other messages -------------------------------------------------------------------------------

SENSELESS = [(), ("--input", "5"), PLAIN_TEXT, DOUBLED]


async def test_messages_that_make_no_sense_change_nothing(cli: Cli, pair: Pair) -> None:
    async with arbitrage_at_work(cli, pair) as execution_id:
        before = await cli.progress(execution_id)
        await asyncio.gather(
            *(
                cli.tell(execution_id, name, *inputs)
                for name in ("execution_report", "no_such_signal")
                for inputs in SENSELESS
            )
        )
        query = ("query", "--workflow-id", execution_id, "--type", "progress")
        await asyncio.gather(*(cli(*query, *inputs) for inputs in SENSELESS))
        verdict = await cli.update(execution_id, "accept")
        assert verdict["status"] == "running"
        others = (NULL, PLAIN_TEXT, DOUBLED, ("--input", json.dumps(PLANS["Arbitrage"])))
        for inputs in others:
            answer = await cli.update(execution_id, "accept", *inputs)
            assert (answer["status"], answer["code"]) == ("denied", "IDEMPOTENCY_CONFLICT")
        now = await cli.progress(execution_id)
        assert (now["status"], now["orders"]) == ("running", before["orders"])
        await cli.tell(execution_id, "cancel")
        assert (await cli.result(execution_id))["status"] == "cancelled"


async def test_messages_that_make_no_sense_change_no_rebalancing(cli: Cli, pair: Pair) -> None:
    async with rebalancing_at_work(cli, pair) as execution_id:
        messages = (cli.tell(execution_id, "execution_report", *inputs) for inputs in SENSELESS)
        await asyncio.gather(*messages)
        answer = await cli.update(execution_id, "accept", *PLAIN_TEXT)
        assert answer["code"] == "IDEMPOTENCY_CONFLICT"
    assert (await cli.result(execution_id))["status"] == "completed"


# --- bad starts -----------------------------------------------------------------------------------

Begin = Callable[[str], Awaitable[None]]


async def _ends(cli: Cli, pair: Pair, begins: dict[str, Begin]) -> dict[str, Any]:
    """How starts ended that must trade nothing; by id, all at once."""
    before = {venue: len(pair.log(venue).orders) for venue in (BUY_VENUE, SELL_VENUE)}
    await asyncio.gather(*(begin(execution_id) for execution_id, begin in begins.items()))
    ended = await asyncio.gather(*(cli.result(execution_id) for execution_id in begins))
    assert {venue: len(pair.log(venue).orders) for venue in before} == before
    return dict(zip(begins, ended, strict=True))


@pytest.mark.parametrize("kind", TYPES)
async def test_a_start_that_is_no_plan_ends_denied(cli: Cli, pair: Pair, new_id, kind) -> None:
    codes = {new_id(): (inputs, code) for inputs, code in NO_BODY}

    def begin(inputs: tuple[str, ...]) -> Begin:
        return lambda execution_id: cli.start(kind, execution_id, *inputs)

    ended = await _ends(cli, pair, {name: begin(inputs) for name, (inputs, _) in codes.items()})
    told = [(codes[name][0], done["status"], done["code"]) for name, done in ended.items()]
    assert told == [(inputs, "denied", code) for inputs, code in NO_BODY]
    for name, done in ended.items():
        assert same(await cli.progress(name), done)


Wrong = tuple[dict[str, Any], str, str]
WRONG: dict[str, list[Wrong]] = {
    "Arbitrage": [
        ({"sell_exchange": BUY_VENUE}, "SAME_VENUE", "sell_exchange"),
        ({"buy_exchange": "nowhere"}, "UNKNOWN_ENUM", "buy_exchange"),
        ({"sell_exchange": "nowhere"}, "UNKNOWN_ENUM", "sell_exchange"),
        ({"account": "nobody"}, "UNKNOWN_ENUM", "account"),
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"symbol": 5}, "INVALID_TYPE", "symbol"),
        ({"amount": "0.00001"}, "OUT_OF_RANGE", "amount"),
        ({"amount": "0.0001"}, "OUT_OF_RANGE", "amount"),
        ({"amount": [1]}, "INVALID_TYPE", "amount"),
        ({"amount": True}, "INVALID_TYPE", "amount"),
        ({"amount": "1e400"}, "INVALID_DECIMAL", "amount"),
        ({"amount": None}, "MISSING_FIELD", "amount"),
        ({"buy_price": 0}, "NOT_POSITIVE", "buy_price"),
        ({"sell_price": -1}, "NOT_POSITIVE", "sell_price"),
        ({"est_profit": 1_000}, "INCONSISTENT_PLAN", "est_profit"),
        ({"timeout": 0}, "OUT_OF_RANGE", "timeout"),
        ({"timeout": 4_000}, "OUT_OF_RANGE", "timeout"),
        ({"orders": [LEG, LEG, LEG]}, "UNSUPPORTED_LEGS", "orders"),
        ({"orders": [LEG, LEG]}, "UNSUPPORTED_LEGS", "orders"),
        ({"orders": [5, 6]}, "INVALID_TYPE", "orders"),
        ({"mode": "both"}, "UNKNOWN_ENUM", "mode"),
        ({"id": "another"}, "FIELD_NOT_ALLOWED", "id"),
        ({"admin": True}, "UNKNOWN_FIELD", "admin"),
        ({"min_profit": 100}, "BELOW_MIN_PROFIT", "min_profit"),
    ],
    "Rebalance": [
        ({"exchanges": [BUY_VENUE, BUY_VENUE]}, "SAME_VENUE", "exchanges"),
        ({"exchanges": [BUY_VENUE, "nowhere"]}, "UNKNOWN_ENUM", "exchanges"),
        ({"exchanges": []}, "MISSING_FIELD", "exchanges"),
        ({"exchanges": BUY_VENUE}, "INVALID_TYPE", "exchanges"),
        ({"targets": {"BTC": 0.7, "ETH": 0.6}}, "INVALID_WEIGHTS", "targets"),
        ({"targets": {"BTC": 0.1, "USDT": 0.2}}, "INVALID_WEIGHTS", "targets"),
        ({"targets": {"BTC": -0.1}}, "OUT_OF_RANGE", "targets"),
        ({"targets": {"BTC": "half"}}, "INVALID_DECIMAL", "targets"),
        ({"targets": {}}, "MISSING_FIELD", "targets"),
        ({"targets": [1]}, "INVALID_TYPE", "targets"),
        ({"targets": {"DOGE": 0.1}}, "MISSING_PRICE", "targets"),
        ({"targets": None}, "MISSING_FIELD", "targets"),
        ({"timeout": 0}, "OUT_OF_RANGE", "timeout"),
        ({"to": "middle"}, "UNKNOWN_ENUM", "to"),
        ({"preview": "yes"}, "INVALID_TYPE", "preview"),
        ({"account": "nobody"}, "UNKNOWN_ENUM", "account"),
        ({"id": "another"}, "FIELD_NOT_ALLOWED", "id"),
    ],
}


@pytest.mark.parametrize("kind", TYPES)
async def test_a_plan_with_a_wrong_field_is_denied_with_its_code(
    cli: Cli, pair: Pair, new_id, kind
) -> None:
    ids = {new_id(): fields for fields, _, _ in WRONG[kind]}

    def begin(fields: dict[str, Any]) -> Begin:
        return lambda execution_id: cli.propose(kind, execution_id, **fields)

    ended = await _ends(cli, pair, {name: begin(fields) for name, fields in ids.items()})
    assert {done["status"] for done in ended.values()} == {"denied"}
    told = [(ids[name], done["code"], done["field"]) for name, done in ended.items()]
    assert told == WRONG[kind]
