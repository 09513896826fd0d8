"""The state of a rebalancing as data, and what people see of it. The functions are pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from workflows.domain.denials import Denied
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionStatus
from workflows.domain.orders import OrderType, Side, TimeInForce
from workflows.domain.rebalancing import Rebalancing, Skipped
from workflows.domain.rebalancing_places import CUTS, VenueTrade
from workflows.domain.rebalancing_venues import Split
from workflows.execution_face import ExecutionState
from workflows.execution_messages import (
    NeededTransfer,
    PlannedTrade,
    RebalancePlan,
    RebalanceSnapshot,
    SkippedTrade,
)
from workflows.fields import plain
from workflows.leg_order import LegRecord, view_of_leg
from workflows.markdown import as_text, table
from workflows.messages import OrderRequest

_PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A trade that did not become an order: told as skipped, and not tried again."""

    trade: tuple[Side, str, str]
    shown: SkippedTrade
    denied: Denied


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceState(ExecutionState):
    """Everything that there is to know of a rebalancing.

    Value, weights, `sells` and `buys` are of the first pass; `skipped` and `transfers` of the
    latest one. `is_level`: nothing was left to trade when it was last looked at. `is_blind`: a
    venue did not answer when the latest pass was to buy. `is_cut`: an order of the latest pass may
    not have all that was wanted of it.
    """

    plan: RebalancePlan | None = None
    passes: int = 0
    first: Rebalancing | None = None
    weights_after: dict[str, Decimal] | None = None
    sells: tuple[PlannedTrade, ...] = ()
    buys: tuple[PlannedTrade, ...] = ()
    buy_scale: Decimal | None = None
    skipped: tuple[SkippedTrade, ...] = ()
    transfers: tuple[NeededTransfer, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    is_level: bool = False
    is_blind: bool = False
    is_cut: bool = False
    is_cut_short: bool = False


def name_of(trade: VenueTrade) -> tuple[Side, str, str]:
    """What makes a trade the same one in another pass."""
    return trade.side, trade.venue, trade.asset


def leg_name(number: int, trade: VenueTrade) -> str:
    """Name of the leg order of a trade in a pass."""
    return f"{number}-{trade.side}-{trade.venue}-{trade.asset}"


def request_of(plan: RebalancePlan, trade: VenueTrade) -> OrderRequest:
    """The order that a trade is: takes at most to its limit, and never rests."""
    return OrderRequest(
        strategy_id=plan.strategy_id,
        account=plan.account,
        exchange=trade.venue,
        symbol=trade.place.instrument.symbol,
        side=trade.side,
        order_type=OrderType.LIMIT,
        quantity=trade.quantity,
        price=trade.limit,
        time_in_force=TimeInForce.IOC,
        priority=plan.priority,
    )


def without_refused(split: Split, state: RebalanceState) -> Split:
    """The split without trades that the ledger refused before."""
    refused = [refusal.trade for refusal in state.refusals]
    trades = tuple(trade for trade in split.trades if name_of(trade) not in refused)
    return replace(split, trades=trades)


def refusal_of(trade: VenueTrade, denied: Denied) -> Refusal:
    """The trade as skipped, with the code of its denial."""
    shown = SkippedTrade(
        asset=trade.asset,
        side=trade.side,
        quantity=trade.quantity,
        value=trade.value,
        reason=f"{trade.venue}: {denied}",
    )
    return Refusal(trade=name_of(trade), shown=shown, denied=denied)


def shown_trades(trades: tuple[VenueTrade, ...]) -> tuple[PlannedTrade, ...]:
    """The trades as the public message has them."""
    return tuple(
        PlannedTrade(
            exchange=trade.venue,
            asset=trade.asset,
            side=trade.side,
            quantity=trade.quantity,
            price=trade.price,
            value=trade.value,
        )
        for trade in trades
    )


def shown_skipped(*groups: tuple[Skipped, ...]) -> tuple[SkippedTrade, ...]:
    """What is left out as the public message has it."""
    return tuple(
        SkippedTrade(
            asset=each.asset,
            side=each.side,
            quantity=each.quantity,
            value=each.value,
            reason=each.reason,
        )
        for group in groups
        for each in group
    )


def shown_transfers(*splits: Split) -> tuple[NeededTransfer, ...]:
    """What only transfers could do, as the public message has it."""
    return tuple(
        NeededTransfer(asset=each.asset, side=each.side, quantity=each.quantity, value=each.value)
        for split in splits
        for each in split.transfers
    )


def proceeds_of(records: tuple[LegRecord, ...], cash: str) -> dict[str, Decimal]:
    """Cash that sold legs brought in, by venue, as far as their fills are booked."""
    proceeds: dict[str, Decimal] = {}
    with exact():
        for record in records:
            report, venue = record.child.report, record.request.exchange
            if record.request.side is Side.SELL and report is not None:
                net = report.filled_quote - report.fees.get(cash, Decimal(0))
                proceeds[venue] = proceeds.get(venue, Decimal(0)) + net
    return proceeds


def of_pass(records: tuple[LegRecord, ...], number: int) -> tuple[LegRecord, ...]:
    """The legs of one pass."""
    return tuple(record for record in records if record.leg.startswith(f"{number}-"))


def is_whole(record: LegRecord) -> bool:
    """True when all of a leg's quantity was executed."""
    return record.executed >= record.request.quantity


def ending_of(state: RebalanceState, records: tuple[LegRecord, ...]) -> ExecutionStatus:
    """The named end of a rebalancing of which nothing can execute any more."""
    if state.is_cut_short:
        return ExecutionStatus.CANCELLED
    if not records:
        if state.refusals:
            return ExecutionStatus.DENIED
        is_preview = state.plan is not None and state.plan.preview
        is_stuck = state.is_blind or (state.is_cut and not is_preview)
        return ExecutionStatus.FAILED if is_stuck else ExecutionStatus.COMPLETED
    if not any(record.executed for record in records):
        return ExecutionStatus.FAILED
    latest = of_pass(records, state.passes)
    is_held_back = state.is_blind or state.is_cut
    is_done = state.is_level or (all(map(is_whole, latest)) and not is_held_back)
    if is_done and not state.refusals:
        return ExecutionStatus.COMPLETED
    return ExecutionStatus.PARTIAL


def cut_error(state: RebalanceState) -> str:
    """Why less was traded than wanted, when one order may not have it all."""
    reasons = sorted({each.reason for each in state.skipped if each.reason.startswith(CUTS)})
    if not state.is_cut:
        return ""
    on = "" if state.refusals else ", another run trades on"
    return f"less than wanted: {'; '.join(reasons)}; the rest is in skipped{on}"


def snapshot_of(
    state: RebalanceState,
    records: tuple[LegRecord, ...],
    *,
    execution_id: str,
    updated_at: datetime,
) -> RebalanceSnapshot:
    """The rebalancing as the public message; only id and verdict while it could not be read."""
    known = RebalanceSnapshot(
        execution_id=execution_id,
        status=state.status,
        code=state.code,
        field=state.field,
        error=state.error,
        started_at=state.created_at.isoformat(),
        completed_at=state.completed_at.isoformat() if state.completed_at else None,
        updated_at=updated_at.isoformat(),
    )
    plan, first = state.plan, state.first
    if plan is None:
        return known
    refused = tuple(refusal.shown for refusal in state.refusals)
    return known.model_copy(
        update={
            "preview": plan.preview,
            "strategy_id": plan.strategy_id,
            "account": plan.account,
            "exchanges": plan.exchanges,
            "cash": plan.cash,
            "targets": plan.targets,
            "portfolio_value": first.value if first else None,
            "value_after_fees": first.value_after_fees if first else None,
            "weights_before": first.weights if first else {},
            "weights_after": state.weights_after or {},
            "out_of_band": first.out_of_band if first else (),
            "sells": state.sells,
            "buys": state.buys,
            "buy_scale": state.buy_scale,
            "skipped": (*state.skipped, *refused),
            "needs_transfer": state.transfers,
            "passes": state.passes,
            "fees": _fees(records),
            "orders": tuple(view_of_leg(record) for record in records),
        }
    )


def _fees(records: tuple[LegRecord, ...]) -> dict[str, Decimal]:
    fees: dict[str, Decimal] = {}
    with exact():
        for record in records:
            for asset, fee in (record.child.report.fees if record.child.report else {}).items():
                fees[asset] = fees.get(asset, Decimal(0)) + fee
    return fees


def details_of(now: RebalanceSnapshot) -> str:
    """The rebalancing in Markdown, for the current details in Temporal's UI."""
    lines = [f"**{now.status}**" + (f" ({as_text(now.error)})" if now.error else "")]
    if now.weights_before:
        weights = [
            (asset, *map(_share, (now.targets.get(asset), before, now.weights_after.get(asset))))
            for asset, before in now.weights_before.items()
        ]
        lines.append(table(("asset", "target", "before", "after"), weights))
    if now.orders:
        orders = [
            (order.leg, f"{plain(order.filled_amount)} of {plain(order.amount)}", order.status)
            for order in now.orders
        ]
        lines.append(table(("order", "filled", "status"), orders))
    if now.code is not None:
        lines.append(f"`{now.code}`")
    return "\n\n".join(lines)


def _share(weight: Decimal | None) -> str:
    return "-" if weight is None else f"{weight * _PERCENT:.2f} %"
