"""What an arbitrage amounts to: its end, its snapshot, its story in Temporal's UI. Pure."""

from datetime import datetime
from decimal import Decimal

from workflows.arbitrage_state import (
    ArbitrageState,
    assets_of,
    is_reversal,
    pair_of,
    profit_of,
)
from workflows.domain.arbitrage_profit import Profit
from workflows.domain.exact import minus
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.orders import Side
from workflows.execution_messages import ArbitrageSnapshot, LegOrderView
from workflows.fields import plain
from workflows.leg_order import LegRecord, executed_of, view_of_leg
from workflows.markdown import as_text, number, table


def ending_of(
    state: ArbitrageState, records: tuple[LegRecord, ...], *, is_held: bool, is_cancelled: bool
) -> ExecutionStatus:
    """The named end of legs that are all over. `is_held`: a tradable residual is left."""
    pair = pair_of(records)
    bought, sold = executed_of(pair, Side.BUY), executed_of(pair, Side.SELL)
    if is_held:
        return ExecutionStatus.RESIDUAL_HELD
    if not executed_of(records, Side.BUY) and not executed_of(records, Side.SELL):
        return ExecutionStatus.CANCELLED if is_cancelled else ExecutionStatus.FAILED
    if _is_whole(state, pair):
        return ExecutionStatus.COMPLETED
    if is_cancelled:
        return ExecutionStatus.CANCELLED
    is_reversed = any(is_reversal(record.leg) and record.executed for record in records)
    if is_reversed and not (bought and sold):
        return ExecutionStatus.UNWOUND
    return ExecutionStatus.PARTIAL


def _is_whole(state: ArbitrageState, pair: tuple[LegRecord, ...]) -> bool:
    """True when both sides have what was sent, and that was what the plan asked for.

    An adopted arbitrage does not know what was decided at its beginning: its legs tell.
    """
    opening, plan = state.opening, state.plan
    bought, sold = executed_of(pair, Side.BUY), executed_of(pair, Side.SELL)
    if opening is None or plan is None:
        filled = all(leg.executed >= leg.child.intent.quantity for leg in pair)
        return filled and bought > 0 and sold > 0
    asked = minus(plan.amount, opening.buy_quantity) <= opening.dust
    return asked and bought >= opening.buy_quantity and sold >= opening.sell_quantity


def outcome_of(state: ArbitrageState, now: Profit) -> Outcome | None:
    """The end in the words of its profit; None while it runs and for what was denied."""
    status = state.status
    if status is ExecutionStatus.RESIDUAL_HELD:
        return Outcome.RESIDUAL_HELD
    if status is ExecutionStatus.UNWOUND:
        return Outcome.UNWOUND
    if not status.is_terminal or status is ExecutionStatus.DENIED:
        return None
    if not now.net_bought and not now.net_sold:
        return Outcome.ABORTED
    return Outcome.PROFIT if now.total >= 0 else Outcome.LOSS_BOUNDED


def snapshot_of(
    state: ArbitrageState,
    records: tuple[LegRecord, ...],
    *,
    execution_id: str,
    naked_s: Decimal,
    updated_at: datetime,
) -> ArbitrageSnapshot:
    """The arbitrage as the public message; only its id and verdict while it could not be read."""
    known = ArbitrageSnapshot(
        execution_id=execution_id,
        status=state.status,
        code=state.code,
        field=state.field,
        error=state.error,
        started_at=state.created_at.isoformat(),
        completed_at=state.completed_at.isoformat() if state.completed_at else None,
        updated_at=updated_at.isoformat(),
    )
    plan, opening = state.plan, state.opening
    if plan is None:
        return known
    now = profit_of(records, state)
    traded = any(record.executed for record in records)
    return known.model_copy(
        update={
            "outcome": outcome_of(state, now),
            "opportunity_id": plan.opportunity_id,
            "strategy_id": plan.strategy_id,
            "account": plan.account,
            "symbol": plan.symbol,
            "buy_exchange": plan.buy_exchange,
            "sell_exchange": plan.sell_exchange,
            "mode": plan.mode,
            "amount": plan.amount,
            "quantity": opening.buy_quantity if opening else None,
            "est_profit": plan.est_profit,
            "expected_profit": opening.expected_net if opening else None,
            "naked_seconds": naked_s,
            "orders": tuple(view_of_leg(record) for record in records),
            "compensation": state.compensation,
            **(_amounts(state, records, now) if traded else {}),
        }
    )


def _amounts(
    state: ArbitrageState, records: tuple[LegRecord, ...], now: Profit
) -> dict[str, Decimal | None]:
    # a leg that is still at work is no residual, and without a mark it has no profit to tell
    is_told = state.status.is_terminal or not now.residual or now.residual_mark is not None
    return {
        "actual_profit": now.total if is_told else None,
        "realised_profit": now.realised,
        "residual_profit": now.residual_pnl if is_told else None,
        "fees_total": now.fees_total,
        "matched_quantity": now.matched,
        "residual_quantity": now.residual,
        "residual_mark": now.residual_mark,
        "compensation_cost": _compensation_cost(state, records, now),
    }


def _compensation_cost(
    state: ArbitrageState, records: tuple[LegRecord, ...], now: Profit
) -> Decimal | None:
    """What the pair's matched part earned, less what all of it came to; None without any."""
    if not any(is_reversal(record.leg) and record.executed for record in records):
        return None
    return minus(profit_of(pair_of(records), state).realised, now.total)


def details_of(now: ArbitrageSnapshot) -> str:
    """The arbitrage in Markdown, for the current details in Temporal's UI."""
    lines = [f"**{now.status}**" + (f" ({as_text(now.error)})" if now.error else "")]
    if now.amount is not None and now.symbol is not None:
        base, quote = assets_of(now.symbol)
        lines.append(
            f"{plain(now.amount)} {base}: buy {now.buy_exchange}, sell {now.sell_exchange}"
        )
        if now.orders:
            lines.append(_table_of(now.orders))
        if now.actual_profit is not None:
            lines.append(
                f"profit {plain(now.actual_profit)} {quote}, "
                f"residual {plain(now.residual_quantity)} {base}"
            )
    if now.code is not None:
        lines.append(f"`{now.code}`")
    return "\n\n".join(lines)


def _table_of(legs: tuple[LegOrderView, ...]) -> str:
    rows = []
    for leg in legs:
        price = "-" if leg.avg_price is None else number(plain(leg.avg_price))
        filled = f"{plain(leg.filled_amount)} of {plain(leg.amount)}"
        rows.append((leg.leg, leg.exchange, filled, price, leg.status))
    return table(("leg", "at", "filled", "price", "status"), rows)
