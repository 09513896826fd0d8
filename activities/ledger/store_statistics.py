"""Ended orders in sums: what an order adds when it ends, in the transaction that ends it.

Rule: each order is counted once, at its end, as it was then. Legs of executions are not counted:
nobody ordered them one by one. The sums' row is locked last, because all orders of a strategy
share it.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BindParameter,
    Insert,
    Numeric,
    Select,
    case,
    extract,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert

from activities.ledger.control_models import OrderStatistic
from activities.ledger.models import ChildOrder, FillRow, ParentOrder
from workflows.domain.lifecycle import OrderStatus

_ZERO = literal(Decimal(0), Numeric)
_KEY = ("strategy_id", "exchange", "symbol", "order_type", "status")
_PLACES = 18


def ends() -> Select[Any]:
    """What each order adds to the sums of its kind: one row each, right once it has ended."""
    order = ParentOrder
    traded = (
        select(
            func.coalesce(func.sum(FillRow.quantity), _ZERO).label("quantity"),
            func.coalesce(func.sum(FillRow.quantity * FillRow.price), _ZERO).label("value"),
        )
        .join(ChildOrder, ChildOrder.client_order_id == FillRow.client_order_id)
        .where(ChildOrder.order_id == order.order_id)
        .lateral("traded")
    )
    at_arrival = func.coalesce(order.arrival_price * traded.c.quantity, _ZERO)
    above = case((order.arrival_price.is_(None), _ZERO), else_=traded.c.value - at_arrival)
    is_timed = (order.status == OrderStatus.FILLED.value) & order.accepted_at.is_not(None)
    took_s = extract("epoch", order.finished_at - order.accepted_at)
    added = {
        **{name: getattr(order, name) for name in _KEY},
        "orders": literal(1),
        "quantity": order.quantity,
        "filled_quantity": traded.c.quantity,
        "fill_shares": func.round(traded.c.quantity / order.quantity, _PLACES),
        "filled_value": traded.c.value,
        "slippage_value": case((order.side == "sell", -above), else_=above),
        "measured_value": at_arrival,
        "seconds_to_fill": case((is_timed, took_s), else_=_ZERO),
        "timed_orders": case((is_timed, 1), else_=0),
    }
    columns: list[Any] = [value.label(name) for name, value in added.items()]
    return select(*columns).join(traded, true()).where(order.execution_id.is_(None))


def count_end(order_id: str | BindParameter[str]) -> Insert:
    """Add an order that has just ended to the sums of its kind."""
    ended = ends().where(ParentOrder.order_id == order_id)
    names = [column.name for column in ended.selected_columns]
    new = insert(OrderStatistic).from_select(names, ended)
    sums = [name for name in names if name not in _KEY]
    return new.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={name: getattr(OrderStatistic, name) + new.excluded[name] for name in sums},
    )
