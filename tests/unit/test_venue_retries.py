"""How long a failed question to a venue waits before it is asked again."""

import dataclasses
from datetime import timedelta
from decimal import Decimal

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.gateways import try_again
from activities.venues.gateway import VenueUnavailableError
from workflows.ports.venue import NETWORK_RETRY

TRIES = 40


def _delays_s(attempt: int, retry_after_s: str | None = None) -> list[float]:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, attempt=attempt, retry_policy=NETWORK_RETRY
    )
    asked = Decimal(retry_after_s) if retry_after_s else None

    def wait_s() -> float:
        failure: ApplicationError = try_again(VenueUnavailableError("away", retry_after_s=asked))
        assert failure.next_retry_delay is not None
        return failure.next_retry_delay.total_seconds()

    return [environment.run(wait_s) for _ in range(TRIES)]


@pytest.mark.parametrize(
    ("attempt", "longest_s"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (1_000_000, 30)]
)
def test_the_pauses_of_those_who_failed_together_differ_by_up_to_half(attempt, longest_s):
    delays = _delays_s(attempt)
    assert all(longest_s / 2 <= delay <= longest_s for delay in delays)
    assert max(delays) - min(delays) > longest_s / 10


@pytest.mark.parametrize(("asked_s", "least_s"), [("0.2", 1), ("7", 7), ("7200", 7200)])
def test_nobody_comes_back_before_the_venue_said_so(asked_s, least_s):
    delays = _delays_s(1, retry_after_s=asked_s)
    assert all(least_s <= delay <= least_s * 1.1 for delay in delays)
    assert max(delays) - min(delays) > least_s / 100


def test_no_venue_is_believed_to_be_away_for_more_than_three_days():
    assert set(_delays_s(1, retry_after_s="999999999")) == {timedelta(days=3).total_seconds()}
