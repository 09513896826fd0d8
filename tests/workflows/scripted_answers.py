"""What a scripted venue may do with a request to trade, apart from what its book gives."""

import asyncio
from decimal import Decimal

from temporalio.exceptions import ApplicationError

from tests.workflows.scripted_venue import Answer, Venue, acked, lots
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import RejectionFamily, SubmitKind, SubmitOutcome, VenueStatus


def takes(fraction: str = "1") -> Answer:
    """This fraction executes at once, whatever the book holds, and the order ends."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        order = venue.open_order(intent)
        venue.trade(order, lots(venue, intent, intent.quantity * Decimal(fraction)))
        if not order.status.is_terminal:
            order.status = VenueStatus.EXPIRED
        return acked(order)

    return answer


def rests(fraction: str = "0") -> Answer:
    """This fraction executes at once, the rest waits in the book."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        order = venue.open_order(intent)
        venue.trade(order, lots(venue, intent, intent.quantity * Decimal(fraction)), intent.price)
        return acked(order)

    return answer


def rejects(family: RejectionFamily = RejectionFamily.BALANCE, code: str = "-2010") -> Answer:
    """A definite no of the venue."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        return SubmitOutcome(kind=SubmitKind.REJECTED, code=code, reason="no", family=family)

    return answer


def not_sent(code: str = "TRADING_HALTED") -> Answer:
    """Proven that nothing left."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        return SubmitOutcome(kind=SubmitKind.NOT_SENT, code=code, reason="nothing was sent")

    return answer


def lost(truth: Answer | None = None) -> Answer:
    """The answer is lost; `truth` is what happened at the venue, nothing unless given."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        if truth is not None:
            await truth(venue, intent)
        return SubmitOutcome(kind=SubmitKind.UNKNOWN, reason="timeout")

    return answer


def crashes(truth: Answer | None = None) -> Answer:
    """As `lost`, but it is the worker that dies: the activity reports nothing."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        if truth is not None:
            await truth(venue, intent)
        raise ApplicationError("the worker died")

    return answer


def after(event: asyncio.Event, then: Answer) -> Answer:
    """Nothing happens before the event."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        await event.wait()
        return await then(venue, intent)

    return answer


def with_late_fills(then: Answer) -> Answer:
    """Executed by the venue's word, but its fills show only to who waits for them."""

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        outcome = await then(venue, intent)
        order = venue.orders.get(intent.client_order_id)
        if order is None or outcome.report is None:
            return outcome
        order.are_fills_shown = False
        return acked(order)

    return answer
