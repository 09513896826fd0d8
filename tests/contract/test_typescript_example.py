"""A service in another language: the TypeScript example against the running engine.

It is installed, compiled and run as its page in the README says, in a copy of its folder; only the
address is another one. Where there is no Node, or no registry to install from, it is skipped.
"""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.proof import assert_ledger_is_exchange, assert_tasks_never_failed
from tests.e2e.world import World

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path("examples") / "typescript"
CONTRACT = EXAMPLE / "src" / "contract"
INSTALL = ("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
IMPATIENT = ("--fetch-retries=0", "--fetch-timeout=20000")
WITHIN_S = 90
NO_NETWORK = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|E403")


async def run(folder: Path, *command: str, **environment: str) -> tuple[int, str, str]:
    """The exit code, what it printed, and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(), error.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its packages, compiled."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("the TypeScript example needs node and npm, which are not installed here")
    copy = tmp_path_factory.mktemp("typescript")
    folder = copy / EXAMPLE
    ignored = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(ROOT / EXAMPLE, folder, ignore=ignored)
    shutil.copytree(ROOT / "schemas", copy / "schemas")
    code, _out, error = await run(folder, *INSTALL, *IMPATIENT)
    if code and NO_NETWORK.search(error):
        pytest.skip("the TypeScript example needs packages, and npm's registry does not answer")
    assert code == 0, error
    code, out, error = await run(folder, "npm", "run", "--silent", "build")
    assert code == 0, out + error
    return folder


async def test_its_types_are_those_of_the_schemas(example: Path):
    committed = {path.name: path.read_text() for path in (ROOT / CONTRACT).iterdir()}
    code, _out, error = await run(example, "npm", "run", "--silent", "types")
    assert code == 0, error
    made = {path.name: path.read_text() for path in (example / "src" / "contract").iterdir()}
    assert made == committed, "run: npm run types, in examples/typescript"


async def test_it_starts_an_order_follows_it_cancels_it_and_tells_its_end(
    example: Path, world: World
):
    world.made += 1
    order_id = f"ts-{os.getpid()}-{world.made}"
    code, out, error = await run(
        example,
        *("node", "dist/twap.js", order_id, "2"),
        TEMPORAL_ADDRESS=world.stack.temporal_address,
        STRATEGY_ID=order_id,
    )
    assert code == 0, error
    followed, _brace, result = out.partition("{")
    told = json.loads("{" + result)
    assert re.search(r"^working  slices filled: 1  0\.01 BTC$", followed, re.MULTILINE), followed
    assert (told["order_id"], told["status"]) == (order_id, "cancelled")
    assert told["reason"] == "the example has seen enough"
    assert told["twap"]["slices_filled"] >= 2
    await assert_tasks_never_failed(world, order_id)
    await assert_ledger_is_exchange(world)
