"""Fixtures that the gateway's contract tests share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway, open_gateway
from tests.contract.dialect_venues.roster import VENUES
from tests.contract.dialect_venues.scripted import served
from tests.contract.gateway_recorder import Recorder, access, quiet_event_loop, recording


@pytest.fixture
async def nothing_is_left_to_the_event_loop() -> AsyncIterator[None]:
    """For files that ask for it by `pytestmark`."""
    async with quiet_event_loop():
        yield


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A server that answers as the test says and records what it was asked."""
    async with recording() as recorder:
        yield recorder


@pytest.fixture
async def gateway(recorder: Recorder) -> AsyncIterator[CcxtGateway]:
    """A gateway that takes the recorder for its venue."""
    gateway = open_gateway(access(recorder))
    yield gateway
    await gateway.close()


@pytest.fixture(params=sorted(VENUES))
async def at_venue(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, CcxtGateway]]:
    """Each scripted venue with a gateway that takes it for the real one."""
    venue = VENUES[request.param]()
    async with served(venue) as gateway:
        yield venue, gateway
