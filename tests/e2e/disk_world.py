"""The engine on disks so small that a test can fill them: the ledger's, and the logs'.

Rule: they are real file systems that are full, not failures that are played. Only root may mount
them; elsewhere these tests are skipped as NOT RUN. It must not know any single test.
"""

import asyncio
import errno
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api_client import open_client
from tests.e2e.world import World, open_world
from workers import embedded_postgres
from workers.home import Home
from workers.supervisor import RestartBound

LEDGER_BYTES, LOG_BYTES = 200 * 1024**2, 8 * 1024**2
ACCEPT_TIMEOUT_S = 3
_CHUNKS = (1024**2, 4096, 1)
_OFTEN = RestartBound(deaths=1000, first_deaths=20)


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system of its own."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not one more byte fits, until the block ends."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in _CHUNKS:
                _write_all(file, b"\0" * size)
        try:
            yield
        finally:
            ballast.unlink()


@dataclass
class Disks:
    """The running engine, its API, and where its ledger and its logs are."""

    world: World
    api: httpx.AsyncClient
    ledger: Disk
    logs: Disk
    data: Path
    """The data folder of the ledger's server."""

    def body(self, **fields: Any) -> dict[str, Any]:
        """An order as JSON: see World.request."""
        return self.world.request(**fields).model_dump(mode="json", exclude_none=True)

    async def post(self, body: dict[str, Any], _api: str = "") -> httpx.Response:
        return await self.api.post("/api/v1/orders", json=body)

    async def copy_ledger(self, to: Path) -> None:
        """A backup, as it is made of a server that is down."""
        await _run("cp", "-a", str(self.data), str(to))

    async def restore_ledger(self, backup: Path) -> None:
        """The server, which is down, has the data of the backup."""
        await asyncio.to_thread(shutil.rmtree, self.data)
        await _run("cp", "-a", str(backup), str(self.data))


@asynccontextmanager
async def open_disks(folder: Path) -> AsyncIterator[Disks]:
    """Start everything on small disks, and leave nothing behind. Skips where it may not mount."""
    home = Home(folder / "delta")
    home.make()
    data = embedded_postgres.cluster(home, 1).data
    with _mounted(data.parent, LEDGER_BYTES) as ledger, ExitStack() as of_logs:
        logs = of_logs.enter_context(_mounted(home.logs, LOG_BYTES))
        changes = {"ACCEPT_TIMEOUT": str(ACCEPT_TIMEOUT_S)}
        async with (
            open_world(folder, bound=_OFTEN, changes=changes) as world,
            open_client(world.stack.settings, timeout=20) as api,
        ):
            try:
                yield Disks(world, api, ledger, logs, data)
            finally:
                of_logs.close()  # the engine deletes the folder it is mounted on


@contextmanager
def _mounted(folder: Path, size: int) -> Iterator[Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=711"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("NOT RUN: needs the right to mount a small disk (root)")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def _write_all(file: Any, chunk: bytes) -> None:
    try:
        while True:
            file.write(chunk)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command
