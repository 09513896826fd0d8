"""Keeping an account's timer at its venue: where nobody sets it anew, all its orders are cancelled.

Rule: it is set anew every quarter of its length, for as long as the account is followed. A try
that fails is made again soon, and stops nothing: that the venue cancels is what the timer is for.
It must not know what the account's orders are.
"""

import asyncio
from collections.abc import Callable

import structlog

from activities.venues.gateway import VenueGateway, VenueUnavailableError

log = structlog.get_logger(__name__)

_TRY_AGAIN_AFTER_S = 1


async def keep_set(gateway: VenueGateway, is_followed: Callable[[], bool]) -> None:
    """Until cancelled, or `is_followed` is false; at once over for an account without a timer."""
    seconds = gateway.cancel_on_disconnect_s
    while seconds is not None and is_followed():
        pause_s = seconds / 4
        try:
            await gateway.cancel_all_after(seconds)
        except VenueUnavailableError as error:
            log.warning(
                "timer_not_set", venue=gateway.venue, account=gateway.account, why=str(error)
            )
            pause_s = _TRY_AGAIN_AFTER_S
        await asyncio.sleep(pause_s)
