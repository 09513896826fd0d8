"""Comparing a venue with the ledger, account by account: on request, and by a schedule.

The activities do the work and book what the venue names. This workflow answers what they found:
one account that cannot be read takes nothing away from the others.
"""

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows.domain.denials import DenialCode, Denied
from workflows.ports import sync
from workflows.sync_messages import (
    AccountReport,
    DifferenceReport,
    SyncReport,
    SyncRequest,
    parse_sync,
    refused,
)


@workflow.defn(name="SyncPositions")
class SyncPositions:
    """Answers a `SyncReport`; it never fails over what it was asked."""

    @workflow.run
    async def run(self, request: RawValue | None = None) -> SyncReport:
        """`request` is a SyncRequest as JSON."""
        if request is None:
            return refused(Denied(code=DenialCode.INVALID_INPUT, detail="the request is missing"))
        asked = parse_sync(request.payload.data)
        if isinstance(asked, Denied):
            return refused(asked)
        known = await sync.accounts_of_venue(sync.SyncVenue(venue=asked.exchange))
        if known.denied is not None:
            return refused(known.denied)
        workflow.set_current_details(f"comparing **{asked.exchange}** with the ledger")
        compared = await asyncio.gather(*(_compare(asked, name) for name in known.accounts))
        return SyncReport(exchange=asked.exchange, accounts=tuple(compared))


async def _compare(asked: SyncRequest, account: str) -> AccountReport:
    wanted = sync.SyncAccount(venue=asked.exchange, account=account, asked_by=asked.requested_by)
    try:
        found = await sync.sync_account(wanted)
    except ActivityError as error:
        why = str(error.cause or error)
        return AccountReport(account=account, code=DenialCode.UNAVAILABLE, reason=why)
    if found.denied is not None:
        return AccountReport(
            account=account,
            looked_at=found.looked_at,
            code=found.denied.code,
            reason=found.denied.detail,
        )
    return AccountReport(
        account=account,
        looked_at=found.looked_at,
        settled=found.has_settled,
        differences=tuple(_told(each) for each in found.differences),
        differences_total=found.differences_total,
    )


def _told(found: sync.FoundDifference) -> DifferenceReport:
    return DifferenceReport(
        kind=found.kind,
        object=found.object,
        action=found.action,
        age_s=found.age_s,
        ours=found.ours,
        theirs=found.theirs,
        value=found.value,
        detail=found.detail,
    )
