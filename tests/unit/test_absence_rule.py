"""When a look-up that finds nothing is proof, venue by venue."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ledger.results import AttemptState
from activities.reads import ProofWindow, VenueDataActivities
from activities.venues.dialects import DIALECTS
from activities.venues.gateway import OrderAbsentError
from tests.contract.gateway_recorder import intent
from workflows.domain.orders import ChildIntent, ChildType
from workflows.ports import Resolve, Resolved, ResolveKind

WINDOW = ProofWindow(validity_ms=5_000, read_lag_ms=10_000)
DOCUMENTED = ("binance", "binanceus", "bybit", "kraken", "okx")
ASSUMED = ("coinbase", "gate", "kucoin")
SIGNED_AT_MS = 1_700_000_000_000


class Truth:
    """An attempt that left and was never answered."""

    report = None
    state = AttemptState.UNKNOWN
    outcome_reason = ""
    never_claimed = False
    epoch = "e"
    signed_at_ms = SIGNED_AT_MS


class Store:
    """Of the ledger what resolving asks."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, str]] = []
        self.proven: list[str] = []

    async def close_attempt(self, client_order_id: str, attempt: int) -> Any:
        return Truth()

    async def prove_absent(self, client_order_id: str, attempt: int) -> None:
        self.proven.append(client_order_id)

    async def raise_alarm(self, code: str, about: str, detail: str) -> None:
        self.alarms.append((code, about))


class EmptyVenue:
    """A venue that has never heard of the order, at a given time of its own."""

    def __init__(self, venue_time_ms: int) -> None:
        self._venue_time_ms = venue_time_ms

    async def venue_time_ms(self) -> int:
        return self._venue_time_ms

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> Any:
        raise OrderAbsentError("never heard of it")


class NoVerdicts:
    async def verdict_on(self, client_order_id: str, attempt: int) -> None:
        """No operator has decided anything."""


async def resolved(child: ChildIntent, store: Store, after_ms: int) -> Resolved:
    """What `resolve` says when the venue's clock is that far after the signature."""
    gateways: Any = {(child.venue, child.account): EmptyVenue(SIGNED_AT_MS + after_ms)}
    ledger: Any = store
    no_markets: Any = None  # resolving reads none
    verdicts: Any = NoVerdicts()
    activities = VenueDataActivities(gateways, ledger, verdicts, WINDOW, no_markets)
    environment = ActivityEnvironment()
    asked_first = datetime.now(UTC) - timedelta(seconds=1)
    environment.info = replace(environment.info, scheduled_time=asked_first)
    request = Resolve(intent=child, attempt=1, epoch="e")
    return await asyncio.wait_for(environment.run(activities.resolve, request), 10)


def order(venue: str, child_type: ChildType) -> ChildIntent:
    """A child of this kind at this venue."""
    price = None if child_type is ChildType.MARKET else intent().price
    return intent(venue=venue, child_type=child_type, price=price)


def test_every_venue_has_its_rule() -> None:
    assert {*DOCUMENTED, *ASSUMED} == set(DIALECTS)


@pytest.mark.parametrize("child_type", [ChildType.MARKET, ChildType.LIMIT])
@pytest.mark.parametrize("venue", DOCUMENTED)
async def test_absence_is_proof_once_the_window_and_the_lag_are_over(
    venue: str, child_type: ChildType
) -> None:
    child, store = order(venue, child_type), Store()
    with pytest.raises(ApplicationError, match="not yet proven"):
        await resolved(child, store, 15_000)
    assert store.proven == []
    found = await resolved(child, store, 15_001)
    assert found.kind is ResolveKind.PROVEN_ABSENT
    assert store.proven == [child.client_order_id]


@pytest.mark.parametrize("venue", ASSUMED)
async def test_without_a_documented_window_two_minutes_and_the_lag_are_waited(venue: str) -> None:
    child, store = order(venue, ChildType.LIMIT), Store()
    with pytest.raises(ApplicationError, match="not yet proven"):
        await resolved(child, store, 130_000)
    assert (await resolved(child, store, 130_001)).kind is ResolveKind.PROVEN_ABSENT


@pytest.mark.parametrize("venue", ASSUMED)
async def test_without_a_documented_window_a_market_order_is_never_proven_absent(
    venue: str,
) -> None:
    child, store = order(venue, ChildType.MARKET), Store()
    with pytest.raises(ApplicationError, match="not yet proven"):
        await resolved(child, store, 130_000)
    assert store.alarms == []
    with pytest.raises(ApplicationError, match="names no time") as told:
        await resolved(child, store, 10**9)
    assert not told.value.non_retryable
    assert store.proven == []
    assert store.alarms == [("UNKNOWN_ORDER", child.client_order_id)]


def test_kraken_is_never_given_less_than_its_shortest_deadline() -> None:
    short = ProofWindow(validity_ms=500, read_lag_ms=0)
    assert short.proof_time_ms("kraken", SIGNED_AT_MS) == SIGNED_AT_MS + 3_000
    assert short.proof_time_ms("binance", SIGNED_AT_MS) == SIGNED_AT_MS + 500
