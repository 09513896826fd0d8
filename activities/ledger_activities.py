"""The ledger port: short, idempotent local activities on our database.

Opening an order glances at its market meanwhile: the one thing here that asks a venue, and only
reads.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.accounts import unknown_account
from activities.ledger.results import ChildMayBeLiveError, LedgerError, OpenParent, ParentKind
from activities.ledger.store import LedgerStore
from activities.markets import Markets
from workflows.domain.denials import DenialCode, Denied
from workflows.ports import (
    AcceptOrder,
    EngineTerms,
    GivenUp,
    GiveUp,
    LedgerPort,
    MarketRequest,
    MarketSnapshot,
    OpenedOrder,
    OpenKind,
    OpenOrder,
    Reserve,
    Reserved,
    SavedOrder,
    SaveOrder,
    Verdict,
)


class LedgerActivities(LedgerPort):
    """`accounts` are the configured (venue, account) pairs; an order for another is denied."""

    def __init__(
        self,
        store: LedgerStore,
        terms: EngineTerms,
        markets: Markets,
        accounts: Collection[tuple[str, str]],
    ) -> None:
        self._store = store
        self._terms = terms
        self._markets = markets
        self._accounts = accounts

    @activity.defn(name="open_order")
    async def open_order(self, order: OpenOrder) -> OpenedOrder:
        """See LedgerPort."""
        request = order.request
        denied = unknown_account(self._accounts, request.exchange, request.account)
        if denied is not None:
            return OpenedOrder(kind=OpenKind.DENIED, terms=self._terms, denied=denied)
        asked = MarketRequest(
            venue=request.exchange, account=request.account, symbol=request.symbol
        )
        glance = asyncio.ensure_future(self._markets.glance(asked))
        try:
            opened = await self._store.open_parent(order.order_id, order.run_chain, request)
            return self._opened(opened, await glance)
        finally:
            glance.cancel()

    def _opened(self, opened: OpenParent, market: MarketSnapshot | None) -> OpenedOrder:
        if opened.kind is ParentKind.CONFLICT:
            conflict = Denied(code=DenialCode.IDEMPOTENCY_CONFLICT, detail=opened.detail)
            return OpenedOrder(kind=OpenKind.DENIED, terms=self._terms, denied=conflict)
        if opened.kind is ParentKind.FINISHED:
            return OpenedOrder(kind=OpenKind.FINISHED, terms=self._terms, stored=opened.stored)
        return OpenedOrder(kind=OpenKind.NEW, terms=self._terms, market=market)

    @activity.defn(name="accept_order")
    async def accept_order(self, order: AcceptOrder) -> Verdict:
        """See LedgerPort."""
        if order.first is not None:
            with suppress(LedgerError):  # the child is known already: step by step tells how
                return await self._accept_with(order, order.first)
        denied = await self._store.accept_parent(
            order.order_id, order.request, order.reference_price
        )
        if denied is not None or order.first is None:
            return Verdict(denied=denied)
        return Verdict(reserved=await self.reserve(order.first))

    async def _accept_with(self, order: AcceptOrder, first: Reserve) -> Verdict:
        denied, answer = await self._store.accept_with_child(
            order.order_id,
            order.request,
            order.reference_price,
            first.intent,
            first.parent_quantity,
        )
        if answer is None:
            return Verdict(denied=denied)
        epoch, child_denied = answer
        return Verdict(reserved=Reserved(epoch=epoch, denied=child_denied))

    @activity.defn(name="reserve")
    async def reserve(self, request: Reserve) -> Reserved:
        """See LedgerPort."""
        try:
            epoch, denied = await self._store.reserve(
                request.intent,
                request.attempt,
                request.reference_price,
                request.parent_quantity,
                request.compensates,
            )
        except ChildMayBeLiveError as error:
            return Reserved(epoch="", resolve_attempt=error.attempt)
        except LedgerError as error:
            raise broken_protocol(error) from error
        return Reserved(epoch=epoch, denied=denied)

    @activity.defn(name="give_up")
    async def give_up(self, request: GiveUp) -> GivenUp:
        """See LedgerPort."""
        try:
            await self._store.give_up(request.client_order_id, request.reason)
        except ChildMayBeLiveError as error:
            return GivenUp(resolve_attempt=error.attempt)
        return GivenUp()

    @activity.defn(name="save_order")
    async def save_order(self, request: SaveOrder) -> SavedOrder:
        """See LedgerPort."""
        stored = await self._store.save_order(request.snapshot, request.status)
        return SavedOrder(stored=stored)


def broken_protocol(error: LedgerError) -> ApplicationError:
    """Repeating does not help: the workflow fails, and a human must look."""
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=True)
