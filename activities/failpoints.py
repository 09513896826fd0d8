"""Failpoints: named places where a test kills, stops, fails or delays this process, exactly there.

Rule: nothing is armed unless EXEC_FAILPOINTS says so, and the settings refuse that wherever real
money or another machine is in reach. What is not armed costs one comparison.

A specification is a list of `name[target]:action@n`, separated by commas or white space:

* `name` is one of `POINTS`; `[target]`, optional, is the client order id or the order id aimed at;
* `action` is `kill` (SIGKILL), `stop` (SIGSTOP), `raise` or `sleep:SECONDS` (the thread stands
  still, as in a long pause of the machine);
* `@n` names the n-th passage, the first unless given.

`@PATH` instead of a list names a file that holds one; it is read again when it has changed, so
that points can be armed while processes run. Passages are counted in files, over all processes
and their restarts: a point acts once, and whoever set it reads there that it was reached.
It must not know what passes it.
"""

import fcntl
import os
import re
import signal
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

POINTS = frozenset(
    {
        "api.before_start",
        "cancel.after_response",
        "cancel.before_send",
        "feed.after_booking",
        "fill.before_cursor",
        "fill.mid_tx",
        "migrate.before_commit",
        "resolve.before_look_up",
        "submit.after_response",
        "submit.before_send",
        "submit.enter",
        "trigger.after_mark",
        "trigger.after_telling",
        "trigger.before_mark",
        "workflow.after_submit",
        "workflow.continue_as_new",
    }
)
_RULE = re.compile(
    r"(?P<name>[a-z_.]+)(?:\[(?P<target>[A-Za-z0-9_.-]{1,64})\])?"
    r":(?:(?P<action>kill|stop|raise)|sleep:(?P<pause>\d{1,4}(?:\.\d{1,3})?))"
    r"(?:@(?P<passage>[1-9]\d{0,5}))?"
)


class FailpointError(Exception):
    """What the action `raise` raises."""


class Action(StrEnum):
    """What happens at a failpoint."""

    KILL = "kill"
    STOP = "stop"
    RAISE = "raise"
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """One armed point: act at the n-th passage of `target`, or of anything when that is None."""

    name: str
    target: str | None
    action: Action
    pause_s: float
    passage: int

    @property
    def key(self) -> str:
        """The name of the file that counts its passages."""
        return self.name if self.target is None else f"{self.name}[{self.target}]"

    def is_meant(self, name: str, targets: tuple[str, ...]) -> bool:
        """True if a passage of `name` by something with the ids `targets` is this one's."""
        return name == self.name and (self.target is None or self.target in targets)


def parse_failpoints(text: str) -> tuple[Failpoint, ...]:
    """The points that a list arms. ValueError, one line, for what is not understood."""
    return tuple(_parse_one(each) for each in re.split(r"[,\s]+", text) if each)


def _parse_one(text: str) -> Failpoint:
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not name[target]:kill|stop|raise|sleep:SECONDS@n")
    if found["name"] not in POINTS:
        raise ValueError(f"{found['name']!r} is not a failpoint: {', '.join(sorted(POINTS))}")
    return Failpoint(
        name=found["name"],
        target=found["target"],
        action=Action(found["action"] or Action.SLEEP),
        pause_s=float(found["pause"] or 0),
        passage=int(found["passage"] or 1),
    )


class ArmedFailpoints:
    """The points of one specification; `folder` is where their passages are counted."""

    def __init__(self, specification: str, folder: Path) -> None:
        self._file = Path(specification[1:]) if specification.startswith("@") else None
        self._points = () if self._file else parse_failpoints(specification)
        self._folder = folder
        self._version = (0, 0)
        self.points()

    def points(self) -> tuple[Failpoint, ...]:
        """What is armed now. ValueError for a file that is not understood."""
        if self._file is not None:
            try:
                stat = self._file.stat()
                if (version := (stat.st_mtime_ns, stat.st_ino)) != self._version:
                    self._points = parse_failpoints(self._file.read_text(encoding="utf-8"))
                    self._version = version
            except FileNotFoundError:
                self._points, self._version = (), (0, 0)
        return self._points

    def passed(self, name: str, targets: tuple[str, ...]) -> None:
        """Count a passage for every point that is meant, and act where it is the n-th."""
        meant = [each for each in self.points() if each.is_meant(name, targets)]
        for point in meant:
            if self._count(point) == point.passage:
                _act(point)

    def _count(self, point: Failpoint) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / point.key).open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{os.getpid()} {time.time_ns()}\n")
            file.flush()
            file.seek(0)
            return len(file.readlines())


def _act(point: Failpoint) -> None:
    # the signal goes to this very thread, which therefore does not take one step more
    if point.action is Action.KILL:
        signal.pthread_kill(threading.get_ident(), signal.SIGKILL)
    elif point.action is Action.STOP:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    elif point.action is Action.SLEEP:
        time.sleep(point.pause_s)
    else:
        raise FailpointError(f"failpoint {point.key}")


@dataclass(slots=True)
class _Process:
    """What this process has armed."""

    armed: ArmedFailpoints | None = None


_process = _Process()


def arm(specification: str | None, folder: Path) -> None:
    """Arm this process, or disarm it with None. ValueError for what is not understood."""
    _process.armed = ArmedFailpoints(specification, folder) if specification else None


def fp(name: str, *targets: str) -> None:
    """A place that can be aimed at, by the ids of what passes it."""
    if _process.armed is not None:
        _process.armed.passed(name, targets)
