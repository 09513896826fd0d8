"""A terminal for the tests of the command line: a real pty with a program in it.

Every wait has a bound, and says what was on the screen when it ran out.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.settings import is_setting

WITHIN_S = 40.0
CHECKOUT = Path(__file__).resolve().parents[1]


class Terminal:
    """Runs one program as its foreground job; `text` is all that it has shown."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], columns: int = 80
    ) -> None:
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.text = ""
        self._process = subprocess.Popen(
            command, env=dict(env), cwd=CHECKOUT,
            stdin=inside, stdout=inside, stderr=inside,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(WITHIN_S)
        os.close(self._screen)

    def until(self, words: str) -> str:
        """Wait until it shows these words; everything up to them since the last call."""
        deadline = time.monotonic() + WITHIN_S
        while words not in self.text:
            assert self._read(deadline), f"it ended without {words!r}: {self.text!r}"
        before, _, self.text = self.text.partition(words)
        return before + words

    def type(self, keys: str) -> None:
        """Press these keys; Ctrl-C is "\\x03"."""
        os.write(self._screen, keys.encode())

    def end(self) -> tuple[int, str]:
        """Wait for its end; the exit code and what it showed since the last call."""
        deadline = time.monotonic() + WITHIN_S
        while self._read(deadline):
            pass
        return self._process.wait(WITHIN_S), self.text

    def _read(self, deadline: float) -> bool:
        """Read once; whether there may be more."""
        left = deadline - time.monotonic()
        is_ready = left > 0 and select.select([self._screen], [], [], left)[0]
        assert is_ready, f"it says no more: {self.text!r}"
        try:
            shown = os.read(self._screen, 65536)
        except OSError:  # how Linux says that nobody has the other end
            return False
        self.text += shown.decode(errors="replace")
        return bool(shown)


def terminal(environ: Mapping[str, str], *arguments: str, columns: int = 80) -> Terminal:
    """`python -m starters` with these arguments on a terminal of its own."""
    command = [sys.executable, "-m", "starters", *arguments]
    return Terminal(command, env=variables(environ), columns=columns)


def shell(environ: Mapping[str, str]) -> Terminal:
    """A bash at its prompt, for which `python` is the one that runs the tests."""
    beside = str(Path(sys.executable).parent)
    inside = variables(environ)
    inside["PATH"] = f"{beside}:{inside.get('PATH', '')}"
    return Terminal(["bash", "--norc", "--noprofile", "-i"], env=inside)


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: what is set here, but of our settings only these."""
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**inherited, "TERM": "xterm-256color", **environ, "ENV_FILE": os.devnull}
