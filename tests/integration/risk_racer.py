"""One of several processes that reserve at the same time, each through an engine of its own.

    python -m tests.integration.risk_racer DATABASE_URL ORDER...

It waits for a line on its input, then places all orders, and prints one line for each answer. What
the database refuses to wait for is asked again, as the engine's activities are.
"""

import asyncio
import sys
from decimal import Decimal

from sqlalchemy.exc import SQLAlchemyError

from activities.ledger.engine import open_engine
from activities.ledger.store import LedgerStore
from tests.integration.ledger_world import REFERENCE, an_intent, an_order
from workflows.domain.orders import ChildIntent
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest

LIMITS = Limits(
    max_order_value=Decimal(100_000),
    max_position_value=Decimal(500_000),
    max_messages_per_s=Decimal(1_000_000),
)
AT_ONCE = 8
_WITH_CHILD = 2


def order_of(name: str) -> tuple[OrderRequest, ChildIntent]:
    """The order of a name such as c5-17: 1 BTC of the case's account, for many strategies.

    Only the orders of case c4 have one position together.
    """
    case, number = name.split("-")
    strategy = "s" if case == "c4" else f"s{int(number) % 7}"
    of_whom = {"strategy_id": strategy, "account": case}
    return an_order(quantity=Decimal(1), **of_whom), an_intent(name, **of_whom)


async def place(store: LedgerStore, name: str) -> str:
    """The answer to one order: ok, or the code of its denial."""
    request, intent = order_of(name)
    await store.open_parent(name, "chain", request)
    if int(name.split("-")[1]) % _WITH_CHILD:
        denied, answer = await store.accept_with_child(name, request, REFERENCE, intent, Decimal(1))
    else:
        denied, answer = await store.accept_parent(name, request, REFERENCE), None
        if denied is None:
            answer = await store.reserve(intent, 1, REFERENCE, Decimal(1))
    denied = denied or (answer[1] if answer else None)
    return "ok" if denied is None else str(denied.code)


async def race(url: str, names: list[str]) -> None:
    engine = open_engine(url, pool_size=AT_ONCE)
    store, turns = LedgerStore(engine, LIMITS), asyncio.Semaphore(AT_ONCE)

    async def until_answered(name: str) -> None:
        async with turns:
            while True:
                try:
                    answer = await place(store, name)
                except SQLAlchemyError as error:
                    print(name, type(error).__name__, file=sys.stderr, flush=True)
                else:
                    print(name, answer, flush=True)
                    return

    await asyncio.gather(*map(until_answered, names))
    await engine.dispose()


if __name__ == "__main__":
    sys.stdin.readline()
    asyncio.run(race(sys.argv[1], sys.argv[2:]))
