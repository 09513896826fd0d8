"""What the README shows of curl and the `temporal` program, run in its order on the real engine.

Only the port is another one. A command must be understood and do what the text around it says;
those whose stack is a larger one, or that would stop the others, are named here with what they do.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.world import World, until
from workers.embedded_temporal import binary

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 30
STOPS_ALL = ("-X PUT", "/api/v1/trading-state")
ELSEWHERE = {
    "/api/v1/arbitrage": (422,),  # this engine has one exchange
    "/api/v1/rebalance": (422,),
    "/api/v1/alarms/17/ack": (404,),  # and no alarm of that number
}
STRATEGY = "strategy_001"
STEERED = "my-twap-9"
"""The order that our own command line starts in the README, for those of curl that steer it."""


def commands() -> list[str]:
    """The commands of the blocks that show a console, continued lines joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in shown if line.startswith(("curl ", "temporal "))]


async def run(line: str, world: World, folder: Path) -> tuple[int, str]:
    """The exit code and all that it printed."""
    port = world.stack.settings.api_port
    programs = f"{binary().parent}:{Path(sys.executable).parent}:{os.defpath}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line.replace(":8003", f":{port}")),
        cwd=folder,
        env={
            "PATH": programs,
            "HOME": str(folder),
            "TEMPORAL_ADDRESS": world.stack.temporal_address,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _none = await asyncio.wait_for(process.communicate(), WITHIN_S)
    return process.returncode or 0, out.decode()


async def status(line: str, world: World, folder: Path) -> int:
    """The HTTP status that a command of curl is answered with."""
    code, out = await run(f"{line} -o answer -w '\\n%{{http_code}}'", world, folder)
    assert code == 0, (line, out)
    return int(out.splitlines()[-1])


async def test_each_command_of_the_readme_is_answered(world: World, tmp_path: Path):
    (tmp_path / ".delta").symlink_to(world.stack.settings.home.root)
    steered = {"order_type": "twap", "quantity": "0.5", "twap_slices": 20, "twap_interval": "6"}
    await world.place(order_id=STEERED, strategy_id=STRATEGY, **steered)
    try:
        for line in commands():
            if not all(part in line for part in STOPS_ALL):
                await _run_and_judge(line, world, tmp_path)
    finally:
        await _end_all(world)


async def _run_and_judge(line: str, world: World, folder: Path) -> None:
    if line.startswith("temporal"):
        code, out = await run(line, world, folder)
        assert code == 0, (line, out)
        return
    answered = await status(line, world, folder)
    wanted = next((ELSEWHERE[path] for path in ELSEWHERE if path in line), (200, 201, 202))
    assert answered in wanted, (line, (folder / "answer").read_text())


async def _end_all(world: World) -> None:
    """Nothing that these commands started goes on beside other tests."""

    async def is_over() -> bool:
        running, _ = await world.views.orders(strategy_id=STRATEGY, is_open=True)
        await asyncio.gather(
            *(world.orders.cancel(order.order_id) for order in running), return_exceptions=True
        )
        return not running

    await until(is_over, within_s=30)
