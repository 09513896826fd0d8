"""The port of reconciliation: which accounts a venue has, and comparing one with the ledger."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.domain.denials import Denied
from workflows.domain.reconciliation import DifferenceKind
from workflows.names import venue_data_queue
from workflows.ports.ledger import ledger_step


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncVenue:
    """Which accounts are followed there?"""

    venue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccounts:
    """`denied` for a venue that is not configured."""

    accounts: tuple[str, ...] = ()
    denied: Denied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAccount:
    """Compare this account now; `asked_by` is for the log."""

    venue: str
    account: str
    asked_by: str


class SyncAction(StrEnum):
    """What was done about a difference."""

    BOOKED = "booked"
    """The venue's own trade was booked: it differs no more."""
    RECORDED = "recorded"
    """Not ours; it is in the books as such."""
    OPEN = "open"
    """It stays a break until it is gone, or a human decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDifference:
    """One difference. `ours` and `theirs` in the unit of the object, `value` in quote units.

    `age_s`: seconds since it was first seen; of what was booked, since the venue's own time.
    """

    kind: DifferenceKind
    object: str
    action: SyncAction
    age_s: Decimal
    ours: Decimal | None = None
    theirs: Decimal | None = None
    value: Decimal | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSync:
    """What comparing an account found, of which only a part is listed if there is very much.

    `has_settled`: nothing moved while the balances were read; else they were not compared.
    `looked_at` is in UTC as RFC 3339. `denied`: it was not compared at all.
    """

    looked_at: str
    has_settled: bool = False
    differences: tuple[FoundDifference, ...] = ()
    differences_total: int = 0
    denied: Denied | None = None


class SyncPort(ABC):
    """Reads a venue, and books what it names; repeating it changes nothing."""

    @activity.defn(name="accounts_of_venue")
    @abstractmethod
    async def accounts_of_venue(self, request: SyncVenue) -> VenueAccounts: ...

    @activity.defn(name="sync_account")
    @abstractmethod
    async def sync_account(self, request: SyncAccount) -> AccountSync: ...


_SYNC_TIMEOUT = timedelta(seconds=60)
_WITHIN = timedelta(seconds=90)
_SYNC_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)


async def accounts_of_venue(request: SyncVenue) -> VenueAccounts:
    """The configured accounts, or why there are none."""
    return await ledger_step(SyncPort.accounts_of_venue, request, f"accounts at {request.venue}")


async def sync_account(request: SyncAccount) -> AccountSync:
    """Compare and book. ActivityError when venue or ledger do not answer for long."""
    return await workflow.execute_activity_method(
        SyncPort.sync_account,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_SYNC_TIMEOUT,
        schedule_to_close_timeout=_WITHIN,
        retry_policy=_SYNC_RETRY,
        summary=f"compare {request.account} at {request.venue}",
    )
