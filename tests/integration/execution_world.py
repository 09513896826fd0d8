"""What the tests of executions share: plans, their legs, and what is told of them."""

from decimal import Decimal
from typing import Any

from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    REFERENCE,
    SIGNED_AT_MS,
    SYMBOL,
    World,
    a_fill,
    a_report,
)
from workflows import names
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce, client_order_id
from workflows.domain.reports import VenueStatus
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.ports import (
    AcceptLeg,
    AcceptLegs,
    LegsVerdict,
    OpenExecution,
    Reserve,
    SaveExecution,
)

OTHER = "okx"
ONE = Decimal(1)
LOCK = names.pair_lock(ACCOUNT, SYMBOL, (EXCHANGE, OTHER))


def a_plan(**changes: Any) -> ArbitragePlan:
    fields: dict[str, Any] = {
        "strategy_id": "s1",
        "symbol": SYMBOL,
        "buy_exchange": EXCHANGE,
        "sell_exchange": OTHER,
        "buy_price": Decimal(50_000),
        "sell_price": Decimal(50_300),
        "amount": ONE,
    }
    return ArbitragePlan(**{**fields, **changes})


def an_execution(
    execution_id: str = "arb-1", run_chain: str = "chain", **changes: Any
) -> OpenExecution:
    plan = a_plan(**changes)
    return OpenExecution(
        execution_id=execution_id,
        run_chain=run_chain,
        kind=ExecutionKind.ARBITRAGE,
        strategy_id=plan.strategy_id,
        account=plan.account,
        venues=(plan.buy_exchange, plan.sell_exchange),
        body_hash=plan.body_hash(),
        plan=plan.model_dump_json(exclude_none=True),
    )


def a_leg(execution_id: str, leg: str, side: Side, venue: str, **changes: Any) -> AcceptLeg:
    """A limit IOC leg of 1 BTC at the reference, unless changed."""
    order_id = names.leg_order_id(execution_id, leg)
    quantity, price = changes.get("quantity", ONE), changes.get("price", REFERENCE)
    request = OrderRequest(
        strategy_id=changes.get("strategy_id", "s1"),
        account=ACCOUNT,
        exchange=venue,
        symbol=SYMBOL,
        side=side,
        order_type="limit",
        quantity=quantity,
        price=price,
        time_in_force="IOC",
    )
    intent = ChildIntent(
        client_order_id=client_order_id(order_id, 0),
        order_id=order_id,
        child_index=0,
        strategy_id=request.strategy_id,
        account=ACCOUNT,
        venue=venue,
        symbol=SYMBOL,
        side=side,
        child_type=ChildType.LIMIT,
        quantity=quantity,
        price=price,
        time_in_force=TimeInForce.IOC,
    )
    first = Reserve(
        intent=intent,
        attempt=1,
        reference_price=REFERENCE,
        parent_quantity=quantity,
        compensates=changes.get("compensates"),
    )
    return AcceptLeg(order_id=order_id, request=request, first=first)


def a_pair(execution_id: str = "arb-1", **changes: Any) -> tuple[AcceptLeg, AcceptLeg]:
    buy = a_leg(execution_id, "buy", Side.BUY, EXCHANGE, **changes)
    return buy, a_leg(execution_id, "sell", Side.SELL, OTHER, **changes)


def legs_request(
    *legs: AcceptLeg, execution_id: str = "arb-1", locks: tuple[str, ...] = (LOCK,)
) -> AcceptLegs:
    return AcceptLegs(execution_id=execution_id, legs=legs, locks=locks)


async def ready(ledger: World) -> None:
    """The second venue's account is vouched for too."""
    await ledger.store.set_readiness(OTHER, ACCOUNT, True, Decimal(60), "test")


async def begun(ledger: World, execution_id: str = "arb-1") -> tuple[AcceptLeg, AcceptLeg]:
    """An execution whose pair is reserved."""
    await ready(ledger)
    await ledger.executions.open_execution(an_execution(execution_id))
    pair = a_pair(execution_id)
    verdict = await accept(ledger, *pair, execution_id=execution_id)
    assert verdict.denied is None
    return pair


async def accept(ledger: World, *legs: AcceptLeg, **changes: Any) -> LegsVerdict:
    return await ledger.executions.accept_legs(legs_request(*legs, **changes))


async def claim(ledger: World, leg: AcceptLeg) -> Any:
    return await ledger.store.claim(leg.first.intent.client_order_id, 1, SIGNED_AT_MS)


async def fill(
    ledger: World, leg: AcceptLeg, quantity: str, *, fee: str = "0", fee_asset: str = "BTC"
) -> None:
    """Sent, and ended at the venue with this much filled; with fees of `fee` in `fee_asset`."""
    assert await claim(ledger, leg) is None
    await book(ledger, leg, quantity, fee=fee, fee_asset=fee_asset, status=VenueStatus.EXPIRED)


async def book(
    ledger: World,
    leg: AcceptLeg,
    quantity: str,
    *,
    fee: str = "0",
    fee_asset: str = "BTC",
    status: VenueStatus = VenueStatus.OPEN,
) -> None:
    intent = leg.first.intent
    fills = []
    if Decimal(quantity):
        name = f"{leg.order_id}-{quantity}"
        fills = [a_fill(name, quantity, fee=Decimal(fee), fee_asset=fee_asset)]
    report = a_report(status, quantity, *fills, venue_order_id=leg.order_id)
    await ledger.book(intent, report)


def an_end(leg: AcceptLeg, status: str, filled: str = "0") -> OrderSnapshot:
    """What the workflow tells of a leg that is over."""
    return OrderSnapshot(
        order_id=leg.order_id,
        status=status,
        quantity=leg.request.quantity,
        filled_quantity=Decimal(filled),
    )


def the_end(
    *legs: OrderSnapshot,
    status: ExecutionStatus = ExecutionStatus.COMPLETED,
    execution_id: str = "arb-1",
    **changes: Any,
) -> SaveExecution:
    told = ArbitrageSnapshot(execution_id=execution_id, status=status, **changes)
    return SaveExecution(
        execution_id=execution_id,
        status=status,
        snapshot=told.model_dump_json(exclude_none=True),
        legs=legs,
    )
