"""The calls that ccxt's unified interface gets right: several venues' rows share them.

A venue where it gets one wrong has its own, in its own module.
"""

from typing import Any

from activities.venues.dialects.row import CcxtFees, CcxtOrder


async def read_order(client: Any, symbol: str, venue_order_id: str) -> CcxtOrder:
    """One order by the venue's id, or ccxt's OrderNotFound."""
    order: CcxtOrder = await client.fetch_order(venue_order_id, symbol)
    return order


async def cancel(client: Any, symbol: str, venue_order_id: str) -> None:
    """Ask for a cancel; ccxt's OrderNotFound for an order that is open no more."""
    await client.cancel_order(venue_order_id, symbol)


async def fees(client: Any, symbol: str) -> CcxtFees:
    """The account's `maker` and `taker` rates in a symbol."""
    rates: CcxtFees = await client.fetch_trading_fee(symbol)
    return rates
