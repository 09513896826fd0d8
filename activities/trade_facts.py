"""A venue's trade in the words of reconciliation, shared by those who compare and by no writer."""

from activities.venues.gateway import VenueTrade
from workflows.domain.reconciliation import TradeFacts, TradeKey


def facts_of(trade: VenueTrade) -> TradeFacts:
    """The trade as both sides can tell it."""
    fill = trade.fill
    return TradeFacts(
        key=TradeKey(trade.symbol, fill.trade_id, trade.side),
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        traded_at_ms=fill.traded_at_ms,
    )
