"""How the command line shows orders: JSON for programs, tables and a live bar for people.

Rule: data goes to stdout and complaints to stderr, and text of others (reasons, ids) is shown as
text, never read as markup.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from starters import cli_strategies
from starters.cli_numbers import number
from workers.settings import Settings
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot
from workflows.names import owner_of
from workflows.order_views import ChildView

WIDTH_OF_A_PIPE = 200
_COLOURS = {
    OrderStatus.FILLED: "green",
    OrderStatus.DENIED: "red",
    OrderStatus.REJECTED: "red",
    OrderStatus.FAILED: "red",
    OrderStatus.EXPIRED: "yellow",
    OrderStatus.CANCELLED: "yellow",
}

Show = Callable[[OrderSnapshot], None]


def out() -> Console:
    """Stdout as it is now; a pipe has no width, so nothing is cut there."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    return Console(highlight=False, width=width)


def complain(message: str) -> None:
    """One line for a person, on stderr."""
    sys.stderr.write(f"{message}\n")


def order(snapshot: OrderSnapshot, settings: Settings, *, as_json: bool) -> None:
    """One order with its children; a denial as `CODE: message`."""
    if as_json:
        put_json(snapshot)
    elif snapshot.status is OrderStatus.DENIED:
        complain(_denial(snapshot))
    else:
        _facts(snapshot, settings)
        if snapshot.children:
            _children(snapshot.children)


def progress(snapshot: OrderSnapshot, *, as_json: bool) -> None:
    """How far the order is, in one line."""
    if as_json:
        put_json(snapshot)
    else:
        out().print(Text(f"{snapshot.status}  {_line(snapshot)}"))


def outcome(snapshot: OrderSnapshot) -> None:
    """The end of an order that was followed."""
    if snapshot.status is OrderStatus.DENIED:
        complain(_denial(snapshot))
        return
    text = Text(f"{snapshot.status}", style=_COLOURS.get(snapshot.status, ""))
    text.append(f"  {_line(snapshot)}", style="default")
    out().print(text)
    for asset, amount in snapshot.fees.items():
        out().print(Text(f"fee {number(amount)} {asset}"))


def page(found: Sequence[OrderSnapshot], following: str | None, *, as_json: bool) -> None:
    """A page of orders; JSON as over HTTP, without the links."""
    if as_json:
        orders = [each.model_dump(mode="json") for each in found]
        sys.stdout.write(json.dumps({"orders": orders, "next_cursor": following}) + "\n")
        return
    names = ("status", "type", "side", "symbol", "filled", "of", "average", "created")
    table = Table(Column("order", no_wrap=True, overflow="fold"), *names)
    for each in found:
        kinds = (each.order_type, each.side, each.symbol)
        numbers = (each.filled_quantity, each.quantity, each.average_price)
        table.add_row(
            Text(each.order_id),
            Text(each.status, style=_COLOURS.get(each.status, "")),
            *(Text(kind or "") for kind in kinds),
            *(Text(number(each)) for each in numbers),
            Text((each.created_at or "")[:19]),
        )
    out().print(table if found else Text("no orders"))
    if following:
        out().print(Text(f"more: --cursor {following}"))


@contextmanager
def following(*, as_json: bool) -> Iterator[Show]:
    """A function that shows each state of one order: JSON lines, a live bar, or plain lines."""
    if as_json:
        yield put_json
    elif not sys.stdout.isatty():
        yield _lines()
    else:
        with _bar() as bar:
            task = bar.add_task("", total=1, text="")
            yield lambda snapshot: _advance(bar, task, snapshot)


def _lines() -> Show:
    """One plain line for each change that a reader would see; the end has its own."""
    last = ""

    def show(snapshot: OrderSnapshot) -> None:
        nonlocal last
        line = f"{snapshot.status}  {_line(snapshot)}"
        if line != last and not snapshot.status.is_terminal:
            out().print(Text(line))
        last = line

    return show


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=out())


def _advance(bar: Progress, task: TaskID, snapshot: OrderSnapshot) -> None:
    # the bar is a picture: its lengths are the one place where a float is good enough
    total = float(snapshot.quantity or 1)
    bar.update(
        task,
        description=f"{snapshot.order_type or 'order'} {snapshot.status}",
        total=total,
        completed=float(snapshot.filled_quantity),
        text=_line(snapshot),
    )


def _line(snapshot: OrderSnapshot) -> str:
    """Slices, tips or trigger; filled quantity, average price, reason."""
    parts = []
    if strategy := cli_strategies.line(snapshot):
        parts.append(strategy)
    base = (snapshot.symbol or "").partition("/")[0]
    parts.append(
        f"filled {number(snapshot.filled_quantity)}/{number(snapshot.quantity)} {base}".rstrip()
    )
    if snapshot.average_price is not None:
        parts.append(f"average {number(snapshot.average_price)}")
    if snapshot.reason:
        parts.append(snapshot.reason)
    return "  ".join(parts)


def _facts(snapshot: OrderSnapshot, settings: Settings) -> None:
    table = Table.grid(padding=(0, 2))
    what = f"{snapshot.side} {number(snapshot.quantity)} {snapshot.symbol} {snapshot.order_type}"
    at = f"at {number(snapshot.price)} " if snapshot.price is not None else ""
    rows = {
        "order": snapshot.order_id,
        "what": f"{what} {at}on {snapshot.exchange}" if snapshot.symbol else "",
        "filled": number(snapshot.filled_quantity),
        "average": number(snapshot.average_price),
        "fees": ", ".join(f"{number(fee)} {asset}" for asset, fee in snapshot.fees.items()),
        "reason": snapshot.reason,
        **cli_strategies.facts(snapshot),
        "created": snapshot.created_at or "",
        "history": f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}"
        f"/workflows/{owner_of(snapshot.order_id)}",
    }
    table.add_row("status", Text(snapshot.status, style=_COLOURS.get(snapshot.status, "bold")))
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value))
    for each in snapshot.actions:
        table.add_row("steered", Text(cli_strategies.action(each)))
    out().print(table)


def _children(children: Sequence[ChildView]) -> None:
    table = Table("child", "status", "type", "quantity", "price", "filled", "average", "at venue")
    for each in children:
        numbers = (each.quantity, each.price, each.filled_quantity, each.average_price)
        table.add_row(
            str(each.index),
            each.status,
            each.child_type,
            *(number(each) for each in numbers),
            Text(each.venue_order_id or ""),
        )
    out().print(table)


def _denial(snapshot: OrderSnapshot) -> str:
    why = snapshot.reason or "the order is denied"
    return denial(snapshot.code or snapshot.status, snapshot.field, why)


def denial(code: str, field: str | None, why: str) -> str:
    """`CODE: field: facts`; the facts may name the field themselves."""
    return f"{code}: {why}" if not field or field in why else f"{code}: {field}: {why}"


def put_json(snapshot: BaseModel) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(snapshot.model_dump_json() + "\n")
    sys.stdout.flush()
