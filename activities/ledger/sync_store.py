"""What reconciliation writes: breaks and what they lead to, orders of others, balances, transfers.

Theory of operation. Each observer says what it sees of an account; a break is open from the first
look that shows it to the first that does not. What an observer could not look at (balances while
trades came) is neither raised nor cleared, and does not grow older by that. Acting on what is open
is a step of its own, for the breaks of all observers at once: an old one alarms, a very old one
lets the venue only reduce.

Rule: each method is one transaction and may be called again. A balance is set right by a transfer
that somebody answers for, never by itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    Row,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.ages import age_s
from activities.ledger.alarm_ends import OF_CLOSED_BREAK, OF_SEEING_DROP_COPY, ended
from activities.ledger.audit import ENGINE, audit
from activities.ledger.book_models import (
    AccountBalance,
    Break,
    Transfer,
    VenueBalance,
)
from activities.ledger.control_models import Chore
from activities.ledger.results import TradingState
from activities.ledger.statements import alarm
from activities.ledger.store_feed import seconds_ago
from activities.ledger.store_foreign import ForeignOrder, keep_foreign
from activities.ledger.store_states import Setting, set_state
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.reconciliation import Difference, DifferenceKind

ALARM_AFTER_S, REDUCE_AFTER_S = Decimal(60), Decimal(300)
MAX_BREAKS_PER_LOOK = 500
"""Of those kept: whoever differs in more is not looked at break by break."""

_MICROSECONDS = 1_000_000
_SUBJECT: list[Any] = [Break.kind, Break.object]


class Observer(StrEnum):
    """Who sees a break."""

    SYNC = "sync"
    DROP_COPY = "drop_copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDifference:
    """A difference, and for how many seconds it has been open."""

    difference: Difference
    age_s: Decimal


class SyncStore:
    """Writes what reconciliation finds. Thresholds in seconds."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        alarm_after_s: Decimal = ALARM_AFTER_S,
        reduce_after_s: Decimal = REDUCE_AFTER_S,
    ) -> None:
        self._engine = engine
        self._alarm_after_s = alarm_after_s
        self._reduce_after_s = reduce_after_s

    # --- breaks ---

    async def observe(
        self,
        observer: Observer,
        exchange: str,
        account: str,
        differences: Sequence[Difference],
        *,
        looked_at: Collection[DifferenceKind],
    ) -> list[SeenDifference]:
        """One look: all differences of the kinds that were looked at, each with its age.

        Open breaks of these kinds that are not among them are resolved.
        """
        told = {(each.kind, each.object): each for each in differences if each.kind.is_break}
        rows = [
            _row(observer, exchange, account, each)
            for each in list(told.values())[:MAX_BREAKS_PER_LOOK]
        ]
        async with self._engine.begin() as connection:
            await _alone(connection, exchange)
            seen = await _keep_open(connection, rows)
            over = await connection.execute(
                update(Break)
                .where(
                    Break.observer == observer.value,
                    Break.exchange == exchange,
                    Break.account == account,
                    Break.kind.in_([kind.value for kind in looked_at]),
                    Break.resolved_at.is_(None),
                    Break.id.not_in([row.id for row in seen.values()]),
                )
                .values(resolved_at=func.now())
                .returning(*_SUBJECT)
            )
            await _close_alarms(connection, observer, exchange, account, over.all())
        return [
            SeenDifference(difference=each, age_s=seen[key].age_s if key in seen else Decimal(0))
            for key, each in told.items()
        ]

    async def alarm_blind(self, exchange: str, account: str, why: str) -> None:
        """The drop copy has not seen the account for long."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(AlarmCode.DROP_COPY_BLIND, f"{exchange}/{account}", why))

    async def escalate(self, exchange: str) -> None:
        """Act on the open breaks of a venue, once per break: an alarm, then only reducing."""
        await self._alarm(exchange)
        await self._reduce(exchange)

    async def _alarm(self, exchange: str) -> None:
        async with self._engine.begin() as connection:
            await _alone(connection, exchange)
            found = await connection.execute(
                update(Break)
                .where(*_open_for(exchange, self._alarm_after_s), Break.alarmed_at.is_(None))
                .values(alarmed_at=func.now())
                .returning(*Break.__table__.columns)
            )
            for row in found.all():
                detail = f"{row.detail}; ours {row.ours}, theirs {row.theirs}, by {row.observer}"
                about = f"{row.exchange}/{row.account}/{row.kind}/{row.object}"
                await connection.execute(alarm(AlarmCode.RECON_BREAK, about, detail))

    async def _reduce(self, exchange: str) -> None:
        is_due = (*_open_for(exchange, self._reduce_after_s), Break.acted_at.is_(None))
        async with self._engine.begin() as connection:
            await _alone(connection, exchange)
            query = select(Break.account, Break.kind, Break.object).where(*is_due).limit(1)
            first = (await connection.execute(query)).one_or_none()
            if first is None:
                return
            about = f"{first.account}/{first.kind}/{first.object}"
            reason = f"books and venue differ since {self._reduce_after_s:f} s: {about}"
            wanted = Setting(state=TradingState.REDUCING, reason=reason, by=ENGINE)
            await set_state(connection, f"venue:{exchange}", wanted, only_tighter=True)
            await connection.execute(update(Break).where(*is_due).values(acted_at=func.now()))

    # --- orders that are not ours ---

    async def record_foreign(
        self, exchange: str, account: str, orders: Sequence[ForeignOrder]
    ) -> dict[tuple[str, str], Decimal]:
        """Store each as it is now, with an alarm when it is new. Their ages in seconds.

        By symbol and the venue's order id. An end that is stored stays.
        """
        ages: dict[tuple[str, str], Decimal] = {}
        async with self._engine.begin() as connection:
            for order in sorted(orders, key=lambda each: (each.symbol, each.venue_order_id)):
                age, is_new = await keep_foreign(connection, exchange, account, order)
                ages[order.symbol, order.venue_order_id] = age
                if is_new:
                    about = f"{exchange}/{account}/{order.symbol}/{order.venue_order_id}"
                    detail = f"side={order.side} quantity={order.quantity:f} status={order.status}"
                    await connection.execute(alarm(AlarmCode.EXTERNAL_ORDER, about, detail))
        return ages

    # --- balances ---

    async def store_balances(
        self,
        exchange: str,
        account: str,
        total: Mapping[str, Decimal],
        free: Mapping[str, Decimal],
    ) -> None:
        """What the venue holds now, by asset; what it no longer names is stored as nothing."""
        async with self._engine.begin() as connection:
            known = await connection.execute(
                select(VenueBalance.asset)
                .where(VenueBalance.exchange == exchange, VenueBalance.account == account)
                .order_by(VenueBalance.asset)
                .with_for_update()
            )
            rows = [
                {
                    "exchange": exchange,
                    "account": account,
                    "asset": asset,
                    "total": total.get(asset, Decimal(0)),
                    "free": free.get(asset, Decimal(0)),
                }
                for asset in sorted({*total, *known.scalars()})
            ]
            if not rows:
                return
            new = insert(VenueBalance).values(rows)
            await connection.execute(
                new.on_conflict_do_update(
                    index_elements=[
                        VenueBalance.exchange,
                        VenueBalance.account,
                        VenueBalance.asset,
                    ],
                    set_={
                        "total": new.excluded.total,
                        "free": new.excluded.free,
                        "read_at": func.now(),
                    },
                )
            )

    async def note_synced(self, exchange: str, account: str) -> None:
        """The account was compared to its end just now."""
        now = seconds_ago(Decimal(0))
        done = insert(Chore).values(name=synced_name(exchange, account), begun_at=now)
        async with self._engine.begin() as connection:
            await connection.execute(
                done.on_conflict_do_update(index_elements=[Chore.name], set_={"begun_at": now})
            )

    async def book_transfer(
        self, exchange: str, account: str, asset: str, amount: Decimal, *, reason: str, by: str
    ) -> Denied | None:
        """What moved a balance and was no trade: `amount` in (+) or out (-), in the asset's units.

        UNKNOWN_ASSET for one that neither our books nor the venue hold there.
        """
        async with self._engine.begin() as connection:
            if not await _is_held(connection, exchange, account, asset):
                return Denied(
                    code=DenialCode.UNKNOWN_ASSET,
                    field="asset",
                    detail=f"asset is not held by {account} at {exchange}",
                )
            facts = {"exchange": exchange, "account": account, "asset": asset}
            await connection.execute(
                insert(Transfer).values(**facts, amount=amount, reason=reason, booked_by=by)
            )
            moved = insert(AccountBalance).values(**facts, amount=amount)
            await connection.execute(
                moved.on_conflict_do_update(
                    index_elements=[
                        AccountBalance.exchange,
                        AccountBalance.account,
                        AccountBalance.asset,
                    ],
                    set_={"amount": AccountBalance.amount + moved.excluded.amount},
                )
            )
            about = f"{exchange}/{account}/{asset}"
            after = {"amount": f"{amount:f}"}
            await connection.execute(audit(by, "transfer", about, after=after, reason=reason))
        return None


def synced_name(exchange: str, account: str) -> str:
    """Under which name the moment of the last whole comparison is kept."""
    return f"sync:{exchange}/{account}"


async def _close_alarms(
    connection: AsyncConnection,
    observer: Observer,
    exchange: str,
    account: str,
    over: Sequence[Row[Any]],
) -> None:
    """Of breaks that nobody sees any more, and of an observer that was blind."""
    if observer is Observer.DROP_COPY:
        await connection.execute(ended(OF_SEEING_DROP_COPY, f"{exchange}/{account}"))
    if not over:
        return
    mine = (Break.exchange == exchange, Break.account == account, Break.resolved_at.is_(None))
    still = await connection.execute(select(*_SUBJECT).where(*mine))
    closed = {(row.kind, row.object) for row in over} - {(row.kind, row.object) for row in still}
    abouts = [f"{exchange}/{account}/{kind}/{about}" for kind, about in sorted(closed)]
    await connection.execute(ended(OF_CLOSED_BREAK, *abouts))


async def _alone(connection: AsyncConnection, exchange: str) -> None:
    """One writer of a venue's breaks at a time: they touch many rows in no common order."""
    key = func.hashtextextended(f"breaks:{exchange}", literal(0, BigInteger))
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


def _open_for(exchange: str, longer_than_s: Decimal) -> tuple[ColumnElement[bool], ...]:
    """Between the first and the last sight: one that nobody could look at again may be over."""
    apart = literal(timedelta(microseconds=int(longer_than_s * _MICROSECONDS)), Interval)
    return (
        Break.exchange == exchange,
        Break.resolved_at.is_(None),
        Break.first_seen_at <= Break.last_seen_at - apart,
    )


def _row(observer: Observer, exchange: str, account: str, found: Difference) -> dict[str, Any]:
    return {
        "observer": observer.value,
        "exchange": exchange,
        "account": account,
        "kind": found.kind.value,
        "object": found.object,
        "ours": found.ours,
        "theirs": found.theirs,
        "value": found.value,
        "detail": found.detail,
    }


async def _keep_open(
    connection: AsyncConnection, rows: list[dict[str, Any]]
) -> dict[tuple[DifferenceKind, str], Any]:
    """Open each, or see it again; by kind and object."""
    if not rows:
        return {}
    rows = sorted(rows, key=lambda row: (row["kind"], row["object"]))
    new = insert(Break).values(rows)
    figures = ("ours", "theirs", "value", "detail")
    kept = new.on_conflict_do_update(
        index_elements=[
            Break.observer,
            Break.exchange,
            Break.account,
            Break.kind,
            Break.object,
        ],
        index_where=Break.resolved_at.is_(None),
        set_={**{name: new.excluded[name] for name in figures}, "last_seen_at": func.now()},
    ).returning(Break.id, Break.kind, Break.object, age_s(Break.first_seen_at).label("age_s"))
    found = (await connection.execute(kept)).all()
    return {(DifferenceKind(row.kind), row.object): row for row in found}


async def _is_held(connection: AsyncConnection, exchange: str, account: str, asset: str) -> bool:
    for table in (AccountBalance, VenueBalance):
        query = select(table.asset).where(
            table.exchange == exchange, table.account == account, table.asset == asset
        )
        if (await connection.execute(query)).first() is not None:
            return True
    return False
