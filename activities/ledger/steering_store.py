"""The ledger's side of steering: actions on running orders, and what an order may do now.

Rule: each method is one transaction, and may be called again with the same arguments. Errors of
the database propagate (SQLAlchemyError, OSError): nothing was written, unless a COMMIT was lost,
which a second call finds out.
"""

from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger import store_actions, store_exposure
from workflows.domain.denials import Denied
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest
from workflows.ports import Protected, ProtectRequest, RecordAction, RecordedAction


class SteeringStore:
    """Records what was done to orders, and answers what one would be let to do."""

    def __init__(self, engine: AsyncEngine, limits: Limits) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._limits = limits

    async def record_action(self, request: RecordAction) -> RecordedAction:
        """Record an action at its place in the order, once; it may take effect unless denied.

        An amendment is checked for what it adds, and changes what the ledger holds of the order;
        a denied one is recorded and changes nothing. The same action at the same place gets the
        stored answer; another one there takes its place. Raises UnknownOrderError.
        """
        async with self._engine.begin() as connection:
            return await store_actions.record(connection, request, self._limits)

    async def read_protected(self, request: ProtectRequest) -> Protected:
        """The position, and what of it no other order is about to close; base units, signed."""
        async with self._reader.connect() as connection:
            return await store_exposure.protected(connection, request)

    async def check_order(self, request: OrderRequest, reference_price: Decimal) -> Denied | None:
        """What `LedgerStore.accept_parent` would answer now; nothing is written."""
        async with self._reader.connect() as connection:
            return await store_exposure.check(connection, request, reference_price, self._limits)
