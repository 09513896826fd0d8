"""The ledger's writer. Each method is one transaction; the rules are in `store_*`.

Executions of several orders are written by `execution_store`, which holds to the same rule.

Rule: every method may be called again with the same arguments, and changes nothing then. Errors
of the database propagate (SQLAlchemyError, OSError): nothing was written, unless a COMMIT was
lost, which a second call finds out. Protocol violations raise the errors of `results`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger import (
    store_acceptance,
    store_attempts,
    store_feed,
    store_fills,
    store_orders,
    store_reserve,
)
from activities.ledger.audit import ENGINE
from activities.ledger.child_rows import stored_child
from activities.ledger.fill_rows import Owner
from activities.ledger.models import AccountReadiness, ChildOrder
from activities.ledger.results import (
    AttemptTruth,
    Booked,
    ClaimRefused,
    OpenParent,
    PositionKey,
    StoredChild,
    TradingState,
)
from activities.ledger.risk_counters import count_message, count_rejection
from activities.ledger.statements import alarm, lock_position
from activities.ledger.store_compensation import compensation_of, lock_execution
from activities.ledger.store_states import Setting, set_state
from activities.ledger.store_unsent import release_forgotten
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import ChildReport, ExecutionReport, Fill
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest, OrderSnapshot

LIVE_AT_VENUE = (ChildStatus.WORKING, ChildStatus.CANCELLING, ChildStatus.SETTLING)
WITHOUT_ANSWER = (ChildStatus.SENDING, ChildStatus.UNKNOWN)


class LedgerStore:
    """Writes orders, attempts, fills and what the feed knows."""

    def __init__(self, engine: AsyncEngine, limits: Limits) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._limits = limits

    # --- parent orders ---

    async def open_parent(self, order_id: str, run_chain: str, request: OrderRequest) -> OpenParent:
        """Register an order under its id, once.

        The same run chain again is NEW again. Another chain with the same body is FINISHED with
        the stored order once that is terminal; another body, or a stored order that is not
        terminal (its workflow was lost), is a CONFLICT.
        """
        async with self._engine.begin() as connection:
            return await store_orders.open_parent(connection, order_id, run_chain, request)

    async def accept_parent(
        self, order_id: str, request: OrderRequest, reference_price: Decimal
    ) -> Denied | None:
        """Kill switch, readiness and the limits (`checks.check_parent`); None when accepted.

        The answer is stored and given again. `reference_price` in quote units. Raises
        NoResultFound for an order that was not opened.
        """
        async with self._engine.begin() as connection:
            return await store_acceptance.accept_parent(
                connection, order_id, request, reference_price, self._limits
            )

    async def accept_with_child(
        self,
        order_id: str,
        request: OrderRequest,
        reference_price: Decimal,
        intent: ChildIntent,
        parent_quantity: Decimal,
    ) -> tuple[Denied | None, tuple[str, Denied | None] | None]:
        """`accept_parent` and, when accepted, `reserve` of the child's first attempt, as one.

        Answers what both answer. Raises what `reserve` raises; then nothing was stored.
        """
        async with self._engine.begin() as connection:
            denied = await store_acceptance.accept_parent(
                connection, order_id, request, reference_price, self._limits
            )
            if denied is not None:
                return denied, None
            limits = self._limits
            return None, await store_reserve.reserve(
                connection, intent, 1, reference_price, parent_quantity, limits, is_locked=True
            )

    async def save_order(
        self, snapshot: OrderSnapshot, status: OrderStatus
    ) -> OrderSnapshot | None:
        """Store the order as its workflow knows it. A terminal order never changes again.

        Returns the end that was stored before, None when there was none.
        """
        async with self._engine.begin() as connection:
            return await store_orders.save_order(connection, snapshot, status)

    # --- attempts ---

    async def reserve(
        self,
        intent: ChildIntent,
        attempt: int,
        reference_price: Decimal,
        parent_quantity: Decimal,
        compensates: str | None = None,
    ) -> tuple[str, Denied | None]:
        """Check one attempt (`checks.check_child`, parent cap) and book its reservation.

        What reduces the residual of the execution that it `compensates` is checked for less, and
        what would enlarge it is denied; other compensations that nobody sent are given up first.
        Answers the ledger's epoch, and None when approved. The same (child, attempt) again gets
        the stored answer. Raises ChildMayBeLiveError while another attempt may be live, the child
        is at the venue, or the stored approval was for something else; ChildClosedError for a
        child that was given up or has seen a later attempt; UnknownExecutionError.
        """
        async with self._engine.begin() as connection:
            held = None
            if compensates is not None:
                name = intent.client_order_id
                await lock_execution(connection, compensates)
                await lock_position(connection, PositionKey.of(intent))
                await connection.execute(release_forgotten(compensates, [name]))
                held = await compensation_of(connection, compensates, intent.symbol, name)
            return await store_reserve.reserve(
                connection, intent, attempt, reference_price, parent_quantity, self._limits, held
            )

    async def claim(
        self, client_order_id: str, attempt: int, signed_at_ms: int
    ) -> ClaimRefused | None:
        """The permission to send, given once; None when granted. Raised: send nothing.

        `signed_at_ms` is the signing timestamp on the venue's clock.
        """
        async with self._engine.begin() as connection:
            return await store_attempts.claim(connection, client_order_id, attempt, signed_at_ms)

    async def record_ack(
        self, intent: ChildIntent, attempt: int, report: ExecutionReport, base: str, quote: str
    ) -> ChildReport:
        """The attempt was answered with an order: ACKED, and the report booked."""
        async with self._engine.begin() as connection:
            booked = await store_fills.book(
                connection, intent, report, base, quote, acked_attempt=attempt
            )
            return booked.report

    async def record_rejection(
        self, client_order_id: str, attempt: int, code: str, reason: str, *, counts: bool = True
    ) -> None:
        """The venue definitely refused: the child is rejected, its reservation released.

        `counts`: among the rejections in a row that disable a strategy.
        """
        async with self._engine.begin() as connection:
            child = await store_attempts.record_rejection(
                connection, client_order_id, attempt, code, reason
            )
            if child is not None and counts:
                await count_rejection(connection, child, code, self._limits)

    async def count_cancel(self, exchange: str, account: str) -> None:
        """A cancel is a message too: new orders wait for it, and it waits for nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(count_message(exchange, account))

    async def record_unknown(self, client_order_id: str, attempt: int, reason: str) -> None:
        """Sent, no trustworthy answer. The reservation stays."""
        async with self._engine.begin() as connection:
            await store_attempts.record_unknown(connection, client_order_id, attempt, reason)

    async def close_attempt(self, client_order_id: str, attempt: int) -> AttemptTruth:
        """No claim of this attempt can succeed any more; answers what the ledger knows of it."""
        async with self._engine.begin() as connection:
            return await store_attempts.close_attempt(connection, client_order_id, attempt)

    async def prove_absent(self, client_order_id: str, attempt: int) -> None:
        """The venue never saw the attempt and never will: the child may be reserved again.

        The reservation is kept until then, or until the child is given up.
        """
        async with self._engine.begin() as connection:
            await store_attempts.prove_absent(connection, client_order_id, attempt)

    async def give_up(self, client_order_id: str, reason: str) -> None:
        """Release a child that was never sent; an unknown or ended child is left as it is.

        Raises ChildMayBeLiveError while an attempt is SENDING, UNKNOWN or ACKED.
        """
        async with self._engine.begin() as connection:
            await store_attempts.give_up(connection, client_order_id, reason)

    # --- what venues report ---

    async def book_report(
        self, intent: ChildIntent, report: ExecutionReport, base: str, quote: str
    ) -> Booked:
        """Book a report of one of our orders, however often and in whatever order it comes.

        Raises UnknownChildError where the ledger holds no such child.
        """
        async with self._engine.begin() as connection:
            return await store_fills.book(connection, intent, report, base, quote)

    async def book_external(
        self,
        exchange: str,
        account: str,
        symbol: str,
        venue_order_id: str,
        side: Side,
        fills: Sequence[Fill],
        *,
        base: str,
        quote: str,
    ) -> int:
        """Book fills of an order that is not ours, under the strategy EXTERNAL, with an alarm.

        Answers how many were new.
        """
        owner = Owner(
            exchange=exchange,
            account=account,
            symbol=symbol,
            venue_order_id=venue_order_id,
            side=side,
            base=base,
            quote=quote,
        )
        async with self._engine.begin() as connection:
            return await store_fills.book_external(connection, owner, fills)

    async def child_report(self, client_order_id: str) -> ChildReport | None:
        """What is booked of a child; None until the venue has given it an id."""
        async with self._reader.connect() as connection:
            found = await connection.execute(
                select(*ChildOrder.__table__.columns).where(
                    ChildOrder.client_order_id == client_order_id
                )
            )
            child = found.one_or_none()
            return None if child is None else await store_fills.report_of(connection, child)

    async def child_by_id(self, client_order_id: str) -> StoredChild | None:
        """A child order by our id."""
        return await self._child(ChildOrder.client_order_id == client_order_id)

    async def child_by_venue_id(
        self, exchange: str, account: str, symbol: str, venue_order_id: str
    ) -> StoredChild | None:
        """A child order by the venue's id; the newest one if a venue uses ids again."""
        return await self._child(
            ChildOrder.exchange == exchange,
            ChildOrder.account == account,
            ChildOrder.symbol == symbol,
            ChildOrder.venue_order_id == venue_order_id,
        )

    async def _child(self, *conditions: Any) -> StoredChild | None:
        query = (
            select(*ChildOrder.__table__.columns)
            .where(*conditions)
            .order_by(ChildOrder.created_at.desc())
            .limit(1)
        )
        async with self._reader.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else stored_child(row)

    async def children_without_answer(
        self, exchange: str, account: str, symbol: str
    ) -> frozenset[str]:
        """Our ids of the orders that were sent, and of which no venue id is known yet."""
        query = select(ChildOrder.client_order_id).where(
            ChildOrder.exchange == exchange,
            ChildOrder.account == account,
            ChildOrder.symbol == symbol,
            ChildOrder.status.in_(WITHOUT_ANSWER),
            ChildOrder.venue_order_id.is_(None),
        )
        async with self._reader.connect() as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def working_children(
        self, exchange: str, account: str, *, older_than_s: Decimal
    ) -> list[StoredChild]:
        """Children that the ledger holds live at the venue and nobody touched for a while."""
        query = (
            select(*ChildOrder.__table__.columns)
            .where(
                ChildOrder.exchange == exchange,
                ChildOrder.account == account,
                ChildOrder.status.in_(LIVE_AT_VENUE),
                ChildOrder.updated_at < store_feed.seconds_ago(older_than_s),
            )
            .order_by(ChildOrder.created_at)
        )
        async with self._reader.connect() as connection:
            return [stored_child(row) for row in await connection.execute(query)]

    async def ended_children_of_open_orders(self, exchange: str, account: str) -> list[StoredChild]:
        """The newest child of each order that is under way, if the venue ended it unfilled."""
        query = store_feed.ended_children_of_open_orders(exchange, account)
        async with self._reader.connect() as connection:
            return [stored_child(row) for row in await connection.execute(query)]

    async def symbols_with_intents(self, exchange: str, account: str) -> list[str]:
        """Symbols in which we ever meant to trade there."""
        query = (
            select(ChildOrder.symbol)
            .where(ChildOrder.exchange == exchange, ChildOrder.account == account)
            .distinct()
            .order_by(ChildOrder.symbol)
        )
        async with self._reader.connect() as connection:
            return list((await connection.execute(query)).scalars())

    # --- the feed and the operators ---

    async def set_readiness(
        self, exchange: str, account: str, ready: bool, valid_s: Decimal, reason: str
    ) -> None:
        """READY for `valid_s` seconds from now, or RECONCILING."""
        async with self._engine.begin() as connection:
            await store_feed.set_readiness(
                connection, exchange, account, ready=ready, valid_s=valid_s, reason=reason
            )

    async def save_cursor(self, exchange: str, account: str, symbol: str, trade_id: str) -> None:
        """The newest trade that was booked and signalled."""
        async with self._engine.begin() as connection:
            await store_feed.save_cursor(connection, exchange, account, symbol, trade_id)

    async def load_cursors(self, exchange: str, account: str) -> dict[str, str]:
        """Trade ids by symbol."""
        async with self._reader.connect() as connection:
            return await store_feed.load_cursors(connection, exchange, account)

    async def record_opening_balances(
        self, exchange: str, account: str, balances: Mapping[str, Decimal]
    ) -> bool:
        """Balances before the first fill that we book; only the first call counts (then True)."""
        async with self._engine.begin() as connection:
            return await store_feed.record_opening_balances(connection, exchange, account, balances)

    async def opened_at(self, exchange: str, account: str) -> datetime | None:
        """When the opening balances were taken: trades before that are history."""
        query = select(AccountReadiness.opened_at).where(
            AccountReadiness.exchange == exchange, AccountReadiness.account == account
        )
        async with self._reader.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def new_epoch(self) -> None:
        """The ledger was restored: what workflows remember of it is no proof any more."""
        async with self._engine.begin() as connection:
            await store_feed.new_epoch(connection)

    async def raise_alarm(self, code: AlarmCode, about: str, detail: str) -> None:
        """Tell a human, once per (code, object) until it is acknowledged."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(code, about, detail))

    async def set_trading_state(
        self, scope: str, state: TradingState, reason: str, *, only_tighter: bool = False
    ) -> None:
        """Set a kill switch in a human's place: 'global', 'venue:x', 'symbol:x:y', 'strategy:x'.

        After HALTED no claim of the scope succeeds. `only_tighter` never loosens one.
        """
        wanted = Setting(state=state, reason=reason, by=ENGINE)
        async with self._engine.begin() as connection:
            await set_state(connection, scope, wanted, only_tighter=only_tighter)
