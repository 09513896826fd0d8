"""A limit that fits ten orders lets exactly ten pass, whoever asks, and whoever dies meanwhile."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from decimal import Decimal
from pathlib import Path

from tests.integration.ledger_world import (
    EXCHANGE,
    REFERENCE,
    SIGNED_AT_MS,
    World,
    a_report,
    open_world,
)
from tests.integration.risk_racer import LIMITS, place
from workflows.domain.limits import LimitName, account_scope
from workflows.domain.reports import VenueStatus

ROOT = Path(__file__).resolve().parents[2]
CASES = {
    "c4": "RISK_MAX_POSITION",
    "c5": "RISK_MAX_EXPOSURE",
    "c11": "INSUFFICIENT_FUNDS",
}
ORDERS, FITTING, PROCESSES = 100, 10, 3
DIES_AFTER = 20
"""Answers of a process, of all cases, before it is killed."""
_HELD = """
    SELECT client_order_id FROM reservations
    WHERE account = $1 AND state = 'open' ORDER BY client_order_id
"""


async def _prepared(world: World) -> None:
    """Each case has an account of its own, and exactly one limit that binds."""
    for case in CASES:
        await world.store.set_readiness(EXCHANGE, case, True, Decimal(600), "test")
    await world.rows(
        "INSERT INTO risk_limits (scope, name, value) VALUES ($1, $2, $3)",
        account_scope(EXCHANGE, "c5"),
        LimitName.MAX_EXPOSURE.value,
        FITTING * REFERENCE,
    )
    funds = {"USDT": FITTING * REFERENCE, "BTC": Decimal(0)}
    await world.store.record_opening_balances(EXCHANGE, "c11", funds)


async def _start(url: str, names: list[str]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.risk_racer", url, *names),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )


def _go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def _killed_after(process: Process, answers: int) -> None:
    assert process.stdout is not None
    for _ in range(answers):
        assert await process.stdout.readline(), "it ended too early to be killed"
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def _finished(process: Process) -> None:
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()


async def test_of_a_hundred_orders_from_three_processes_exactly_those_pass_that_fit(
    database_url: str,
) -> None:
    async with open_world(database_url, LIMITS) as world:
        await _prepared(world)
        names = [f"{case}-{number}" for case in CASES for number in range(ORDERS)]
        random.Random(11).shuffle(names)
        shares = [names[first::PROCESSES] for first in range(PROCESSES)]
        dying, *others = [await _start(database_url, share) for share in shares]
        heir = await _start(database_url, shares[0])
        for process in (dying, *others):
            _go(process)
        await _killed_after(dying, DIES_AFTER)
        _go(heir)
        await asyncio.gather(*map(_finished, (heir, *others)))
        for case, code in CASES.items():
            await _assert_exactly_those_passed(world, case, code)
            await _assert_all_comes_back(world, case)


async def _assert_exactly_those_passed(world: World, case: str, code: str) -> None:
    held = await world.rows(_HELD, case)
    assert len(held) == FITTING, case
    answers = await world.rows(
        "SELECT DISTINCT coalesce(code, verdict) AS answer FROM risk_checks WHERE subject IN "
        "(SELECT order_id FROM parent_orders WHERE account = $1 UNION "
        "SELECT client_order_id FROM child_orders WHERE account = $1)",
        case,
    )
    assert {row["answer"] for row in answers} == {"approved", code}
    orders = "SELECT count(*) FROM parent_orders WHERE account = $1"
    assert await world.value(orders, case) == ORDERS
    assert await place(world.store, f"{case}-{ORDERS}") == code


async def _assert_all_comes_back(world: World, case: str) -> None:
    """Half of the orders are given up, half end at the venue without a fill."""
    held = [row["client_order_id"] for row in await world.rows(_HELD, case)]
    for number, child in enumerate(held):
        if number % 2:
            await world.store.give_up(child, "test")
            continue
        stored = await world.store.child_by_id(child)
        assert stored is not None
        assert await world.store.claim(child, 1, SIGNED_AT_MS) is None
        ended = a_report(VenueStatus.CANCELLED, venue_order_id=f"v-{child}")
        await world.ack(stored.intent, ended)
    assert await world.rows(_HELD, case) == []
    again = [await place(world.store, f"{case}-{ORDERS + 1 + each}") for each in range(FITTING)]
    assert again == ["ok"] * FITTING
