"""The gateways of this process, by venue and account, and how their errors become retries."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError

Gateways = Mapping[tuple[str, str], VenueGateway]
_LONGEST_RETRY_AFTER = timedelta(days=3)


def try_again(error: VenueUnavailableError | SymbolUnknownError) -> ApplicationError:
    """A retryable failure that waits as long as the venue asked for, within 1 s .. 3 days."""
    delay = None
    if isinstance(error, VenueUnavailableError) and error.retry_after_s is not None:
        asked = timedelta(milliseconds=int(error.retry_after_s * 1000))
        delay = max(timedelta(seconds=1), min(asked, _LONGEST_RETRY_AFTER))
    return ApplicationError(str(error), type="VenueUnavailable", next_retry_delay=delay)


def not_yet(what: str, kind: str, after: timedelta) -> ApplicationError:
    """Not a fault: the answer is still to come; ask again after the delay."""
    return ApplicationError(
        what, type=kind, next_retry_delay=after, category=ApplicationErrorCategory.BENIGN
    )
