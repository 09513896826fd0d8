"""The plain `temporal` program against the running engine, and what a stranger may send with it.

Rule: it is started with no settings of this machine, and knows nothing of ours but the names in
the documentation: task queue, workflow types, signals, updates and the query.
"""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

from tests.e2e.proof import assert_tasks_never_failed
from tests.e2e.world import World
from workers.embedded_temporal import binary

CALL_WITHIN_S = 30
PLAIN_TEXT = ("--input", "nonsense", "--input-meta", "encoding=text/plain")
BYTES = ("--input", "/wABAg==", "--input-base64", "--input-meta", "encoding=binary/plain")
DOUBLED = ("--input", '{"reason":"a","reason":"b"}')  # the program itself refuses worse JSON
NULL = ("--input", "null")
TWO = ("--input", "{}", "--input", "{}")
NO_BODY: list[tuple[tuple[str, ...], str]] = [
    ((), "INVALID_INPUT"),
    (NULL, "INVALID_TYPE"),
    (("--input", "[]"), "INVALID_TYPE"),
    (("--input", '"x"'), "INVALID_TYPE"),
    (("--input", "{}"), "MISSING_FIELD"),
    (TWO, "MISSING_FIELD"),
    (PLAIN_TEXT, "INVALID_JSON"),
    (BYTES, "INVALID_JSON"),
    (DOUBLED, "DUPLICATE_FIELD"),
]
"""Inputs of a start that are no order and no plan, with the code of each."""
CANCELS: list[tuple[tuple[str, ...], str]] = [
    ((), "user_request"),
    (("--input", '{"reason":"user_request"}'), "user_request"),
    (("--input", '{"reason":"enough"}'), "enough"),
    (("--input", "{}"), "user_request"),
    (("--input", '"enough"'), "enough"),
    (NULL, "user_request"),
    (("--input", "5"), "unreadable"),
    (("--input", "[1,2]"), "unreadable"),
    (("--input", '{"reason":5}'), "unreadable"),
    (("--input", '{"why":"enough"}'), "unreadable"),
    (("--input", '{"reason":"enough"}', "--input", "5"), "enough"),
    (PLAIN_TEXT, "unreadable"),
    (BYTES, "unreadable"),
    (DOUBLED, "unreadable"),
]
"""Inputs of a cancel, with the reason that each is read as."""


def order(strategy_id: str, **fields: Any) -> str:
    """A market order's JSON unless changed, with numbers; None leaves a field out."""
    body = {
        "strategy_id": strategy_id,
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": 0.01,
    } | fields
    return json.dumps({name: value for name, value in body.items() if value is not None})


@dataclass
class Said:
    """How a call of the program ended."""

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.error
        return json.loads(self.out)


@dataclass
class TemporalCli:
    """The `temporal` program against the running engine, and the workflows it started."""

    world: World
    home: str

    async def __call__(self, *arguments: str) -> Said:
        """`temporal workflow ARGUMENTS`, with no settings of this machine."""
        process = await asyncio.create_subprocess_exec(
            *(str(binary()), "workflow", *arguments),
            *("--address", self.world.stack.temporal_address, "--output", "json"),
            env={"PATH": os.defpath, "HOME": self.home},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(), CALL_WITHIN_S)
        return Said(process.returncode or 0, out.decode(), error.decode())

    async def start(self, kind: str, order_id: str, *inputs: str) -> None:
        """Start a workflow of this type under this id."""
        started = await self(
            *("start", "--task-queue", "orders", "--type", kind, "--workflow-id", order_id),
            *inputs,
        )
        assert started.json["workflowId"] == order_id

    async def progress(self, order_id: str) -> Any:
        """What the query tells."""
        asked = await self("query", "--workflow-id", order_id, "--type", "progress")
        return asked.json["queryResult"][0]

    async def tell(self, workflow_id: str, name: str, *inputs: str) -> None:
        """Send a signal."""
        said = await self("signal", "--workflow-id", workflow_id, "--name", name, *inputs)
        assert said.code == 0, said.error

    async def update(self, workflow_id: str, name: str, *inputs: str) -> Any:
        """What an update answers."""
        return (await self._update(workflow_id, name, *inputs)).json["result"]

    async def refusal(self, workflow_id: str, name: str, *inputs: str) -> str:
        """What is said of an update that is refused."""
        said = await self._update(workflow_id, name, *inputs)
        assert said.code != 0, said.out
        return said.out + said.error

    async def _update(self, workflow_id: str, name: str, *inputs: str) -> Said:
        return await self(
            *("update", "execute", "--workflow-id", workflow_id, "--name", name), *inputs
        )

    async def result(self, order_id: str) -> Any:
        """The result of a workflow that completed without a failed task."""
        ended = (await self("result", "--workflow-id", order_id)).json
        assert ended["status"] == "COMPLETED", ended
        await assert_tasks_never_failed(self.world, order_id)
        return ended["result"]
