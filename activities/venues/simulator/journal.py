"""The append-only log of the exchange: what tests call the judge, and what a restart reads.

Theory of operation. One file of JSON lines. The records of one command are one batch, written with
one `write` to the operating system before the answer leaves, so a killed process loses nothing it
acknowledged. The last record of a batch says `"commit": true`. What follows the last commit was
never acknowledged (a torn write) and is cut off on start; damage before it stops the start.
`request` records are for the judge only and are skipped on replay without being parsed.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from activities.venues.simulator.events import Event
from activities.venues.simulator.records import Record, decode, encode

JOURNAL_NAME = "journal.jsonl"
_REQUEST_MARK = b'"kind":"request"'
_COMMITTED = b'"commit":true}\n'
_MARK_WITHIN = 80  # bytes: seq, ts_ms and kind are the first three fields of each line


class JournalError(Exception):
    """The journal cannot be used: in use by another process, damaged, or not writable."""


class Journal:
    """The one writer of a data folder's journal. Holds a lock on it until closed."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.path = data_dir / JOURNAL_NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise JournalError(f"{self.path} is in use by another paper exchange") from error
        self._seq = 0

    def replay(self) -> Iterator[Event]:
        """All committed events in order; then cuts what was written after the last commit.

        Raises JournalError if a line before the last commit is damaged.
        """
        batch: list[Event] = []
        kept = read = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break  # torn in mid-line
                read += len(line)
                event = _event_of(line, number)
                if event is not None:
                    batch.append(event)
                if line.endswith(_COMMITTED):
                    yield from batch
                    batch.clear()
                    kept, self._seq = read, number  # a record's seq is its line number
        os.ftruncate(self._fd, kept)

    def append(self, events: Iterable[Event], request: Record | None = None) -> None:
        """Write one batch: the events of a command and the request that caused them.

        Raises JournalError if the operating system did not take all of it.
        """
        records = [encode(event) for event in events]
        if request is not None:
            records.append(request)
        if not records:
            return
        data = b"".join(self._line(each, last=each is records[-1]) for each in records)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise JournalError(f"cannot write {self.path}: {error.strerror}") from error
        if written != len(data):
            raise JournalError(f"cannot write {self.path}: the disk took a part only")

    def close(self) -> None:
        """Give the file and its lock back."""
        os.close(self._fd)

    def _line(self, record: Record, *, last: bool) -> bytes:
        self._seq += 1
        row = {"seq": self._seq, **record, "commit": last}
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def _event_of(line: bytes, number: int) -> Event | None:
    if _REQUEST_MARK in line[:_MARK_WITHIN]:
        return None
    try:
        return decode(json.loads(line))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise JournalError(f"line {number} of the journal is damaged") from error


def read_records(path: Path) -> Iterator[Record]:
    """All committed records of a journal, live or not; what follows the last commit is left out.

    Raises JournalError if a line before the last commit is damaged.
    """
    batch: list[Record] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                batch.append(json.loads(line))
            except ValueError as error:
                raise JournalError(f"line {number} of the journal is damaged") from error
            if line.endswith(_COMMITTED):
                yield from batch
                batch.clear()
