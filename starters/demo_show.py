"""How the demo looks: headings, a live bar, a table and a verdict; plain text off a terminal.

Rule: it shows what it is told and decides nothing. With `--json` all of this goes to stderr, so
that stdout holds the summary alone. NO_COLOR is respected.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from starters.demo_result import FIRST_FILL_WITHIN_S, Crash, DemoResult, OrderOutcome
from workers.checker import CheckReport
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import plain
from workflows.messages import OrderSnapshot

WIDTH_OF_A_PIPE = 120
MAX_VIOLATIONS_SHOWN = 20
_PRICE, _AMOUNT = Decimal("0.01"), Decimal("1e-8")


class Screen:
    """Where the demo writes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        is_terminal = (sys.stderr if as_json else sys.stdout).isatty()
        width = None if is_terminal else WIDTH_OF_A_PIPE
        self.console = Console(stderr=as_json, highlight=False, width=width)

    def heading(self, title: str, detail: str = "") -> None:
        """The beginning of a part."""
        self.console.print()
        self.console.print(Text.assemble((title, "bold cyan"), f"  {detail}" if detail else ""))

    def line(self, text: str, style: str = "") -> None:
        """One fact."""
        self.console.print(Text(f"  {text}", style=style))

    def picture(self, shown: RenderableType, *, indent: int = 2) -> None:
        """A table, or several."""
        self.console.print(Padding(shown, (0, 0, 0, indent), expand=False))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A moving sign on a terminal while something takes its time; nothing elsewhere."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(Text(text)):
            yield

    def summary(self, result: DemoResult) -> None:
        """With `--json`: the result on stdout."""
        if self._as_json:
            sys.stdout.write(json.dumps(result.as_json()) + "\n")
            sys.stdout.flush()

    # --- the TWAP's bar -------------------------------------------------------------------------

    @contextmanager
    def following(self, total: Decimal) -> Iterator["Follow"]:
        """A live bar on a terminal; elsewhere one line per slice."""
        if not self.console.is_terminal:
            yield Follow(self, None)
            return
        columns = (
            TextColumn("  {task.fields[slices]}", markup=False),
            BarColumn(bar_width=36),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as bar:
            # the bar is a picture: its lengths are the one place where a float is good enough
            task = bar.add_task("", total=float(total), slices="slice 0", text="")
            yield Follow(self, (bar, task))

    # --- the end --------------------------------------------------------------------------------

    def orders(self, outcomes: list[OrderOutcome]) -> None:
        """The table of all orders."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("order", no_wrap=True)
        for name in ("planned", "filled", "average", "market", "cost", "fees"):
            table.add_column(name, justify="right", no_wrap=True)
        for each in outcomes:
            table.add_row(*_row(each))
        self.console.print(table)
        self.line("market: mean of the mid price, sampled 4 times a second while it ran", "dim")
        self.line("cost: average price against market; positive is worse than the market", "dim")
        for each in outcomes:
            if worked := _worked(each.order):
                self.line(worked)

    def verdict(self, result: DemoResult) -> None:
        """The checker's figures, then whether all held."""
        if result.check is not None:
            self._checked(result.check)
        if result.first_fill_s is not None:
            aim = f"the aim is under {FIRST_FILL_WITHIN_S:g} s"
            self.line(f"from start to first fill: {result.first_fill_s:.1f} s ({aim})")
        self.console.print()
        if result.ok:
            self.console.print(Text("Everything held.", style="bold green"))
        else:
            self.console.print(Text(f"The demo failed: {result.failure}", style="bold red"))

    def _checked(self, report: CheckReport) -> None:
        venues, ledger = " and ".join(report.venues), "ledger = exchange"
        if report.violations:
            ledger = f"{len(report.violations)} violations"
        self.line(
            f"orders sent {report.orders}, sent twice {report.sent_twice}; "
            f"fills {report.fills}, {ledger}",
            "green" if report.ok else "red",
        )
        self.line(f"(by the exchanges' own logs of {venues}, to the last digit)", "dim")
        for each in report.violations[:MAX_VIOLATIONS_SHOWN]:
            self.line(str(each), "red")
        if (more := len(report.violations) - MAX_VIOLATIONS_SHOWN) > 0:
            self.line(f"and {more} more", "red")

    def urls(self, urls: Mapping[str, str]) -> None:
        """Addresses to open in a browser."""
        for name, url in urls.items():
            self.console.print(Text(f"  {name:<16} {url}"), soft_wrap=True)


class Follow:
    """Shows how far a TWAP is."""

    def __init__(self, screen: Screen, bar: tuple[Progress, TaskID] | None) -> None:
        self._screen = screen
        self._bar = bar
        self._shown = 0

    def show(self, order: OrderSnapshot) -> None:
        """The order as it is now."""
        if order.twap is None:
            return
        slices = f"slice {order.twap.slices_sent:>2}/{order.twap.slices_planned}"
        text = f"{filled(order)}  {price(order.average_price)}"
        if self._bar is not None:
            bar, task = self._bar
            done = float(order.filled_quantity)
            bar.update(task, completed=done, slices=slices, text=text)
        elif order.twap.slices_filled > self._shown:
            self._shown = order.twap.slices_filled
            self._screen.line(f"{slices}  {text}")

    def crashed(self, crash: Crash) -> None:
        """How the order went on after its worker was killed."""
        again = ", started again," if crash.taken_over_by == crash.worker else ""
        took_over = (
            f"{crash.taken_over_by}{again} took over {crash.takeover_s:.1f} s after the kill"
        )
        if crash.next_slice_s is None:
            self._screen.line(f"{took_over}, too late for another slice", "yellow")
            return
        self._screen.line(
            f"{took_over}; the next slice went out after {crash.next_slice_s:.1f} s "
            f"(it was due after {crash.next_slice_due_s:.1f} s)",
            "green",
        )


def _row(outcome: OrderOutcome) -> tuple[Text, ...]:
    order = outcome.order
    name = Text(f"{outcome.order_type} {outcome.side}".replace("_", " "))
    if order.status is not OrderStatus.FILLED:
        name.append(f" ({order.status})", style="yellow")
    cost = "" if outcome.cost_bp is None else f"{outcome.cost_bp:+.2f} bp"
    fees = ", ".join(f"{amount(fee)} {asset}" for asset, fee in order.fees.items())
    values = (
        amount(outcome.quantity),
        amount(order.filled_quantity),
        price(order.average_price),
        price(outcome.market_average),
        cost,
        fees,
    )
    return (name, *(Text(value) for value in values))


def _worked(order: OrderSnapshot) -> str:
    """The figures of an order that shows a part of itself, or waits for a price."""
    if (iceberg := order.iceberg) is not None:
        return (
            f"iceberg: {iceberg.tips_shown} tips shown, {iceberg.tips_filled} filled, "
            f"{amount(iceberg.display_quantity)} of {amount(order.quantity)} at a time"
        )
    if (stop := order.stop) is None:
        return ""
    kind = (order.order_type or "stop").replace("_", " ")
    if stop.fired_price is None:
        return f"{kind}: best price {price(stop.extreme)}, not fired"
    return (
        f"{kind}: best price {price(stop.extreme)}, trigger {price(stop.trigger_price)}, "
        f"fired at {price(stop.fired_price)}, left at {price(order.average_price)} on average"
    )


def filled(order: OrderSnapshot) -> str:
    """Filled of planned, with the asset."""
    base = (order.symbol or "").partition("/")[0]
    return f"{amount(order.filled_quantity)}/{amount(order.quantity)} {base}"


def price(number: Decimal | None) -> str:
    """In quote currency, to the cent; empty where there is none."""
    return "" if number is None else f"{number.quantize(_PRICE):,f}"


def amount(number: Decimal | None) -> str:
    """Without trailing zeros, at most 8 decimals."""
    return "" if number is None else plain(number.quantize(_AMOUNT))
