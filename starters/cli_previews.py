"""How the command line shows the preview of an order: the verdict, the costs, the schedule."""

from rich.text import Text

from starters import cli_tables
from starters.cli_console import complain, out, put_json
from starters.cli_numbers import number
from starters.cli_show import denial
from starters.cli_strategies import worked_by
from workflows.domain.orders import Placement
from workflows.preview_messages import OrderPreview, PlannedChild


def preview(told: OrderPreview, *, as_json: bool) -> None:
    """The preview; an order that would be denied as `CODE: message`, with what is known of it."""
    if as_json:
        put_json(told)
        return
    if told.symbol is not None:
        _facts(told)
    if told.schedule:
        _schedule(told)
    for note in told.notes:
        out().print(Text(f"note: {note}"))
    if not told.accepted:
        complain(denial(told.code or "DENIED", told.field, told.reason or "would be denied"))


def _facts(told: OrderPreview) -> None:
    _base, _, quote = (told.symbol or "").partition("/")
    average, slippage = told.expected_average_price, told.expected_slippage_bps
    rows = {
        "what": f"{told.side} {number(told.quantity)} {told.symbol} {told.order_type}"
        f" on {told.exchange}",
        "verdict": "would be accepted" if told.accepted else "would be denied",
        "worked by": "" if told.placement is None else worked_by(told.placement),
        "market": number(told.reference_price),
        "expected price": number(average),
        "expected fees": f"{number(told.expected_fees)} {quote}" if told.expected_fees else "",
        "expected slippage": f"{number(slippage)} bps" if slippage is not None else "",
        "notional": f"{number(told.notional)} {quote}",
    }
    out().print(cli_tables.grid(rows))


def _schedule(told: OrderPreview) -> None:
    rows = [
        (each.index, _time(each, told), each.child_type, each.quantity, each.price)
        for each in told.schedule
    ]
    cli_tables.put(("child", "at", "type", "quantity", "price"), rows)
    shown, total = len(told.schedule), told.schedule_total
    if total > shown:
        out().print(Text(f"the first {shown} of {total}"))


def _time(child: PlannedChild, told: OrderPreview) -> str:
    if child.at is not None:
        return child.at[:19]
    if child.index:
        return "then"
    is_triggered = told.order_type is not None and told.order_type.is_triggered
    return "when it fires" if is_triggered and told.placement is Placement.ENGINE else "at once"
