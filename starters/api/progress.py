"""The routes that follow an order's strategy: a TWAP's slices, an iceberg's tips, a stop's trigger.

A running order's workflow is asked, which knows the newest; the ledger where that has gone.
"""

from fastapi import APIRouter, Depends

from starters import lookup
from starters.api.access import Asking, needs
from starters.api.documentation import ONE_ORDER, error_answers
from starters.api.errors import ApiCode, ApiError
from starters.api.models import ORDERS_PATH, IcebergReport, StopReport, TwapReport, report
from starters.api.parameters import Connected, OrderId, only
from workflows.domain.access import Scope

router = APIRouter(prefix=ORDERS_PATH, tags=["orders"])


@router.get(
    "/{order_id}/twap-progress",
    responses=error_answers(*ONE_ORDER, ApiCode.NOT_A_TWAP),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_twap_progress(
    order_id: OrderId, connections: Connected, caller: Asking
) -> TwapReport:
    """Slices planned, sent, filled and late; filled quantity, average price, next slice."""
    snapshot = await lookup.find_progress(connections, order_id, accounts=caller.accounts)
    if snapshot.twap is None:
        raise _none(ApiCode.NOT_A_TWAP, f"order {order_id} has no TWAP schedule")
    return report(TwapReport, snapshot, snapshot.twap)


@router.get(
    "/{order_id}/iceberg-progress",
    responses=error_answers(*ONE_ORDER, ApiCode.NOT_AN_ICEBERG),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_iceberg_progress(
    order_id: OrderId, connections: Connected, caller: Asking
) -> IcebergReport:
    """Tips shown and filled, the current one, what is hidden, filled quantity, average price."""
    snapshot = await lookup.find_progress(connections, order_id, accounts=caller.accounts)
    if snapshot.iceberg is None:
        raise _none(ApiCode.NOT_AN_ICEBERG, f"order {order_id} shows no tips")
    return report(IcebergReport, snapshot, snapshot.iceberg)


@router.get(
    "/{order_id}/stop-progress",
    responses=error_answers(*ONE_ORDER, ApiCode.NOT_A_STOP),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_stop_progress(
    order_id: OrderId, connections: Connected, caller: Asking
) -> StopReport:
    """Where it fires, the extreme it follows, whether the position is protected, how it fired."""
    snapshot = await lookup.find_progress(connections, order_id, accounts=caller.accounts)
    if snapshot.stop is None:
        raise _none(ApiCode.NOT_A_STOP, f"order {order_id} waits for no price")
    return report(StopReport, snapshot, snapshot.stop)


def _none(code: ApiCode, message: str) -> ApiError:
    return ApiError(code, message, field="order_id")
