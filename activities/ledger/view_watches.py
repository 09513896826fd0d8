"""The trigger that stands guard for an order, as its follower stored it last."""

from typing import Any

from sqlalchemy import BigInteger, Select, cast, extract, func, select

from activities.ledger.watch_models import PriceWatch
from workflows.ports import WatchStatus


def armed_watch_query(order_id: str) -> Select[Any]:
    """The row of the order's armed watch, of which there is one at most."""
    columns: list[Any] = list(PriceWatch.__table__.columns)
    armed_at_ms = cast(func.floor(extract("epoch", PriceWatch.armed_at) * 1000), BigInteger)
    return (
        select(*columns, armed_at_ms.label("armed_at_ms"))
        .where(PriceWatch.order_id == order_id, PriceWatch.status == WatchStatus.ARMED.value)
        .order_by(PriceWatch.armed_at.desc())
        .limit(1)
    )
