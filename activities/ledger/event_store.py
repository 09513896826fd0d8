"""Taking old events away: they are news, and the books they tell of stay."""

from decimal import Decimal

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.event_models import EventRow
from activities.ledger.store_feed import seconds_ago


class EventStore:
    """Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def prune(self, *, older_than_s: Decimal, limit: int) -> int:
        """Delete the oldest events, at most `limit`, if they are so old (seconds); how many.

        The newest stays, whatever its age: the next number follows from it.
        """
        # by number first: the times have no index, and need none, as they grow with the numbers
        oldest = select(EventRow.seq, EventRow.at).order_by(EventRow.seq).limit(limit).subquery()
        newest = select(func.max(EventRow.seq)).scalar_subquery()
        old = select(oldest.c.seq).where(
            oldest.c.at < seconds_ago(older_than_s), oldest.c.seq < newest
        )
        query = delete(EventRow).where(EventRow.seq.in_(old)).returning(EventRow.seq)
        async with self._engine.begin() as connection:
            return len((await connection.execute(query)).all())
