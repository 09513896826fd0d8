"""Submit and cancel: the only code that changes something at a venue.

`submit` is one attempt and at most one POST. Before the first byte the attempt is claimed in the
ledger, which re-reads the trading state; the signature carries the time of the attempt's start
on the venue's clock, so that a request that left late is refused by the venue itself. Whatever
is not a trustworthy answer is `unknown`, and an exception here is unknown too: the workflow
resolves it. Some venues only acknowledge: an order that cannot rest is then read once at once, as
it has ended already. That read only adds; whatever becomes of it, the acknowledgement stands.
"""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

from temporalio import activity

from activities.failpoints import fp
from activities.gateways import Gateways, try_again
from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.results import ClaimCode
from activities.ledger.store import LedgerStore
from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    SymbolUnknownError,
    VenueClockError,
    VenueGateway,
    VenueRejectedError,
    VenueUnavailableError,
)
from workflows.domain.instruments import Instrument
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import (
    ChildReport,
    ExecutionReport,
    RejectionFamily,
    SubmitKind,
    SubmitOutcome,
)
from workflows.ports import CancelChild, Submit, VenuePort

CLAIM_TO_SEND = timedelta(milliseconds=300)
"""The oldest claim that is acted on, counted from when it was asked for; later nothing is sent."""
LOOK_WITHIN = timedelta(seconds=1)
"""The longest look after an order that was only acknowledged; the workflow asks again anyway."""
COUNT_WITHIN = timedelta(milliseconds=500)
"""The longest that a cancel waits for being counted as a message."""


class VenueActivities(VenuePort):
    """Submit and cancel through the gateway of the order's venue and account."""

    def __init__(self, gateways: Gateways, store: LedgerStore) -> None:
        self._gateways = gateways
        self._store = store

    @activity.defn(name="submit")
    async def submit(self, request: Submit) -> SubmitOutcome:
        """See VenuePort. At most one request leaves, and only after a successful claim."""
        intent = request.intent
        gateway = self._gateways[intent.venue, intent.account]
        # the attempt's start, before anything that can take long: a late request is then refused
        # by the venue itself, because its signature is too old
        attempt_started_ms = time.time_ns() // 1_000_000
        begun = time.monotonic_ns()
        fp("submit.enter", intent.client_order_id, intent.order_id)
        try:
            instrument = await gateway.instrument(intent.symbol)
            offset_ms = await gateway.clock_offset_ms()
        except (VenueUnavailableError, SymbolUnknownError) as error:
            return _not_sent("VENUE_UNAVAILABLE", str(error))
        if _is_too_late(request, begun):
            return _not_sent("TOO_LATE", "its time was over before it was sent")
        signed_at_ms = attempt_started_ms + offset_ms
        started = time.monotonic_ns()
        refused = await self._store.claim(intent.client_order_id, request.attempt, signed_at_ms)
        if refused is not None and refused.code is ClaimCode.ATTEMPT_CLOSED:
            # somebody claimed or closed it before: no proof that nothing was sent
            return SubmitOutcome(kind=SubmitKind.UNKNOWN, reason=refused.detail)
        if refused is not None:
            return _not_sent(refused.code, refused.detail)
        if time.monotonic_ns() - started > CLAIM_TO_SEND // timedelta(microseconds=1) * 1_000:
            await self._store.prove_absent(intent.client_order_id, request.attempt)
            return _not_sent("CLAIM_TOO_OLD", "the claim took too long; nothing was sent")
        return await self._send(gateway, request, instrument, signed_at_ms, begun)

    async def _send(
        self,
        gateway: VenueGateway,
        request: Submit,
        instrument: Instrument,
        signed_at_ms: int,
        begun: int,
    ) -> SubmitOutcome:
        intent, attempt = request.intent, request.attempt
        client_order_id = intent.client_order_id
        fp("submit.before_send", client_order_id, intent.order_id)
        try:
            report = await gateway.submit(intent, signed_at_ms=signed_at_ms)
        except VenueClockError as error:
            await self._store.prove_absent(client_order_id, attempt)
            return _rejected(error, RejectionFamily.CLOCK)
        except VenueRejectedError as error:
            await self._store.record_rejection(
                client_order_id,
                attempt,
                error.code,
                str(error),
                # its price was overtaken: nothing is wrong with who sent it
                counts=error.family is not RejectionFamily.PRICE,
            )
            return _rejected(error, error.family)
        except OutcomeUnknownError as error:
            await self._store.record_unknown(client_order_id, attempt, str(error))
            return SubmitOutcome(kind=SubmitKind.UNKNOWN, reason=str(error))
        fp("submit.after_response", client_order_id, intent.order_id)
        booked = await self._store.record_ack(
            intent, attempt, report, instrument.base, instrument.quote
        )
        if _has_ended_unseen(intent, report):
            within = _time_to_look(begun)
            booked = await self._look(gateway, intent, booked, instrument, within) or booked
        return SubmitOutcome(kind=SubmitKind.ACKED, report=booked)

    async def _look(
        self,
        gateway: VenueGateway,
        intent: ChildIntent,
        known: ChildReport,
        instrument: Instrument,
        within: timedelta,
    ) -> ChildReport | None:
        """Read the order once and book it; None if it cannot be read at once."""
        try:
            async with asyncio.timeout(within / timedelta(seconds=1)):
                order = await gateway.read_order(intent.symbol, known.venue_order_id)
        except (OrderAbsentError, VenueUnavailableError, TimeoutError):
            return None
        base, quote = instrument.base, instrument.quote
        booked = await self._store.book_report(intent, order.report, base, quote)
        return booked.report

    @activity.defn(name="cancel_child")
    async def cancel_child(self, request: CancelChild) -> None:
        """See VenuePort. An absent order is no error: what it came to is read afterwards."""
        intent = request.intent
        gateway = self._gateways[intent.venue, intent.account]
        fp("cancel.before_send", intent.client_order_id, intent.order_id)
        try:
            await gateway.cancel(intent.symbol, request.venue_order_id)
        except OrderAbsentError:
            return
        except VenueUnavailableError as error:
            raise try_again(error) from error
        fp("cancel.after_response", intent.client_order_id, intent.order_id)
        with suppress(*LEDGER_AWAY, TimeoutError):  # no count may hold a cancel up
            async with asyncio.timeout(COUNT_WITHIN / timedelta(seconds=1)):
                await self._store.count_cancel(intent.venue, intent.account)


def _is_too_late(request: Submit, begun: int) -> bool:
    """True once the child's time is over; `begun` is the attempt's start, in monotonic ns.

    Temporal's clock says how much time was left then, so that a wrong clock here costs no order.
    """
    if request.send_by is None:
        return False
    left = request.send_by - activity.info().started_time
    return time.monotonic_ns() - begun >= left // timedelta(microseconds=1) * 1_000


def _has_ended_unseen(intent: ChildIntent, report: ExecutionReport) -> bool:
    """It cannot rest, yet its acknowledgement tells neither fills nor an end."""
    is_open = not report.status.is_terminal and not report.executed_quantity
    return intent.is_immediate and is_open


def _time_to_look(begun: int) -> timedelta:
    """Half of what the activity has left, so that the look never costs the acknowledgement.

    `begun` is the attempt's start, in monotonic ns.
    """
    gone = timedelta(microseconds=(time.monotonic_ns() - begun) // 1_000)
    left = (activity.info().start_to_close_timeout or LOOK_WITHIN) - gone
    return min(LOOK_WITHIN, max(left / 2, timedelta(0)))


def _not_sent(code: str, reason: str) -> SubmitOutcome:
    return SubmitOutcome(kind=SubmitKind.NOT_SENT, code=code, reason=reason)


def _rejected(error: VenueRejectedError, family: RejectionFamily) -> SubmitOutcome:
    return SubmitOutcome(
        kind=SubmitKind.REJECTED, code=error.code, reason=str(error), family=family
    )
