"""What the feed books of a leg is told to the execution, which works it."""

from typing import Any, cast

from temporalio.client import Client

from activities.feed_owners import Owners, Tidings
from tests.integration.execution_world import a_leg
from tests.integration.ledger_world import EXCHANGE, World, an_intent
from workflows.domain.orders import ChildIntent, Side, TimeInForce
from workflows.domain.reports import ChildReport, VenueStatus


class Temporal:
    """Remembers who was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def get_workflow_handle(self, workflow_id: str) -> Any:
        told = self.told

        class Handle:
            async def signal(self, _name: str, _report: ChildReport) -> None:
                told.append(workflow_id)

        return Handle()


async def told_of(ledger: World, intent: ChildIntent) -> list[str]:
    temporal = Temporal()
    report = ChildReport(
        client_order_id=intent.client_order_id,
        venue_order_id="v1",
        status=VenueStatus.OPEN,
        executed_quantity=intent.quantity,
        filled_quantity=intent.quantity,
        filled_quote=intent.quantity,
        fees={},
    )
    await Owners(ledger.store, cast(Client, temporal)).tell([Tidings(intent=intent, report=report)])
    return temporal.told


async def test_a_leg_that_rests_is_told_to_its_execution(ledger: World) -> None:
    leg = a_leg("arb-1", "hold-1", Side.SELL, EXCHANGE).first.intent
    assert await told_of(ledger, leg) == []  # it takes or leaves: its workflow reads it
    resting = an_intent(leg.order_id, time_in_force=TimeInForce.GTC)
    assert await told_of(ledger, resting) == ["arb-1"]


async def test_an_order_of_its_own_is_told_to_its_own_workflow(ledger: World) -> None:
    assert await told_of(ledger, an_intent("order-1")) == ["order-1"]
