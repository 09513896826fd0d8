"""Records of the processes that a supervisor started, and the stopping of their trees.

Rule: a recorded process is only touched when its id, creation time and command line all agree
with the record; a process id alone may by now belong to somebody else.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

CREATE_TIME_SLACK_S = 1.0
POLL_S = 0.05
KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One started process."""

    name: str
    level: int
    """Parts of a higher level are stopped before those of a lower one."""
    pid: int
    create_time: float
    argv: list[str]
    stop_signal: int
    stop_timeout_s: float

    @staticmethod
    def path_of(folder: Path, name: str) -> Path:
        """The file of one part's record."""
        return folder / f"{name}.json"

    @classmethod
    def of_process(
        cls,
        pid: int,
        argv: Sequence[str],
        *,
        name: str,
        level: int,
        stop_signal: int,
        stop_timeout_s: float,
    ) -> "Record | None":
        """Describe a process that was just started with `argv`; None when it has already ended.

        The system cannot be asked for its command line yet: it may still tell an empty one.
        """
        try:
            return cls(
                name=name,
                level=level,
                pid=pid,
                create_time=psutil.Process(pid).create_time(),
                argv=list(argv),
                stop_signal=int(stop_signal),
                stop_timeout_s=stop_timeout_s,
            )
        except psutil.NoSuchProcess:
            return None

    def write(self, folder: Path) -> None:
        """Save it, whole or not at all."""
        path = self.path_of(folder, self.name)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(path)

    def process(self) -> psutil.Process | None:
        """The recorded process if it still lives; None also when its id was given away."""
        try:
            process = psutil.Process(self.pid)
            same_age = abs(process.create_time() - self.create_time) < CREATE_TIME_SLACK_S
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if same_age and alive and process.cmdline() == self.argv else None
        except psutil.NoSuchProcess:
            return None


def read_records(folder: Path) -> list[Record]:
    """All records of a folder; one that cannot be read names no process and is removed."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(Record(**json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError):
            path.unlink()
    return records


async def stop_leftovers(folder: Path) -> list[str]:
    """Stop what a killed supervisor left running; returns the names of those parts."""
    records = read_records(folder)
    stopped = []
    for level in sorted({record.level for record in records}, reverse=True):
        alive = [record for record in records if record.level == level and record.process()]
        await asyncio.gather(
            *(kill_tree(each.pid, each.stop_signal, each.stop_timeout_s) for each in alive)
        )
        stopped += [record.name for record in alive]
    for record in records:
        Record.path_of(folder, record.name).unlink(missing_ok=True)
    return stopped


async def kill_tree(
    pid: int, first: int = signal.SIGKILL, timeout_s: float = KILL_TIMEOUT_S
) -> None:
    """Signal a process, wait for it and its descendants, then SIGKILL what is left of them.

    Raises TimeoutError when even that ends nothing within KILL_TIMEOUT_S.
    """
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        root.send_signal(first)
    await _ended([root], timeout_s)
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if not await _ended(tree, KILL_TIMEOUT_S):
        raise TimeoutError(f"process {pid} does not end")


async def _ended(processes: list[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def alive(process: psutil.Process) -> bool:
    """True while the process runs; a zombie, which only waits to be reaped, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def take_lock(path: Path) -> IO[str] | None:
    """The lock of one supervisor, held until its file is closed or the process dies.

    Returns None while another process holds it.
    """
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
