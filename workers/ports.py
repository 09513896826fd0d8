"""The ports of a stack: free when they are checked, and held from then on until the stack ends.

Theory. A port that can be bound now may be another stack's a moment later, which then meets our
servers for its own. So a stack holds a lock for each of its ports, host-wide, from the check to its
end; who checks a port asks for its lock too. A lock is a file in the temp folder that only exists
to be locked: the system gives the lock back when its process dies, the file may stay.
"""

import fcntl
import os
import socket
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from workers.venue_settings import SettingsError

LOCKS = Path(tempfile.gettempdir()) / "delta-executor-ports"
_FOR_ALL = 0o1777  # every user's stacks share the folder, none may remove another's file


class PortTakenError(Exception):
    """A port is in use: one line with the port, its setting and the part that wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPort:
    """A port that a part will listen on."""

    port: int
    setting: str
    part: str
    host: str = "127.0.0.1"


def check_ports(wanted: list[WantedPort]) -> None:
    """Raise PortTakenError for the first port that is in use or held, or wanted twice.

    Two settings with one port raise SettingsError.
    """
    hold_ports(wanted).close()


def hold_ports(wanted: list[WantedPort]) -> ExitStack:
    """`check_ports`, and hold the ports until what is returned is closed."""
    seen: dict[int, WantedPort] = {}
    for each in wanted:
        if (other := seen.setdefault(each.port, each)) is not each:
            raise SettingsError(
                each.setting, f"port {each.port} of {each.part} is also that of {other.part}"
            )
    with ExitStack() as held:
        for each in wanted:
            lock = _lock(each.port)
            if lock is not None:
                held.callback(os.close, lock)
            if lock is None or not _can_be_bound(each):
                raise PortTakenError(f"port {each.port} ({each.setting}, {each.part}) is taken")
        return held.pop_all()


def _lock(port: int) -> int | None:
    """The descriptor whose closing gives the lock back; None while somebody holds it."""
    with suppress(FileExistsError):
        LOCKS.mkdir()
        LOCKS.chmod(_FOR_ALL)  # whatever the umask is
    descriptor = _opened(LOCKS / str(port))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _opened(path: Path) -> int:
    """The lock file, made by whoever comes first; reading it is all that the others may do."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            try:
                made = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
            os.fchmod(made, 0o644)  # whatever the umask is
            return made


def _can_be_bound(wanted: WantedPort) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in wanted.host else socket.AF_INET) as probe:
        # As servers do: a port in TIME_WAIT is not taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((wanted.host, wanted.port))
        except OSError:
            return False
    return True
