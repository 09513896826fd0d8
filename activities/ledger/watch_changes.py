"""Hearing of armed and disarmed watches without asking."""

from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.notifications import Notifications, notifications

CHANNEL = "price_watches"


def watch_changes(
    engine: AsyncEngine, venue: str, symbol: str
) -> AbstractAsyncContextManager[Notifications]:
    """Listen for one symbol. Raises SQLAlchemyError or OSError when it cannot be entered."""
    return notifications(engine, CHANNEL, f"{venue}:{symbol}")
