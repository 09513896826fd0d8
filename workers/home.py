"""DELTA_HOME: where the local stack keeps its data, logs, process records and secrets.

Rule: one place names every path. Secrets are random, made once, in files that only their owner
may read, inside a folder that only its owner may enter. It knows no setting and no process.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

SECRET_BYTES = 32
_API_KEY, _API_HEADER = "api-key", "api-header"


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of one DELTA_HOME (absolute)."""

    root: Path

    @property
    def logs(self) -> Path:
        """One log file per part."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """The records of running processes."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Secret files, one value each."""
        return self.root / "secrets"

    @property
    def temporal_db(self) -> Path:
        """The embedded Temporal server's durable file."""
        return self.root / "temporal" / "temporal.db"

    @property
    def drop_copy_alive(self) -> Path:
        """Touched by the drop copy after each round."""
        return self.run / "drop-copy.alive"

    @property
    def failpoints(self) -> Path:
        """One file per armed failpoint, one line per passage."""
        return self.root / "failpoints"

    def paper_data(self, venue: str) -> Path:
        """The data folder of one paper exchange."""
        return self.root / "paper" / venue

    def paper_journal(self, venue: str) -> Path:
        """The append-only log of one paper exchange."""
        return self.paper_data(venue) / "journal.jsonl"

    def make(self) -> None:
        """Create the folders. Orders stand in logs and in Temporal's file as they were sent, so
        all but the home itself, through which PostgreSQL's own user passes, are the owner's."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.run, self.temporal_db.parent, self.secrets):
            folder.mkdir(mode=0o700, exist_ok=True)

    def secret_path(self, name: str) -> Path:
        """The file of one secret, which may not exist yet."""
        return self.secrets / name

    def ensure_secret(self, name: str) -> Path:
        """The file of one secret, made now where it is missing."""
        path = self.secret_path(name)
        if not path.exists():
            self._write(name, secrets.token_hex(SECRET_BYTES))
        return path

    def ensure_venue_secrets(
        self, venue: str, account: str, names: Sequence[str]
    ) -> tuple[Path, ...]:
        """The files of these credentials of an account at a paper exchange, made once."""
        return tuple(self.ensure_secret(_of_venue(venue, account, name)) for name in names)

    def venue_secrets(
        self, venue: str, account: str, names: Sequence[str] = ("api_key", "secret")
    ) -> tuple[SecretStr, ...] | None:
        """These credentials of an account at the embedded paper exchange, if all were made."""
        values = [self._read(_of_venue(venue, account, name)) for name in names]
        found = tuple(SecretStr(value) for value in values if value)
        return found if len(found) == len(names) else None

    def postgres_password(self, role: str | None = None) -> str | None:
        """The password of a role of the embedded PostgreSQL, if it was made; None: its owner's."""
        return self._read(_of_database(role))

    def ensure_postgres_passwords(self, roles: Sequence[str]) -> None:
        """Make the passwords of the embedded PostgreSQL's owner and of these roles."""
        for role in (None, *roles):
            self.ensure_secret(_of_database(role))

    @property
    def api_key_path(self) -> Path:
        """The key of the HTTP API that the local stack makes for this machine's own tools."""
        return self.secret_path(_API_KEY)

    @property
    def api_header_path(self) -> Path:
        """The same key as a header line, so that `curl -H @FILE` keeps it out of `ps`."""
        return self.secret_path(_API_HEADER)

    def api_key(self) -> str | None:
        """The local key, if it was made."""
        return self._read(_API_KEY)

    def keep_api_key(self, key: str) -> None:
        """Write both files of the local key."""
        self._write(_API_HEADER, f"Authorization: Bearer {key}\n")
        self._write(_API_KEY, f"{key}\n")

    def _write(self, name: str, text: str) -> None:
        path = self.secret_path(name)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        # Written aside and renamed: a kill in between must not leave an empty secret.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        part.rename(path)

    def _read(self, name: str) -> str | None:
        try:
            return self.secret_path(name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None


def _of_database(role: str | None) -> str:
    return "postgres-password" if role is None else f"postgres-{role.replace('_', '-')}-password"


def _of_venue(venue: str, account: str, name: str) -> str:
    return f"paper-{venue}-{account}-{name.replace('_', '-')}"
