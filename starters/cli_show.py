"""How the command line shows orders: JSON for programs, tables for people.

Rule: data goes to stdout and complaints to stderr. How an order is followed stands in
`starters.cli_watch`.
"""

import json
from collections.abc import Sequence

from rich.text import Text

from starters import cli_strategies, cli_tables
from starters.cli_console import complain as complain  # what every command writes with
from starters.cli_console import out as out
from starters.cli_console import put as put
from starters.cli_console import put_json as put_json
from starters.cli_console import put_line
from starters.cli_numbers import number
from workers.settings import Settings
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot
from workflows.names import owner_of
from workflows.order_views import ChildView

_COLOURS = {
    OrderStatus.FILLED: "green",
    OrderStatus.DENIED: "red",
    OrderStatus.REJECTED: "red",
    OrderStatus.FAILED: "red",
    OrderStatus.EXPIRED: "yellow",
    OrderStatus.CANCELLED: "yellow",
}


def order(snapshot: OrderSnapshot, settings: Settings, *, as_json: bool) -> None:
    """One order with its children."""
    if as_json:
        put_json(snapshot)
    else:
        _facts(snapshot, settings)
        if snapshot.children:
            _children(snapshot.children)


def started(snapshot: OrderSnapshot, settings: Settings, *, as_json: bool) -> None:
    """The answer to the start of an order; a denial as `CODE: message`."""
    if snapshot.status is OrderStatus.DENIED and not as_json:
        complain(_denial(snapshot))
    else:
        order(snapshot, settings, as_json=as_json)


def progress(snapshot: OrderSnapshot, *, as_json: bool) -> None:
    """How far the order is, in one line."""
    if as_json:
        put_json(snapshot)
    else:
        out().print(Text(f"{snapshot.status}  {line(snapshot)}"))


def outcome(snapshot: OrderSnapshot) -> None:
    """The end of an order that was followed."""
    if snapshot.status is OrderStatus.DENIED:
        complain(_denial(snapshot))
        return
    text = Text(f"{snapshot.status}", style=_COLOURS.get(snapshot.status, ""))
    text.append(f"  {line(snapshot)}", style="default")
    out().print(text)
    for asset, amount in snapshot.fees.items():
        out().print(Text(f"fee {number(amount)} {asset}"))


def page(found: Sequence[OrderSnapshot], following: str | None, *, as_json: bool) -> None:
    """A page of orders; JSON as over HTTP, without the links."""
    if as_json:
        orders = [each.model_dump(mode="json") for each in found]
        put_line(json.dumps({"orders": orders, "next_cursor": following}))
        return
    headings = ("order", "status", "type", "side", "symbol", "filled", "of", "average", "created")
    rows = [
        (
            each.order_id,
            Text(each.status, style=_COLOURS.get(each.status, "")),
            *(each.order_type, each.side, each.symbol),
            *(each.filled_quantity, each.quantity, each.average_price),
            (each.created_at or "")[:19],
        )
        for each in found
    ]
    cli_tables.put(headings, rows, none="no orders")
    cli_tables.more(following)


def line(snapshot: OrderSnapshot) -> str:
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
    what = f"{snapshot.side} {number(snapshot.quantity)} {snapshot.symbol} {snapshot.order_type}"
    at = f"at {number(snapshot.price)} " if snapshot.price is not None else ""
    rows = {
        "status": Text(snapshot.status, style=_COLOURS.get(snapshot.status, "bold")),
        "order": snapshot.order_id,
        "what": f"{what} {at}on {snapshot.exchange}" if snapshot.symbol else "",
        "filled": number(snapshot.filled_quantity),
        "average": number(snapshot.average_price),
        "fees": ", ".join(f"{number(fee)} {asset}" for asset, fee in snapshot.fees.items()),
        "code": snapshot.code or "",
        "reason": snapshot.reason,
        **cli_strategies.facts(snapshot),
        "created": snapshot.created_at or "",
        "history": f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}"
        f"/workflows/{owner_of(snapshot.order_id)}",
        "steered": "\n".join(cli_strategies.action(each) for each in snapshot.actions),
    }
    out().print(cli_tables.grid(rows))


def _children(children: Sequence[ChildView]) -> None:
    names = ("child", "status", "type", "quantity", "price", "filled", "average", "at venue")
    rows = [
        (
            *(each.index, each.status, each.child_type),
            *(each.quantity, each.price, each.filled_quantity, each.average_price),
            each.venue_order_id,
        )
        for each in children
    ]
    cli_tables.put(names, rows)


def _denial(snapshot: OrderSnapshot) -> str:
    why = snapshot.reason or "the order is denied"
    return denial(snapshot.code or snapshot.status, snapshot.field, why)


def denial(code: str, field: str | None, why: str) -> str:
    """`CODE: field: facts`; the facts may name the field themselves."""
    return f"{code}: {why}" if not field or field in why else f"{code}: {field}: {why}"
