"""How the demo shows arbitrages and a rebalancing: legs side by side, weights before and after.

Rule: it shows what it is told and decides nothing. Weights have many digits, since the paper
accounts hold so much.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from textwrap import shorten

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from starters.demo_result import ArbitrageOutcome, ExecutionOutcome
from starters.demo_show import amount, price
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.execution_messages import (
    ArbitrageSnapshot,
    CompensationView,
    LegOrderView,
    RebalanceSnapshot,
)

_REASON_CHARACTERS = 100
_PERCENT = Decimal(100)


def arbitrage_shown(done: ArbitrageSnapshot) -> RenderableType:
    """All legs side by side, those of the plan first, and what compensated with its reason."""
    base, _, quote = (done.symbol or "").partition("/")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("leg", no_wrap=True)
    for leg in done.orders:
        own = "" if leg.leg == leg.side else f"{leg.leg}: "
        table.add_column(Text(f"{own}{leg.side} on {leg.exchange}"), justify="right")
    rows: dict[str, Callable[[LegOrderView], str]] = {
        "status": lambda leg: leg.status,
        "filled": lambda leg: f"{amount(leg.filled_amount)}/{amount(leg.amount)} {base}",
        "price": lambda leg: price(leg.avg_price),
        "value": lambda leg: f"{price(_value(leg))} {quote}",
        "fee": lambda leg: _fees(leg.fee),
    }
    for name, cell in rows.items():
        table.add_row(name, *(Text(cell(leg)) for leg in done.orders))
    refusals = [
        Text(f"{each.leg}: {shorten(each.reason, _REASON_CHARACTERS)}", style="yellow")
        for each in _refused(done)
    ]
    decided = [Text(_decided(each, base), style="dim") for each in done.compensation]
    return Group(table, *refusals, *decided)


def _refused(done: ArbitrageSnapshot) -> list[LegOrderView]:
    return [each for each in done.orders if each.reason and each.status is not OrderStatus.FILLED]


def _decided(view: CompensationView, base: str) -> str:
    """One decision on a residual; dust is what neither exchange would trade."""
    what = view.action.replace("_", " ")
    loss = "" if view.expected_pnl_bps is None else f", expected {view.expected_pnl_bps:+.2f} bp"
    return f"decided: {what} {amount(view.residual)} {base}{loss}"


def arbitrage_told(outcome: ArbitrageOutcome) -> tuple[str, str]:
    """The end in two lines: the profit; then how long one leg stood alone, and what that cost."""
    done = outcome.done
    profit = (
        f"{done.status}: {_signed(done.actual_profit)} USDT after {price(done.fees_total)} of fees "
        f"(at most {price(outcome.bound)} may be lost)"
    )
    alone = f"one leg stood alone for {done.naked_seconds:.3f} s"
    if done.compensation_cost is not None:
        alone += f"; what compensated it cost {price(done.compensation_cost)} USDT"
    return profit, alone


def rebalance_shown(done: RebalanceSnapshot) -> RenderableType:
    """The weights, then all orders in the order in which they were sent, and what is left out."""
    lines = [
        f"{done.status} in {done.passes} pass{'es' if done.passes > 1 else ''}; portfolio "
        f"{price(done.portfolio_value)} {done.cash}; sells first, buys from what they brought",
        "the targets are shifted weights of a moment before: prices have moved meanwhile",
        "skipped: "
        + _listed(
            f"{each.side} {amount(each.quantity)} {each.asset} ({each.reason})"
            for each in done.skipped
        ),
        "needs transfer: "
        + _listed(
            f"{amount(each.quantity)} {each.asset} to {each.side}" for each in done.needs_transfer
        ),
    ]
    colour = "green" if done.status is ExecutionStatus.COMPLETED else "yellow"
    first, *others = lines
    facts = (Text(first, style=colour), *(Text(line, style="dim") for line in others))
    return Group(_weights(done), _orders(done.orders), *facts)


def executions_shown(outcomes: Sequence[ExecutionOutcome]) -> Table:
    """The table of all executions, to stand below that of the orders."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("execution", no_wrap=True)
    for name in ("orders", "profit", "at worst", "fees", "alone", "compensating"):
        table.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        done = outcome.done
        title = Text(outcome.name)
        if outcome.failures() or done.status is not ExecutionStatus.COMPLETED:
            title.append(f" ({done.status})", style="yellow")
        filled = sum(each.status is OrderStatus.FILLED for each in done.orders)
        figures = _figures(outcome)
        table.add_row(title, f"{filled}/{len(done.orders)} filled", *map(Text, figures))
    return table


def _figures(outcome: ExecutionOutcome) -> tuple[str, ...]:
    if not isinstance(outcome, ArbitrageOutcome):
        return "", "", _fees(outcome.done.fees), "", ""
    done = outcome.done
    return (
        _signed(done.actual_profit),
        _signed(-outcome.bound),
        f"{price(done.fees_total)} USDT",
        f"{done.naked_seconds:.3f} s",
        price(done.compensation_cost),
    )


def _value(leg: LegOrderView) -> Decimal:
    return leg.filled_amount * (leg.avg_price or 0)


def _fees(fees: Mapping[str, Decimal]) -> str:
    """To the cent where that says enough."""
    return _listed(
        f"{price(fee) if fee >= 1 else amount(fee)} {asset}" for asset, fee in fees.items()
    )


def _weights(done: RebalanceSnapshot) -> Table:
    table = _table("weight", "before", "target", "after")
    for asset, before in done.weights_before.items():
        shown = (before, done.targets.get(asset), done.weights_after.get(asset))
        table.add_row(asset, *("" if each is None else _percent(each) for each in shown))
    return table


def _orders(orders: Iterable[LegOrderView]) -> Table:
    table = _table("order", "filled", "price", "value", "fee", "status")
    for each in orders:
        base, _, quote = each.symbol.partition("/")
        style = "green" if each.side is Side.BUY else "cyan"
        table.add_row(
            Text(f"{each.side} {base} on {each.exchange}", style=style),
            f"{amount(each.filled_amount)}/{amount(each.amount)}",
            price(each.avg_price),
            f"{price(_value(each))} {quote}",
            _fees(each.fee),
            Text(f"{each.status} {each.reason}".strip()),
        )
    return table


def _table(first: str, *names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "none"


def _percent(weight: Decimal) -> str:
    return f"{weight * _PERCENT:.4f} %"


def _signed(value: Decimal | None) -> str:
    return "" if value is None else f"{value:+,.2f}"
