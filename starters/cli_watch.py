"""How the command line follows an order: JSON lines, a live bar on a terminal, plain lines else.

And what Ctrl-C does meanwhile. Rule: it stops the watching, never what is watched; the person is
told so, and asked whether to cancel it where there is a person to ask.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from starters import cli_strategies
from starters.cli_console import complain, is_attended, is_live, out, put_json
from starters.cli_show import line
from workflows.messages import OrderSnapshot

INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""
_WIDE_BAR, _NARROW_BAR, _NARROW = 40, 16, 80

Show = Callable[[OrderSnapshot], None]


@dataclass(slots=True, kw_only=True)
class Watched:
    """What is followed. `is_started` once the engine has answered: from then on it goes on."""

    noun: str
    id: str
    command: str
    cancel: Callable[[], int]
    is_started: bool = False


@contextmanager
def following(*, as_json: bool) -> Iterator[Show]:
    """A function that shows each state of one order."""
    if as_json:
        yield put_json
    elif not is_live():
        yield lines()
    else:
        with _Bar() as bar:
            yield bar.show


def lines() -> Show:
    """One plain line for each change that a reader would see; the end has its own."""
    last = ""

    def show(snapshot: OrderSnapshot) -> None:
        nonlocal last
        now = f"{snapshot.status}  {line(snapshot)}"
        if now != last and not snapshot.status.is_terminal:
            out().print(Text(now))
        last = now

    return show


class _Bar(Progress):
    """What is filled of the order, as a bar; under it, the rest in words."""

    def __init__(self) -> None:
        self._words = Text("")
        console = out()
        width = _WIDE_BAR if console.width >= _NARROW else _NARROW_BAR
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=width),
            TextColumn("{task.percentage:.0f} %", markup=False),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=console,
        )
        self._task = self.add_task("", total=1, ends_at=None)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and the words under it."""
        yield from super().get_renderables()
        yield self._words

    def show(self, snapshot: OrderSnapshot) -> None:
        """Draw this state."""
        self._words = Text(line(snapshot), overflow="fold")
        # the bar is a picture: its lengths are the one place where a float is good enough
        self.update(
            self._task,
            description=f"{snapshot.order_type or 'order'} {snapshot.status}",
            total=float(snapshot.quantity or 1),
            completed=float(snapshot.filled_quantity),
            ends_at=cli_strategies.ends_at(snapshot),
            refresh=True,
        )


class _TimeLeft(ProgressColumn):
    """Until the end that is planned; without one, at the speed until now."""

    def render(self, task: Task) -> Text:
        """`0:01:30 left`, or nothing where it cannot be told."""
        if task.finished:
            return Text("")
        ends_at: datetime | None = task.fields["ends_at"]
        if ends_at is not None:
            return Text(f"{_clock((ends_at - datetime.now(UTC)).total_seconds())} left")
        left = task.time_remaining
        return Text("" if left is None else f"about {_clock(left)} left")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(0, int(seconds))))


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interruptible(run: Callable[[], Coroutine[None, None, int]], watched: Watched) -> int:
    """Run it to its exit code. Ctrl-C, or a reader that goes away, leaves what is watched."""
    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        return _leave(watched)
    except BrokenPipeError:
        complain(_told(watched))
        raise


def _leave(watched: Watched) -> int:
    complain(f"\n{_told(watched)}")
    how = f"python -m starters {watched.command} cancel {watched.id}"
    if not is_attended():
        complain(f"Cancel it with: {how}")
        return INTERRUPTED
    if _is_wanted("Cancel it now? [y/N] (Ctrl-C leaves it running) "):
        watched.cancel()
    else:
        complain(f"It goes on. Cancel it later with: {how}")
    return INTERRUPTED


def _is_wanted(question: str) -> bool:
    """Whether the person says yes; another Ctrl-C, or the end of the input, says no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        complain("")
        return False


def _told(watched: Watched) -> str:
    what = f"{watched.noun} {watched.id}"
    if watched.is_started:
        return f"stopped watching; {what} goes on."
    show = f"python -m starters {watched.command} show {watched.id}"
    return f"interrupted; {what} may have been started: {show}"
