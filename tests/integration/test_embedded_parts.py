"""The embedded PostgreSQL and Temporal: real servers, killed and started again on the same data."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from temporalio.client import Client

from tests.e2e.world import free_ports
from workers import embedded_postgres, embedded_temporal, search_attributes
from workers.embedded_postgres import PostgresError
from workers.local_stack import LocalStack, StackRunningError, delete_data
from workers.ports import PortTakenError
from workers.settings import Settings, SettingsError, load_settings

SERVERS = ("postgres", "temporal")


@pytest.fixture
def settings(tmp_path) -> Iterator[Settings]:
    names = ("POSTGRES_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "PAPER_PORT", "API_PORT")
    first = free_ports(len(names))
    ports = {name: str(first + n) for n, name in enumerate(names)}
    settings = load_settings({"DELTA_HOME": str(tmp_path / "home"), **ports})
    yield settings
    delete_data(settings)


async def connect(settings: Settings, password: str | None = None) -> asyncpg.Connection:
    url = settings.owner_dsn().replace("+asyncpg", "")
    return await asyncpg.connect(url, timeout=5, **({"password": password} if password else {}))


async def test_both_servers_survive_sigkill_with_their_data(settings):
    async with LocalStack(settings, kinds=SERVERS) as stack:
        connection = await connect(settings)
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (42)")
        # as in a data folder of the version before, which had no user but the owner
        await connection.execute("DROP ROLE delta_app")
        client = await Client.connect(stack.temporal_address)
        await client.start_workflow("Never", id="kept", task_queue="nobody")
        for name in SERVERS:
            await stack.kill(name)
        for name in SERVERS:
            await stack.wait_healthy(name)
        connection.terminate()
        again = await connect(settings)
        assert await again.fetchval("SELECT n FROM kept") == 42
        await again.close()
        engine = await asyncpg.connect(settings.dsn().replace("+asyncpg", ""), timeout=5)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await engine.fetch("SELECT * FROM kept")
        await engine.close()
        client = await Client.connect(stack.temporal_address)
        description = await client.get_workflow_handle("kept").describe()
        assert description.workflow_type == "Never"


async def test_postgresql_is_durable_loopback_only_and_wants_the_password(settings):
    async with LocalStack(settings, kinds=["postgres"]):
        connection = await connect(settings)
        shown = {}
        names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        for name in (*names, "unix_socket_directories", "server_version_num"):
            shown[name] = await connection.fetchval(f"SHOW {name}")
        method = await connection.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await connect(settings, password="wrong")
    version = int(shown.pop("server_version_num"))
    assert version >= 150_000
    assert list(shown.values()) == ["on", "on", "on", "127.0.0.1", ""]
    assert [row["auth_method"] for row in method] == ["scram-sha-256"]
    assert (settings.home.secret_path("postgres-password").stat().st_mode & 0o777) == 0o600


async def test_a_half_made_cluster_is_made_again(settings):
    cluster = embedded_postgres.cluster(make(settings).home, settings.postgres_port)
    part = cluster.data.with_name("data.part")
    part.mkdir(parents=True)
    (part / "PG_VERSION").write_text("16")
    async with LocalStack(settings, kinds=["postgres"]):
        connection = await connect(settings)
        await connection.close()
    assert not part.exists()


def make(settings: Settings) -> Settings:
    settings.home.make()
    (settings.home.run / "supervisor.lock").touch()
    return settings


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_as_root_no_existing_folder_is_widened_and_the_data_is_where_the_user_can_go(settings):
    home = make(settings).home
    folders = [home.root, *home.root.parents]
    modes = [folder.stat().st_mode for folder in folders]
    home.root.parent.chmod(0o700)
    cluster = embedded_postgres.cluster(home, settings.postgres_port)
    assert cluster.user is not None
    assert 0 not in cluster.user
    assert embedded_postgres.ROOT_BASE in cluster.data.parents
    assert cluster.data == embedded_postgres.cluster(home, settings.postgres_port).data
    assert str(cluster.data.parent) in (cluster.note or "")
    assert [folder.stat().st_mode for folder in folders] == modes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_as_root_binaries_that_the_user_cannot_reach_are_copied(settings, monkeypatch):
    package = embedded_postgres._package_root()
    hidden = settings.home.root.parent / "hidden"
    shutil.copytree(package / "pginstall", hidden / package.name / "pginstall")
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(libraries, hidden / libraries.name)
    hidden.chmod(0o700)
    monkeypatch.setattr(embedded_postgres, "_package_root", lambda: hidden / package.name)
    base = Path(tempfile.mkdtemp())
    base.chmod(0o711)
    monkeypatch.setattr(embedded_postgres, "ROOT_BASE", base)
    try:
        async with LocalStack(settings, kinds=["postgres"]) as stack:
            assert Path(psutil.Process(stack.parts["postgres"].pid).exe()).is_relative_to(base)
            assert "its binaries in" in stack.notes[0]
            connection = await connect(settings)
            await connection.close()
        delete_data(settings)
    finally:
        shutil.rmtree(base)


async def test_temporal_knows_the_search_attributes_and_keeps_orders_for_30_days(settings):
    async with LocalStack(settings, kinds=["temporal"]) as stack:
        client = await Client.connect(stack.temporal_address)
        assert await search_attributes.missing(client) == ()
        assert await embedded_temporal.retention(client) >= embedded_temporal.RETENTION


async def test_a_temporal_file_whose_first_start_was_killed_is_made_again(settings):
    db = make(settings).home.temporal_db
    db.write_bytes(half_made(db.parent))
    async with LocalStack(settings, kinds=["temporal"]) as stack:
        assert stack.parts["temporal"].starts == 2
    assert embedded_temporal.came_up(db).exists()


def half_made(folder: Path) -> bytes:
    """What a start that was killed early leaves: a valid file without the tables."""
    import sqlite3

    with sqlite3.connect(folder / "half.db") as connection:
        connection.execute("CREATE TABLE namespaces_metadata (n int)")
    connection.close()
    return (folder / "half.db").read_bytes()


async def test_a_temporal_file_that_was_once_served_is_never_deleted(tmp_path):
    db = tmp_path / "temporal.db"
    db.write_text("orders")
    embedded_temporal.came_up(db).touch()
    await embedded_temporal.forget_half_made(db, "no such table: cluster_metadata_info")
    assert db.read_text() == "orders"
    embedded_temporal.came_up(db).unlink()
    await embedded_temporal.forget_half_made(db, "some other trouble")
    assert db.read_text() == "orders"


async def test_missing_search_attributes_are_registered(settings):
    async with LocalStack(settings, kinds=["temporal"]) as stack:
        client = await Client.connect(stack.temporal_address)
        await search_attributes.ensure_registered(client, stack.temporal_address)
        text = str(search_attributes.SearchAttributesMissingError(("Side",), "ns", "host:1"))
        assert text.endswith("--address host:1 --namespace ns --name Side --type Keyword")


async def test_one_home_has_one_supervisor(settings):
    async with LocalStack(settings, kinds=[]):
        with pytest.raises(StackRunningError, match="already running"):
            async with LocalStack(settings, kinds=[]):
                pass
        with pytest.raises(StackRunningError, match="stop it first"):
            delete_data(settings)


async def test_a_taken_port_is_refused_in_a_line_with_port_setting_and_part(settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.temporal_port))
        other.listen()
        line = rf"^port {settings.temporal_port} \(TEMPORAL_PORT, Temporal\) is taken$"
        with pytest.raises(PortTakenError, match=line):
            async with LocalStack(settings, kinds=SERVERS):
                pass


async def test_of_two_stacks_that_want_the_same_ports_at_one_moment_one_runs(settings, tmp_path):
    other, third = (
        settings.model_copy(update={"delta_home": tmp_path / name}) for name in ("other", "third")
    )
    stacks = [LocalStack(each, kinds=["postgres"]) for each in (settings, other)]
    try:
        entered = await asyncio.gather(
            *(stack.__aenter__() for stack in stacks), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in entered) == ["LocalStack", "PortTakenError"]
        (running,) = [each for each in entered if isinstance(each, LocalStack)]
        connection = await connect(running.settings)
        await connection.close()
        stranger = embedded_postgres.cluster(make(third).home, third.postgres_port)
        with pytest.raises(PostgresError, match=f"port {settings.postgres_port} is another"):
            await stranger.ready()
    finally:
        for stack in stacks:
            await stack.__aexit__(None, None, None)
        delete_data(other)
        delete_data(third)


async def test_two_parts_on_one_port_are_refused(settings):
    same = settings.model_copy(update={"temporal_ui_port": settings.temporal_port})
    with pytest.raises(SettingsError, match=r"TEMPORAL_UI_PORT: .*Temporal UI is also"):
        async with LocalStack(same, kinds=SERVERS):
            pass


async def test_what_the_settings_name_is_not_embedded(settings):
    update = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    outside = load_settings({**settings.as_environ(), **update})
    async with LocalStack(outside, kinds=SERVERS) as stack:
        assert stack.parts == {}


def test_a_folder_that_is_not_ours_is_never_deleted(tmp_path):
    (tmp_path / "precious").touch()
    delete_data(load_settings({"DELTA_HOME": str(tmp_path)}))
    assert (tmp_path / "precious").exists()
