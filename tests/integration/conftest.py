"""A real PostgreSQL for the integration tests, made and run as the local stack does it.

`postgres_url` is one migrated server per session; `database_url` is a fresh copy of the migrated
database for each test, so tests never see each other's rows.
"""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from activities.ledger.migrate import upgrade
from tests.e2e.world import free_ports
from tests.integration.ledger_world import World, open_world
from workers import embedded_postgres
from workers.home import Home

START_WITHIN_S = 60
TEMPLATE = "ledger_template"
_serial = itertools.count(1)


async def _until_ready(
    cluster: embedded_postgres.Cluster, server: "subprocess.Popen[bytes]"
) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "postgres ended while it started"
        try:
            if await cluster.ready():
                return
        except OSError:
            pass  # not listening yet
        await asyncio.sleep(0.05)
    raise TimeoutError(f"postgres was not ready within {START_WITHIN_S} s")


def _run(cluster: embedded_postgres.Cluster, log: Path) -> "subprocess.Popen[bytes]":
    uid, gid = cluster.user or (None, None)
    with log.open("wb") as output:
        return subprocess.Popen(
            cluster.argv(),
            env=cluster.env(),
            user=uid,
            group=gid,
            cwd="/",
            extra_groups=None if cluster.user is None else [],
            stdout=output,
            stderr=output,
        )


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the server's maintenance database, whose users all have its owner's password."""
    home = Home(tmp_path_factory.mktemp("postgres"))
    home.make()
    cluster = embedded_postgres.cluster(home, free_ports(1))
    asyncio.run(cluster.before_start(""))
    server = _run(cluster, home.logs / "postgres.log")
    try:
        asyncio.run(_until_ready(cluster, server))
        base = f"postgresql://{embedded_postgres.ROLE}:{cluster.password}@127.0.0.1:{cluster.port}"
        asyncio.run(_execute(f"{base}/postgres", f"CREATE DATABASE {TEMPLATE}"))
        for role in embedded_postgres.LOGINS:
            alike = f"ALTER ROLE {role} PASSWORD '{cluster.password}'"
            asyncio.run(_execute(f"{base}/postgres", alike))
        upgrade(f"{base}/{TEMPLATE}")
        yield f"{base}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # its "fast shutdown"
        server.wait(30)
        embedded_postgres.remove(home)
        shutil.rmtree(home.root, ignore_errors=True)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _new_database(postgres_url: str, template: str) -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_serial)}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres_url.removesuffix("/postgres") + f"/{name}"
    await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A migrated, empty ledger of the test's own."""
    async for url in _new_database(postgres_url, TEMPLATE):
        yield url


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A database without any table."""
    async for url in _new_database(postgres_url, "template1"):
        yield url


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[World]:
    """A store and views on an empty ledger whose one account is ready."""
    async with open_world(database_url) as world:
        yield world
