"""The ledger's writers of one process, on one pool of connections."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.alarm_store import AlarmStore
from activities.ledger.book_store import BookStore
from activities.ledger.chores import Chores
from activities.ledger.event_store import EventStore
from activities.ledger.execution_store import ExecutionStore
from activities.ledger.loss_store import LossStore
from activities.ledger.lost_store import LostStore
from activities.ledger.steering_store import SteeringStore
from activities.ledger.store import LedgerStore
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.ledger.watch_store import WatchStore
from workflows.domain.risk import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The ledger's writers, on one pool of connections."""

    orders: LedgerStore
    executions: ExecutionStore
    watches: WatchStore
    steering: SteeringStore
    lost: LostStore
    chores: Chores
    books: BookStore
    alarms: AlarmStore
    sync: SyncStore
    compared: SyncReader
    losses: LossStore
    events: EventStore


def stores_on(engine: AsyncEngine, limits: Limits) -> Stores:
    """All writers of one ledger."""
    return Stores(
        orders=LedgerStore(engine, limits),
        executions=ExecutionStore(engine, limits),
        watches=WatchStore(engine),
        steering=SteeringStore(engine, limits),
        lost=LostStore(engine),
        chores=Chores(engine),
        books=BookStore(engine),
        alarms=AlarmStore(engine),
        sync=SyncStore(engine),
        compared=SyncReader(engine),
        losses=LossStore(engine),
        events=EventStore(engine),
    )
