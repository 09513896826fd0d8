"""How the demo shows its controls: a halt, comparisons, positions with their PnL, the audit trail.

Rule: it shows what it is told and decides nothing.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from activities.ledger.view_audit import AuditView
from activities.ledger.view_position_models import PositionView
from starters.demo_control_result import Books
from starters.demo_show import amount, price
from starters.trading_state import SwitchAnswer
from workflows.sync_messages import DifferenceReport, SyncReport


def halted(answer: SwitchAnswer, blocked_s: float, took_s: float) -> str:
    """What the halt came to, in one line."""
    ended = ", ".join(
        f"{each.order_id} is {each.status}, executed {amount(each.executed_quantity)}"
        for each in answer.orders
    )
    word = "by the exchange's word" if answer.confirmed else "NOT all of it confirmed"
    swept = f"after {took_s:.1f} s, {word}: {ended or 'nothing was open'}"
    return f"nothing of it leaves any more after {blocked_s:.2f} s; {swept}"


def compared(report: SyncReport) -> list[str]:
    """One line for each account, and one for each difference."""
    lines = []
    for each in report.accounts:
        is_open = sum(found.action == "open" for found in each.differences)
        told = f"{is_open} differences"
        if each.code is not None:
            told = f"not compared: {each.code} {each.reason}"
        elif not each.settled:
            told += "; it traded meanwhile: balances were not compared"
        lines.append(f"{report.exchange}/{each.account}: {told}")
        lines += [f"  {_difference(found)}" for found in each.differences]
    return lines


def books_shown(books: Books) -> RenderableType:
    """Positions with their PnL; who decided what."""
    facts = "realised: net of all fees; unrealised: at the middle of the touch; in USDT"
    chain = "unbroken" if books.broken_at is None else f"BROKEN at row {books.broken_at}"
    return Group(
        _positions(books),
        Text(f"  {facts}", style="dim"),
        _audit(books),
        Text(f"  the audit trail; the chain of its rows is {chain}", style="dim"),
    )


def _positions(books: Books) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("position of", "exchange", "symbol"):
        table.add_column(name, no_wrap=True)
    for name in ("quantity", "average", "mark", "realised", "unrealised", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in books.positions:
        table.add_row(*map(Text, _position(each)))
    return table


def _position(each: PositionView) -> tuple[str, ...]:
    figures = (each.realised_net, each.unrealised, each.total)
    return (
        each.strategy_id,
        each.exchange,
        each.symbol,
        amount(each.quantity),
        price(each.average_price),
        price(each.mark),
        *(_signed(figure) for figure in figures),
    )


def _audit(books: Books) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("at", "who", "decided", "about", "from", "to", "why"):
        table.add_column(name, no_wrap=True)
    for each in books.audit:
        table.add_row(*map(Text, _decision(each)))
    return table


def _decision(each: AuditView) -> tuple[str, ...]:
    at = f"{each.at:%H:%M:%S}"
    change = _state(each.before), _state(each.after)
    return at, each.who, each.action.replace("_", " "), each.object, *change, each.reason


def _state(values: Mapping[str, Any] | None) -> str:
    """What was set; the reason stands elsewhere."""
    told = [str(value) for name, value in (values or {}).items() if name != "reason" and value]
    return " ".join(told)


def _difference(found: DifferenceReport) -> str:
    kind = found.kind.replace("_", " ")
    return f"{found.action}: {kind} {found.object} ({found.detail})"


def _signed(value: Decimal | None) -> str:
    return "" if value is None else f"{value:+,.2f}"
