"""Legs of executions beside other orders: what they count, and in what order they wait."""

import asyncio

import asyncpg

from tests.integration.execution_world import OTHER, a_pair, accept, an_execution, ready
from tests.integration.ledger_world import EXCHANGE, World
from workflows.domain.denials import DenialCode


async def test_a_leg_that_is_one_order_too_many_disables_its_strategy(ledger: World) -> None:
    """What its own check wrote of that is undone together with the legs."""
    await ready(ledger)
    await ledger.rows(
        "INSERT INTO risk_limits (scope, name, value) "
        "VALUES ('strategy:s1', 'max_parents_per_day', 1)"
    )
    for name in ("arb-1", "arb-2"):
        await ledger.executions.open_execution(an_execution(name))
        legs = a_pair(name)
        verdict = await accept(ledger, *legs, execution_id=name, locks=())
        assert verdict.denied is not None
        assert verdict.denied.code is DenialCode.STRATEGY_DISABLED
        assert verdict.denied_leg == legs[1 if name == "arb-1" else 0].order_id
        await ledger.rows("UPDATE strategy_counters SET day = day - 1")  # a new day arms nothing
    why = await ledger.value("SELECT disabled FROM strategy_counters")
    assert why == "parents_today=1 max=1"
    assert await ledger.alarms() == ["STRATEGY_DISABLED"]
    assert await ledger.value("SELECT count(*) FROM audit") == 1


async def test_legs_that_ask_again_wait_in_the_order_of_everybody(ledger: World) -> None:
    for venue, asset in ((EXCHANGE, "USDT"), (OTHER, "BTC")):
        await ledger.rows(
            "INSERT INTO account_balances (exchange, account, asset, amount) "
            "VALUES ($1, 'main', $2, 0)",
            venue,
            asset,
        )
    await ready(ledger)
    await ledger.executions.open_execution(an_execution())
    legs = tuple(reversed(a_pair()))
    assert (await accept(ledger, *legs)).denied is None
    balance = "SELECT amount FROM account_balances WHERE exchange = $1 FOR UPDATE NOWAIT"
    is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    other = await asyncpg.connect(ledger.url)
    try:
        async with other.transaction():
            await other.execute(balance, EXCHANGE)
            again = asyncio.create_task(accept(ledger, *legs))
            async with asyncio.timeout(5):
                while not await ledger.value(is_waiting):
                    await asyncio.sleep(0.01)
            await other.execute(balance, OTHER)  # nobody holds it yet
        assert (await again).denied is None
    finally:
        await other.close()
