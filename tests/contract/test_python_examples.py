"""The Python examples against the running engine, each run as its first lines say."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.e2e.proof import assert_ledger_is_exchange, assert_tasks_never_failed
from tests.e2e.world import World

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 150


async def run(*arguments: str, **environment: str) -> str:
    """What the example printed; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env={"PATH": os.defpath} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, error.decode()
    return out.decode()


@pytest.fixture
def order_id(world: World) -> str:
    """An id that no order has."""
    world.made += 1
    return f"py-{os.getpid()}-{world.made}"


async def test_by_temporal_alone_an_order_is_followed_and_cancelled(world: World, order_id: str):
    out = await run(
        *("examples/python/temporal_native.py", order_id, "2"),
        TEMPORAL_ADDRESS=world.stack.temporal_address,
        STRATEGY_ID=order_id,
    )
    told = json.loads("{" + out.partition("{")[2])
    assert (told["order_id"], told["status"]) == (order_id, "cancelled")
    assert told["reason"] == "the example has seen enough"
    assert told["twap"]["slices_filled"] >= 2
    await assert_tasks_never_failed(world, order_id)
    await assert_ledger_is_exchange(world)


async def test_over_http_fills_are_heard_as_they_are_booked(world: World, order_id: str):
    out = await run(
        *("-m", "examples.python.over_http", order_id, "2"),
        **world.stack.settings.as_environ(),
        STRATEGY_ID=order_id,
    )
    heard = re.findall(r"^event (\d+): 0\.01 BTC at 50001$", out, re.MULTILINE)
    assert len(heard) == 2
    assert int(heard[0]) < int(heard[1])
    told = json.loads("{" + out.partition("{")[2])
    assert (told["order_id"], told["status"]) == (order_id, "cancelled")
    await assert_ledger_is_exchange(world)


async def test_the_page_of_the_contract_tells_each_field_of_these_events(world: World):
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| (`.*`) \|$", page, re.MULTILINE)
    told = {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}
    async with world.database.connect() as connection:
        events = (await connection.execute(text("SELECT kind, data FROM events"))).all()
    seen = {kind: set(data) for kind, data in events}
    assert {"order", "fill", "position"} <= set(seen)
    for kind, fields in seen.items():
        assert fields == told[kind], kind
