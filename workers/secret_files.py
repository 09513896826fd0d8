"""Files that hold secrets, and passwords that are none.

Rule: whoever may read a secret may trade, so a file that others on the machine may read is refused,
and so is a password that can be guessed. Container runtimes mount their secrets in folders of their
own with modes that nobody chose; these are trusted. It never tells a value.
"""

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

MIN_SECRET_BYTES = 32
_MOUNTED = (Path("/run/secrets"), Path("/var/run/secrets"))
_DEFAULTS = frozenset(
    {"postgres", "password", "delta", "changeme", "change-me", "secret", "admin", "test", "root"}
)


def is_open_to_others(path: Path) -> bool:
    """True for a file that any user of this machine may read. Raises OSError."""
    whole = path.absolute()
    if any(whole.is_relative_to(folder) for folder in _MOUNTED):
        return False
    return bool(whole.stat().st_mode & stat.S_IROTH)


def open_secret_in(folder: Path) -> Path | None:
    """The first of our own secret files that others may read; None: there is none."""
    try:
        files = sorted(folder.iterdir())
    except (FileNotFoundError, PermissionError):
        return None
    return next((path for path in files if path.is_file() and is_open_to_others(path)), None)


def weakness_of(url: str) -> str | None:
    """Why the password in a database's URL protects nothing; None: it does, or there is none.

    A URL without a password says that the server knows its users in another way.
    """
    parts = urlsplit(url)
    if parts.password is None:
        return None
    password = unquote(parts.password)
    if not password:
        return "has an empty password"
    if password.lower() in _DEFAULTS or password == unquote(parts.username or ""):
        return "has a password that anybody would try first"
    return None


def password_of(url: str) -> str | None:
    """The password in a database's URL, if it has one."""
    found = urlsplit(url).password
    return None if found is None else unquote(found)
