"""Every time that an event tells is written as all others that we tell: UTC, with Z."""

import re
from collections.abc import Iterator
from typing import Any

from activities.ledger.results import TradingState
from activities.ledger.view_events import EventFilter, EventViews
from tests.integration.ledger_world import World, a_fill, a_report
from workflows.domain.alarms import AlarmCode
from workflows.domain.reports import VenueStatus
from workflows.fields import utc_text

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def times(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every field that is named as a time, however deep."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from times(value)
        elif value is not None and (name.endswith("_at") or name == "since"):
            yield name, value


async def test_the_times_of_every_kind_of_event_end_in_z(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1")))
    await ledger.store.set_trading_state("strategy:s1", TradingState.REDUCING, "drill")
    await ledger.store.raise_alarm(AlarmCode.FILL_CONFLICT, intent.client_order_id, "twice")
    page = await EventViews(ledger.engine).page(0, 500, EventFilter())
    told = {(each.kind.value, *pair) for each in page.events for pair in times(each.data)}
    assert {kind for kind, _, _ in told} == {
        "alarm",
        "fill",
        "order",
        "position",
        "trading_state",
    }
    assert [each for each in told if not UTC_TIME.fullmatch(each[2])] == []
    (row,) = await ledger.rows("SELECT booked_at FROM fills")
    booked = next(value for _, name, value in told if name == "booked_at")
    assert booked == utc_text(row["booked_at"])
