"""Work that one process of the fleet does now and then: who asks first when it is due does it.

A process that dies with it costs one more period. Nothing may rely on only one doing it at a time.
"""

from decimal import Decimal

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.control_models import Chore
from activities.ledger.store_feed import seconds_ago


class Chores:
    """Turns of work, by name. Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_mine(self, name: str, every_s: Decimal) -> bool:
        """True for the one who shall do it now; then not again for `every_s` seconds."""
        now = seconds_ago(Decimal(0))
        turn = insert(Chore).values(name=name, begun_at=now)
        taken = turn.on_conflict_do_update(
            index_elements=[Chore.name],
            set_={"begun_at": now},
            where=Chore.begun_at <= seconds_ago(every_s),
        ).returning(Chore.name)
        async with self._engine.begin() as connection:
            return (await connection.execute(taken)).first() is not None
