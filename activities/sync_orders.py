"""Comparing the open orders of an account with the ledger's, and recording those of others.

Rule: an order that the venue's list leaves out is read by itself before anything is said of it,
and what is read is booked. "Not found" is told and left to the order's own workflow, which alone
knows when that is proof.
"""

from collections.abc import Sequence
from decimal import Decimal

from activities.feed_booking import FeedBooks
from activities.ledger.results import StoredChild
from activities.ledger.store import LIVE_AT_VENUE, LedgerStore
from activities.ledger.store_foreign import GONE, ForeignOrder
from activities.ledger.sync_reader import KnownForeignOrder, SyncReader
from activities.sync_trades import IN_FLIGHT
from activities.venues.gateway import OrderAbsentError, VenueGateway, VenueOrder
from workflows.domain.exact import exact
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reports import VenueStatus
from workflows.durations import in_seconds

OrderKey = tuple[str, str]
"""Symbol and the venue's order id."""


class OrderLook:
    """One look at the open orders of an account. `differences` are those of our own orders.

    `foreign` are orders that are not ours, as they are now.
    """

    def __init__(
        self, gateway: VenueGateway, store: LedgerStore, reader: SyncReader, books: FeedBooks
    ) -> None:
        self._gateway, self._store, self._reader, self._books = gateway, store, reader, books
        self._venue, self._account = gateway.venue, gateway.account
        self.differences: list[Difference] = []
        self.foreign: dict[OrderKey, ForeignOrder] = {}

    async def look(self, symbols: Sequence[str]) -> None:
        """Compare both ways. VenueUnavailableError: nothing may be said of the account."""
        # ours first: what rests by then, the venue has listed by then
        old = await self._live(in_seconds(IN_FLIGHT))
        symbols = sorted({*symbols, *(child.intent.symbol for child in old)})
        listed = {
            (symbol, order.report.venue_order_id): order
            for symbol in symbols
            for order in await self._gateway.open_orders(symbol)
        }
        for child in old:
            await self._look_at(child, listed)
        await self._look_at_foreign(listed)

    async def _live(self, older_than_s: Decimal) -> list[StoredChild]:
        return await self._store.working_children(
            self._venue, self._account, older_than_s=older_than_s
        )

    # --- ours ---

    async def _look_at(self, child: StoredChild, listed: dict[OrderKey, VenueOrder]) -> None:
        if child.venue_order_id is None:
            return
        order = listed.get((child.intent.symbol, child.venue_order_id))
        if order is not None and order.report.executed_quantity <= child.filled_quantity:
            return
        try:
            read = await self._gateway.read_order(child.intent.symbol, child.venue_order_id)
        except OrderAbsentError:
            await self._say_absent(child)
            return
        await self._books.take_read(child, read.report)
        await self._say_executed(child, read.report.executed_quantity)

    async def _say_absent(self, child: StoredChild) -> None:
        now = await self._store.child_by_id(child.intent.client_order_id)
        if now is None or now.status not in LIVE_AT_VENUE:
            return
        with exact():
            rest = child.intent.quantity - now.filled_quantity
            price = child.intent.price
            value = None if price is None else rest * price
        self.differences.append(
            Difference(
                kind=DifferenceKind.OPEN_ORDER,
                object=child.intent.client_order_id,
                ours=rest,
                theirs=Decimal(0),
                value=value,
                detail=f"the venue does not know {child.intent.symbol}/{child.venue_order_id}",
            )
        )

    async def _say_executed(self, child: StoredChild, executed: Decimal) -> None:
        report = await self._store.child_report(child.intent.client_order_id)
        filled = Decimal(0) if report is None else report.filled_quantity
        if executed <= filled:
            return
        price = child.intent.price
        with exact():
            value = None if price is None else (executed - filled) * price
        self.differences.append(
            Difference(
                kind=DifferenceKind.EXECUTED_QUANTITY,
                object=child.intent.client_order_id,
                ours=filled,
                theirs=executed,
                value=value,
                detail="the venue has not listed all of its trades",
            )
        )

    # --- not ours ---

    async def _look_at_foreign(self, listed: dict[OrderKey, VenueOrder]) -> None:
        ours = {
            (child.intent.symbol, child.venue_order_id) for child in await self._live(Decimal(0))
        }
        for key, order in listed.items():
            if key not in ours and not await self._is_ours(order):
                self.foreign[key] = _foreign(order)
        known = await self._reader.open_foreign_orders(self._venue, self._account)
        known += await self._reader.unrecorded_foreign_orders(self._venue, self._account)
        for each in known:
            key = (each.symbol, each.venue_order_id)
            if key not in self.foreign:
                self.foreign[key] = await self._read_foreign(each)

    async def _is_ours(self, order: VenueOrder) -> bool:
        """Or may be: an order of ours waits for its id there."""
        symbol, report = order.symbol, order.report
        named = report.client_order_id
        if named is not None and await self._store.child_by_id(named) is not None:
            return True
        by_venue_id = await self._store.child_by_venue_id(
            self._venue, self._account, symbol, report.venue_order_id
        )
        if by_venue_id is not None:
            return True
        waiting = await self._store.children_without_answer(self._venue, self._account, symbol)
        return bool(waiting)

    async def _read_foreign(self, known: KnownForeignOrder) -> ForeignOrder:
        try:
            order = await self._gateway.read_order(known.symbol, known.venue_order_id)
        except OrderAbsentError:
            return ForeignOrder(
                symbol=known.symbol,
                venue_order_id=known.venue_order_id,
                side=known.side,
                quantity=known.quantity,
                price=None,
                executed_quantity=known.executed_quantity,
                status=GONE,
            )
        return _foreign(order)


def is_open(order: ForeignOrder) -> bool:
    """It may still trade."""
    return order.status == VenueStatus.OPEN.value


def _foreign(order: VenueOrder) -> ForeignOrder:
    return ForeignOrder(
        symbol=order.symbol,
        venue_order_id=order.report.venue_order_id,
        side=order.side,
        quantity=order.quantity,
        price=order.price,
        executed_quantity=order.report.executed_quantity,
        status=order.report.status.value,
    )
