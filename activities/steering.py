"""The port of steering: recorded in the ledger before it takes effect, and looks before a trade."""

from collections.abc import Collection

from temporalio import activity

from activities.accounts import unknown_account
from activities.ledger.results import LedgerError
from activities.ledger.steering_store import SteeringStore
from activities.ledger_activities import broken_protocol
from workflows.ports import (
    Checked,
    CheckOrder,
    EngineTerms,
    Protected,
    ProtectRequest,
    RecordAction,
    RecordedAction,
    SteeringPort,
)


class SteeringActivities(SteeringPort):
    """`accounts` are the configured (venue, account) pairs; an order for another is denied."""

    def __init__(
        self, store: SteeringStore, terms: EngineTerms, accounts: Collection[tuple[str, str]]
    ) -> None:
        self._store = store
        self._terms = terms
        self._accounts = accounts

    @activity.defn(name="record_action")
    async def record_action(self, request: RecordAction) -> RecordedAction:
        """See SteeringPort."""
        try:
            return await self._store.record_action(request)
        except LedgerError as error:
            raise broken_protocol(error) from error

    @activity.defn(name="read_protected")
    async def read_protected(self, request: ProtectRequest) -> Protected:
        """See SteeringPort."""
        return await self._store.read_protected(request)

    @activity.defn(name="check_order")
    async def check_order(self, request: CheckOrder) -> Checked:
        """See SteeringPort."""
        order = request.request
        denied = unknown_account(self._accounts, order.exchange, order.account)
        if denied is None:
            denied = await self._store.check_order(order, request.reference_price)
        return Checked(terms=self._terms, denied=denied)
