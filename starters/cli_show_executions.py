"""How the command line shows executions: an arbitrage's legs side by side, a rebalancing's trades.

Rule: as for orders, data goes to stdout and complaints to stderr, and text of others is shown as
text, never read as markup.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from starters.cli_numbers import number
from starters.cli_show import complain, denial, out, put_json
from starters.kinds import ExecutionT
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.execution_messages import (
    ArbitrageSnapshot,
    LegOrderView,
    PlannedTrade,
    RebalanceSnapshot,
)

_BUY, _SELL = Side.BUY.value, Side.SELL.value
_COLOURS = {
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.DENIED: "red",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.RESIDUAL_HELD: "red",
    ExecutionStatus.UNWOUND: "yellow",
    ExecutionStatus.PARTIAL: "yellow",
    ExecutionStatus.CANCELLED: "yellow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[ExecutionT]):
    """How one kind of execution looks: in one line, and as a picture."""

    line: Callable[[ExecutionT], str]
    picture: Callable[[ExecutionT], RenderableType]


def execution(look: Look[ExecutionT], snapshot: ExecutionT, *, as_json: bool) -> None:
    """One execution; a denial as `CODE: message`."""
    if as_json:
        put_json(snapshot)
    elif snapshot.status is ExecutionStatus.DENIED:
        why = snapshot.error or "the plan is denied"
        complain(denial(snapshot.code or snapshot.status, snapshot.field, why))
    else:
        out().print(look.picture(snapshot))


@contextmanager
def following(look: Look[ExecutionT], *, as_json: bool) -> Iterator[Callable[[ExecutionT], None]]:
    """A function that shows each state: JSON lines, a live picture, or plain lines."""
    if as_json:
        yield put_json
    elif not sys.stdout.isatty():
        yield _lines(look)
    else:
        with Live(console=out(), transient=True) as live:
            yield lambda snapshot: live.update(look.picture(snapshot), refresh=True)


def _lines(look: Look[ExecutionT]) -> Callable[[ExecutionT], None]:
    """One plain line for each change that a reader would see; the end has its own picture."""
    last = ""

    def show(snapshot: ExecutionT) -> None:
        nonlocal last
        line = look.line(snapshot)
        if line != last and not snapshot.status.is_terminal:
            out().print(Text(line))
        last = line

    return show


def page(found: Sequence[ArbitrageSnapshot], following: str | None, *, as_json: bool) -> None:
    """A page of arbitrages; JSON as over HTTP, without the links."""
    if as_json:
        arbitrages = [each.model_dump(mode="json") for each in found]
        sys.stdout.write(json.dumps({"arbitrages": arbitrages, "next_cursor": following}) + "\n")
        return
    names = ("status", "symbol", "buy", "sell", "matched", "of", "profit", "started")
    table = Table(Column("arbitrage", no_wrap=True, overflow="fold"), *names)
    for each in found:
        table.add_row(
            Text(each.execution_id),
            _status(each),
            *(Text(text or "") for text in (each.symbol, each.buy_exchange, each.sell_exchange)),
            *(number(of) for of in (each.matched_quantity, each.amount, each.actual_profit)),
            Text((each.started_at or "")[:19]),
        )
    out().print(table if found else Text("no arbitrages"))
    if following:
        out().print(Text(f"more: --cursor {following}"))


# --- arbitrage ------------------------------------------------------------------------------------


def arbitrage_line(now: ArbitrageSnapshot) -> str:
    """`running  buy binance 0.1/0.1 at 50000 filled | sell okx 0/0.1 working | profit 1 USDT`."""
    legs = (_leg_line(now, _BUY, now.buy_exchange), _leg_line(now, _SELL, now.sell_exchange))
    more = (f"{each.leg} {_filled(each)}" for each in now.orders if each.leg not in (_BUY, _SELL))
    return " | ".join([f"{now.status}  {legs[0]}", legs[1], *more, *_profit(now), *_why(now)])


def _leg_line(now: ArbitrageSnapshot, name: str, exchange: str | None) -> str:
    leg = _leg(now, name)
    return f"{name} {exchange or ''} {_filled(leg) if leg else 'not sent'}"


def _leg(now: ArbitrageSnapshot, name: str) -> LegOrderView | None:
    return next((each for each in now.orders if each.leg == name), None)


def _filled(leg: LegOrderView) -> str:
    at = f" at {number(leg.avg_price)}" if leg.avg_price is not None else ""
    return f"{number(leg.filled_amount)}/{number(leg.amount)}{at} {leg.status}"


def _profit(now: ArbitrageSnapshot) -> list[str]:
    if now.actual_profit is None:
        return []
    return [f"profit {number(now.actual_profit)} {(now.symbol or '').partition('/')[2]}"]


def arbitrage_picture(now: ArbitrageSnapshot) -> RenderableType:
    """Both legs side by side, then what compensated, then what it comes to."""
    plan = f"{number(now.amount)} {now.symbol}" if now.symbol else ""
    title = Text.assemble(f"arbitrage {now.execution_id}  {plan}  ", _status(now))
    parts: list[RenderableType] = [title]
    if now.symbol:
        parts.append(_side_by_side(now))
    if more := [each for each in now.orders if each.leg not in (_BUY, _SELL)]:
        parts.append(_orders(more))
    parts.append(_facts(_sums(now)))
    return Group(*parts)


def _side_by_side(now: ArbitrageSnapshot) -> Table:
    table = Table(
        "", Column(Text(f"buy {now.buy_exchange}")), Column(Text(f"sell {now.sell_exchange}"))
    )
    legs = (_leg(now, _BUY), _leg(now, _SELL))
    rows: dict[str, Callable[[LegOrderView], str]] = {
        "status": lambda leg: leg.status,
        "limit": lambda leg: number(leg.price),
        "amount": lambda leg: number(leg.amount),
        "filled": lambda leg: number(leg.filled_amount),
        "price": lambda leg: number(leg.avg_price),
        "fees": lambda leg: _amounts(leg.fee),
        "reason": lambda leg: leg.reason,
    }
    for name, cell in rows.items():
        cells = [cell(leg) if leg else "" for leg in legs]
        if any(cells):
            table.add_row(name, *(Text(each) for each in cells))
    return table


def _sums(now: ArbitrageSnapshot) -> dict[str, str]:
    base, _, quote = (now.symbol or "").partition("/")
    profit = now.actual_profit
    return {
        "outcome": now.outcome or "",
        "profit": f"{number(profit)} {quote}" if profit is not None else "",
        "expected": f"{number(now.expected_profit)} {quote}" if now.expected_profit else "",
        "fees": f"{number(now.fees_total)} {quote}" if now.fees_total else "",
        "matched": f"{number(now.matched_quantity)} {base}" if now.orders else "",
        "residual": f"{number(now.residual_quantity)} {base}" if now.residual_quantity else "",
        "naked": f"{number(now.naked_seconds)} s" if now.naked_seconds else "",
        "cost": f"{number(now.compensation_cost)} {quote} to compensate"
        if now.compensation_cost is not None
        else "",
        "decided": "; ".join(
            f"{each.action} {number(each.residual)} {base}"
            + (f" ({each.reason})" if each.reason else "")
            for each in now.compensation
        ),
        "error": now.error,
    }


# --- rebalancing ----------------------------------------------------------------------------------


def rebalance_line(now: RebalanceSnapshot) -> str:
    """`running  pass 1  sells 1/1  buys 0/2  skipped 1  needs transfer 0`."""
    parts = [f"{now.status}", f"pass {now.passes}"]
    for name, side, planned in (("sells", Side.SELL, now.sells), ("buys", Side.BUY, now.buys)):
        sent = [each for each in now.orders if each.side is side]
        done = sum(each.status.is_terminal for each in sent)
        parts.append(f"{name} {done}/{max(len(planned), len(sent))}")
    parts += [f"skipped {len(now.skipped)}", f"needs transfer {len(now.needs_transfer)}"]
    return "  ".join([*parts, *_why(now)])


def rebalance_picture(now: RebalanceSnapshot) -> RenderableType:
    """The weights, what is traded for them, what was sent, and what is left out."""
    what = "preview of rebalancing" if now.preview else "rebalancing"
    title = Text.assemble(f"{what} {now.execution_id}  ", _status(now))
    parts: list[RenderableType] = [title]
    if now.targets:
        parts.append(_weights(now))
    if trades := [*now.sells, *now.buys]:
        parts.append(_trades(trades, now.cash or ""))
    if now.orders:
        parts.append(_orders(now.orders))
    parts.append(_facts(_left_out(now)))
    return Group(*parts)


def _weights(now: RebalanceSnapshot) -> Table:
    table = Table("asset", "weight", "target", "after")
    goals = _goals(now)
    for asset in dict.fromkeys([*now.targets, *now.weights_before, *goals]):
        weights = (now.weights_before, goals, now.weights_after)
        table.add_row(Text(asset), *(_percent(each.get(asset)) for each in weights))
    return table


def _goals(now: RebalanceSnapshot) -> dict[str, Decimal]:
    """The targets, and what they imply: an asset without one is sold, the rest stays in cash."""
    goals = dict(now.targets)
    if now.cash:
        goals.setdefault(now.cash, 1 - sum(goals.values(), Decimal(0)))
    for asset in now.weights_before:
        goals.setdefault(asset, Decimal(0))
    return goals


def _percent(weight: Decimal | None) -> str:
    return "" if weight is None else f"{weight * 100:.4f} %"


def _trades(trades: Sequence[PlannedTrade], cash: str) -> Table:
    table = Table("planned", "exchange", "quantity", "price", Column(Text(f"value {cash}".strip())))
    for each in trades:
        table.add_row(
            Text(f"{each.side} {each.asset}"),
            Text(each.exchange),
            *(number(of) for of in (each.quantity, each.price, each.value)),
        )
    return table


def _left_out(now: RebalanceSnapshot) -> dict[str, str]:
    nothing = not (now.sells or now.buys) and bool(now.targets) and not now.error
    value = f"{number(now.portfolio_value)} {now.cash}"
    return {
        "trades": "none: nothing is out of its band" if nothing and not now.skipped else "",
        "value": value if now.portfolio_value is not None else "",
        "passes": str(now.passes) if now.passes else "",
        "fees": _amounts(now.fees),
        "skipped": "; ".join(
            f"{each.side} {number(each.quantity)} {each.asset} ({each.reason})"
            for each in now.skipped
        ),
        "needs transfer": "; ".join(
            f"{number(each.quantity)} {each.asset} to {each.side}" for each in now.needs_transfer
        ),
        "error": now.error,
    }


# --- pieces ---------------------------------------------------------------------------------------


def _orders(orders: Sequence[LegOrderView]) -> Table:
    names = ["exchange", "side", "symbol", "status", "limit", "amount", "filled", "price", "fees"]
    has_reasons = any(each.reason for each in orders)
    table = Table("order", *names, *(["reason"] if has_reasons else []))
    for each in orders:
        table.add_row(
            Text(each.leg),
            *(Text(text) for text in (each.exchange, each.side, each.symbol)),
            Text(each.status, style="green" if each.status is OrderStatus.FILLED else ""),
            *(number(of) for of in (each.price, each.amount, each.filled_amount, each.avg_price)),
            Text(_amounts(each.fee)),
            *([Text(each.reason)] if has_reasons else []),
        )
    return table


def _facts(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _amounts(amounts: dict[str, Decimal]) -> str:
    return ", ".join(f"{number(amount)} {asset}" for asset, amount in amounts.items())


def _status(now: ArbitrageSnapshot | RebalanceSnapshot) -> Text:
    return Text(now.status, style=_COLOURS.get(now.status, "bold"))


def _why(now: ArbitrageSnapshot | RebalanceSnapshot) -> list[str]:
    return [now.error] if now.error else []


ARBITRAGE_LOOK = Look(line=arbitrage_line, picture=arbitrage_picture)
REBALANCE_LOOK = Look(line=rebalance_line, picture=rebalance_picture)
