"""How orders went, as it is shown over HTTP and on the command line alike."""

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.view_statistics import StatisticsViews
from starters.connections import Connections
from workflows.fields import Amount


class OrderStatistics(BaseModel):
    """Orders of one strategy, or of all; legs of executions are no orders here."""

    model_config = ConfigDict(from_attributes=True)

    strategy_id: str | None
    orders: int
    open_orders: int
    by_status: dict[str, int]
    by_type: dict[str, dict[str, int]] = Field(description="counts by status, by order type")
    fill_ratio: Amount | None = Field(
        description="mean share of its quantity that an ended order filled; denied ones apart"
    )
    volumes: dict[str, Amount] = Field(description="filled value of ended orders, by quote asset")
    fees: dict[str, Amount] = Field(description="of all fills, by quote asset; rebates below zero")
    slippage_bps: dict[str, Amount] = Field(
        description="what fills cost above the price at acceptance, in 1/10,000; by quote asset"
    )
    average_time_to_fill_s: Amount | None = Field(
        description="seconds from acceptance to end, of filled orders"
    )


async def order_statistics(
    connections: Connections,
    *,
    strategy_id: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    accounts: frozenset[str] | None = None,
) -> OrderStatistics:
    """All orders of the accounts that the caller sees that fit, in one. Raises Unavailable."""
    async with connections.reading(StatisticsViews) as views:
        found = await views.orders(strategy_id, exchange, symbol, accounts)
    return OrderStatistics.model_validate(found)
