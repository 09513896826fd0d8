"""What an order would be let to do now: its verdict, and how much of a position it may close.

Rule: reads only. The answer is a moment's; what binds is said where something is reserved.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import Select, bindparam, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.models import ChildOrder, Position, Reservation
from activities.ledger.results import PositionKey
from activities.ledger.risk_facts import control_columns, controls_of, limits_of
from activities.ledger.risk_locks import binds_of
from activities.ledger.statements import gate
from activities.ledger.store_acceptance import judge
from workflows.domain.denials import Denied
from workflows.domain.exact import minus
from workflows.domain.orders import Side
from workflows.domain.risk import Exposure, Limits, free_to_close
from workflows.messages import OrderRequest
from workflows.ports import Protected, ProtectRequest

_GATE = gate().add_columns(*control_columns())


async def check(
    connection: AsyncConnection, request: OrderRequest, reference_price: Decimal, limits: Limits
) -> Denied | None:
    """See SteeringStore.check_order."""
    key = PositionKey(request.strategy_id, request.account, request.exchange, request.symbol)
    names = {
        **binds_of(key, request.side),
        "of_exchange": key.exchange,
        "of_account": key.account,
        "client_order_id": "",
    }
    facts = (await connection.execute(_GATE, names)).one()
    bound = limits_of(facts, key, limits)
    controls = await controls_of(connection, facts, key, request.side)
    return judge(facts, request, reference_price, bound, controls)


def _held_by_others(side: Side) -> Any:
    """Open reservations of a position on one side, without those of one order."""
    return (
        select(func.coalesce(func.sum(Reservation.quantity), 0))
        .join(ChildOrder, ChildOrder.client_order_id == Reservation.client_order_id)
        .where(
            Reservation.state == "open",
            Reservation.side == side.value,
            Reservation.strategy_id == bindparam("strategy_id"),
            Reservation.account == bindparam("account"),
            Reservation.exchange == bindparam("exchange"),
            Reservation.symbol == bindparam("symbol"),
            ChildOrder.order_id != bindparam("order_id"),
        )
        .scalar_subquery()
    )


def _facts() -> Select[Any]:
    one = select(literal(1).label("n")).subquery("one")
    position = select(Position.quantity).where(
        Position.strategy_id == bindparam("strategy_id"),
        Position.account == bindparam("account"),
        Position.exchange == bindparam("exchange"),
        Position.symbol == bindparam("symbol"),
    )
    return select(
        func.coalesce(position.scalar_subquery(), 0).label("position"),
        _held_by_others(Side.BUY).label("working_buy"),
        _held_by_others(Side.SELL).label("working_sell"),
    ).select_from(one)


_FACTS = _facts()


async def protected(connection: AsyncConnection, request: ProtectRequest) -> Protected:
    """See SteeringStore.read_protected."""
    names = {
        "order_id": request.order_id,
        "strategy_id": request.strategy_id,
        "account": request.account,
        "exchange": request.venue,
        "symbol": request.symbol,
    }
    facts = (await connection.execute(_FACTS, names)).one()
    exposure = Exposure(
        position=Decimal(facts.position),
        working_buy=Decimal(facts.working_buy),
        working_sell=Decimal(facts.working_sell),
    )
    closing = Side.SELL if exposure.position > 0 else Side.BUY
    closable = free_to_close(exposure, closing)
    free = closable if closing is Side.SELL else minus(Decimal(0), closable)
    return Protected(position=exposure.position, free=free)
