"""The activities of `SyncPositions`: which accounts a venue has, and comparing one of them."""

from datetime import UTC, datetime

import structlog
from temporalio import activity
from temporalio.client import Client

from activities.accounts import unknown_venue
from activities.feed_booking import FeedBooks
from activities.gateways import Gateways, try_again
from activities.ledger.store import LedgerStore
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.sync_account import AccountComparison
from activities.sync_trades import Histories
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from workflows.domain.denials import DenialCode, Denied
from workflows.ports.sync import AccountSync, SyncAccount, SyncPort, SyncVenue, VenueAccounts

log = structlog.get_logger(__name__)

MAX_TOLD = 500
"""Differences that one answer lists."""


class SyncActivities(SyncPort):
    """Compares the configured accounts; `symbols` are looked at in any case."""

    def __init__(
        self,
        gateways: Gateways,
        ledger: LedgerStore,
        reader: SyncReader,
        store: SyncStore,
        client: Client,
        symbols: tuple[str, ...],
    ) -> None:
        self._gateways = gateways
        self._ledger = ledger
        self._reader = reader
        self._store = store
        self._client = client
        self._symbols = symbols
        self._histories: Histories = {}

    @activity.defn(name="accounts_of_venue")
    async def accounts_of_venue(self, request: SyncVenue) -> VenueAccounts:
        """See SyncPort."""
        denied = unknown_venue(self._gateways.keys(), request.venue)
        if denied is not None:
            return VenueAccounts(denied=denied)
        accounts = [account for venue, account in self._gateways if venue == request.venue]
        return VenueAccounts(accounts=tuple(accounts))

    @activity.defn(name="sync_account")
    async def sync_account(self, request: SyncAccount) -> AccountSync:
        """See SyncPort. A venue that is away is an error, never half an answer."""
        looked_at = datetime.now(UTC).isoformat()
        venue, account = request.venue, request.account
        opened_at = await self._reader.opened_at(venue, account)
        if opened_at is None:
            detail = "its opening balances were never taken"
            return AccountSync(
                looked_at=looked_at, denied=Denied(code=DenialCode.RECONCILING, detail=detail)
            )
        gateway = self._gateways[venue, account]
        # what is history was sorted out before: every trade that is handed on counts
        books = FeedBooks(gateway, self._ledger, self._client, lambda _: False)
        comparison = AccountComparison(
            gateway,
            self._ledger,
            self._reader,
            self._store,
            books,
            opened_at=opened_at,
            follow=self._symbols,
            histories=self._histories,
        )
        try:
            found = await comparison.run()
        except (VenueUnavailableError, SymbolUnknownError) as error:
            raise try_again(error) from error
        log.info(
            "account_compared",
            venue=venue,
            account=account,
            asked_by=request.asked_by,
            settled=comparison.has_settled,
            differences=len(found),
        )
        return AccountSync(
            looked_at=looked_at,
            has_settled=comparison.has_settled,
            differences=tuple(found[:MAX_TOLD]),
            differences_total=len(found),
        )
