"""The gateways of this process, by venue and account, and how their errors become retries."""

import random
from collections.abc import Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError

Gateways = Mapping[tuple[str, str], VenueGateway]
_LONGEST_RETRY_AFTER = timedelta(days=3)
_AT_LEAST, _WHOLE, _SOME_MORE = 0.5, 1.0, 1.1
_MAX_DOUBLINGS = 16


def try_again(error: VenueUnavailableError | SymbolUnknownError) -> ApplicationError:
    """A retryable failure that waits as long as the venue asked for, within 1 s .. 3 days.

    Without such a wish it waits for a part of the retry policy's pause, by chance between half
    and all of it: what failed together does not come back together. Temporal's policies have no
    such jitter. Call it inside an activity.
    """
    if isinstance(error, VenueUnavailableError) and error.retry_after_s is not None:
        asked = timedelta(milliseconds=int(error.retry_after_s * 1000))
        more = random.uniform(_WHOLE, _SOME_MORE)  # noqa: S311 - spreads, hides nothing
        delay = min(max(timedelta(seconds=1), asked) * more, _LONGEST_RETRY_AFTER)
    else:
        delay = _pause() * random.uniform(_AT_LEAST, _WHOLE)  # noqa: S311 - as above
    return ApplicationError(str(error), type="VenueUnavailable", next_retry_delay=delay)


def _pause() -> timedelta:
    """The pause that the running activity's retry policy means for its present attempt."""
    info = activity.info()
    policy = info.retry_policy or RetryPolicy()
    doublings = min(info.attempt - 1, _MAX_DOUBLINGS)
    pause = policy.initial_interval * policy.backoff_coefficient**doublings
    return min(pause, policy.maximum_interval or pause)


def not_yet(what: str, kind: str, after: timedelta) -> ApplicationError:
    """Not a fault: the answer is still to come; ask again after the delay."""
    return ApplicationError(
        what, type=kind, next_retry_delay=after, category=ApplicationErrorCategory.BENIGN
    )
