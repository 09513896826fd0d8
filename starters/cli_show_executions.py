"""How the command line shows executions: an arbitrage's legs side by side, a rebalancing's trades.

Rule: as for orders, data goes to stdout and complaints to stderr, and text of others is shown as
text, never read as markup.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from starters import cli_tables
from starters.cli_console import complain, is_live, out, put_json, put_line
from starters.cli_numbers import number
from starters.cli_show import denial
from starters.cli_tables import Cell, Rows
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

_LEG_BAR_WIDTH = 16
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
    """How one kind of execution looks: in one line, as a picture, and in a list."""

    singular: str
    plural: str
    headings: Sequence[str]
    cells: Callable[[ExecutionT], Sequence[Cell]]
    line: Callable[[ExecutionT], str]
    picture: Callable[[ExecutionT], RenderableType]


def execution(look: Look[ExecutionT], snapshot: ExecutionT, *, as_json: bool) -> None:
    """One execution."""
    if as_json:
        put_json(snapshot)
    else:
        out().print(look.picture(snapshot))


def started(look: Look[ExecutionT], snapshot: ExecutionT, *, as_json: bool) -> None:
    """The answer to the start of one; a denial as `CODE: message`."""
    if snapshot.status is ExecutionStatus.DENIED and not as_json:
        why = snapshot.error or "the plan is denied"
        complain(denial(snapshot.code or snapshot.status, snapshot.field, why))
    else:
        execution(look, snapshot, as_json=as_json)


@contextmanager
def following(look: Look[ExecutionT], *, as_json: bool) -> Iterator[Callable[[ExecutionT], None]]:
    """A function that shows each state: JSON lines, a live picture, or plain lines."""
    if as_json:
        yield put_json
    elif not is_live():
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


def page(
    look: Look[ExecutionT], found: Sequence[ExecutionT], following: str | None, *, as_json: bool
) -> None:
    """A page of executions; JSON as over HTTP, without the links."""
    if as_json:
        told = [each.model_dump(mode="json") for each in found]
        put_line(json.dumps({look.plural: told, "next_cursor": following}))
        return
    rows = [_row(look, each) for each in found]
    headings = (look.singular, "status", *look.headings, "started")
    cli_tables.put(headings, rows, none=f"no {look.plural}")
    cli_tables.more(following)


def _row(look: Look[ExecutionT], one: ExecutionT) -> Sequence[Cell]:
    return (one.execution_id, _status(one), *look.cells(one), (one.started_at or "")[:19])


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
    parts.append(cli_tables.grid(_sums(now)))
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
    if not now.status.is_terminal:
        table.add_row("progress", *(_leg_bar(leg) for leg in legs))
    return table


def _leg_bar(leg: LegOrderView | None) -> RenderableType:
    """How much of the leg is filled: a picture, where a float is good enough."""
    if leg is None:
        return Text("not sent")
    return ProgressBar(
        total=float(leg.amount), completed=float(leg.filled_amount), width=_LEG_BAR_WIDTH
    )


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
        "code": now.code or "",
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
    parts.append(cli_tables.grid(_left_out(now)))
    return Group(*parts)


def _weights(now: RebalanceSnapshot) -> Rows:
    goals = _goals(now)
    assets = dict.fromkeys([*now.targets, *now.weights_before, *goals])
    stages = (now.weights_before, goals, now.weights_after)
    rows = [(asset, *(_percent(each.get(asset)) for each in stages)) for asset in assets]
    return Rows(("asset", "weight %", "target %", "after %"), rows)


def _goals(now: RebalanceSnapshot) -> dict[str, Decimal]:
    """The targets, and what they imply: an asset without one is sold, the rest stays in cash."""
    goals = dict(now.targets)
    if now.cash:
        goals.setdefault(now.cash, 1 - sum(goals.values(), Decimal(0)))
    for asset in now.weights_before:
        goals.setdefault(asset, Decimal(0))
    return goals


def _percent(weight: Decimal | None) -> Decimal | None:
    return None if weight is None else (weight * 100).quantize(Decimal("0.0001"))


def _trades(trades: Sequence[PlannedTrade], cash: str) -> Rows:
    rows = [
        (f"{each.side} {each.asset}", each.exchange, each.quantity, each.price, each.value)
        for each in trades
    ]
    return Rows(("planned", "exchange", "quantity", "price", f"value {cash}".strip()), rows)


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
        "code": now.code or "",
        "error": now.error,
    }


# --- pieces ---------------------------------------------------------------------------------------


def _orders(orders: Sequence[LegOrderView]) -> Rows:
    names = ["exchange", "side", "symbol", "status", "limit", "amount", "filled", "price", "fees"]
    reasons = ["reason"] if any(each.reason for each in orders) else []
    rows = [
        (
            *(each.leg, each.exchange, each.side, each.symbol),
            Text(each.status, style="green" if each.status is OrderStatus.FILLED else ""),
            *(each.price, each.amount, each.filled_amount, each.avg_price),
            _amounts(each.fee),
            *(each.reason for _ in reasons),
        )
        for each in orders
    ]
    return Rows(["order", *names, *reasons], rows)


def _amounts(amounts: dict[str, Decimal]) -> str:
    return ", ".join(f"{number(amount)} {asset}" for asset, amount in amounts.items())


def _status(now: ArbitrageSnapshot | RebalanceSnapshot) -> Text:
    return Text(now.status, style=_COLOURS.get(now.status, "bold"))


def _why(now: ArbitrageSnapshot | RebalanceSnapshot) -> list[str]:
    return [now.error] if now.error else []


def _arbitrage_cells(each: ArbitrageSnapshot) -> Sequence[Cell]:
    where = (each.symbol, each.buy_exchange, each.sell_exchange)
    return (*where, each.matched_quantity, each.amount, each.actual_profit)


def _rebalance_cells(each: RebalanceSnapshot) -> Sequence[Cell]:
    targets = " ".join(f"{asset}={number(weight)}" for asset, weight in each.targets.items())
    return (each.strategy_id, " ".join(each.exchanges), targets, len(each.orders))


ARBITRAGE_LOOK = Look(
    singular="arbitrage",
    plural="arbitrages",
    headings=("symbol", "buy", "sell", "matched", "of", "profit"),
    cells=_arbitrage_cells,
    line=arbitrage_line,
    picture=arbitrage_picture,
)
REBALANCE_LOOK = Look(
    singular="rebalancing",
    plural="rebalances",
    headings=("strategy", "exchanges", "targets", "orders"),
    cells=_rebalance_cells,
    line=rebalance_line,
    picture=rebalance_picture,
)
