"""What our books and the exchanges differ in now, and the orders there that are not ours."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.view_sync import MAX_SHOWN, SyncViews
from starters.connections import Connections
from workflows.fields import Amount


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BookBreak(_View):
    """One difference that is open. `ours` and `theirs` in the unit of the object."""

    exchange: str
    account: str
    kind: str
    object: str = Field(description="asset, symbol, order or trade, within the account")
    observer: str = Field(description="sync: the comparison; drop_copy: the second look")
    ours: Amount | None
    theirs: Amount | None
    value: Amount | None = Field(description="quote units, where a price is known")
    detail: str
    first_seen_at: datetime
    last_seen_at: datetime
    age_s: Amount
    alarmed_at: datetime | None
    acted_at: datetime | None = Field(description="when the exchange was set to reducing for it")


class ForeignOrder(_View):
    """An order of the account that is not ours. Base units, price in quote units."""

    exchange: str
    account: str
    symbol: str
    venue_order_id: str
    side: str
    quantity: Amount
    price: Amount | None
    executed_quantity: Amount
    status: str
    first_seen_at: datetime
    last_seen_at: datetime


class Breaks(BaseModel):
    """Open differences, the oldest first; and foreign orders, those seen last first."""

    breaks: list[BookBreak]
    foreign_orders: list[ForeignOrder]
    more: bool = Field(description=f"only {MAX_SHOWN} of each are shown")


async def list_breaks(
    connections: Connections,
    *,
    exchange: str | None = None,
    accounts: frozenset[str] | None = None,
) -> Breaks:
    """Those that are open now, of the accounts that the caller sees. Raises Unavailable."""
    async with connections.reading(SyncViews) as views:
        found = await views.open_breaks(exchange, accounts)
        foreign = await views.external_orders(exchange, accounts)
    return Breaks(
        breaks=[BookBreak.model_validate(each) for each in found],
        foreign_orders=[ForeignOrder.model_validate(each) for each in foreign],
        more=MAX_SHOWN in (len(found), len(foreign)),
    )
