"""Arbitrages: how far apart their legs arrive, how soon a lone leg is unwound, how many a second.

BTC/USDT stands still, so every arbitrage meets the same two books and none of them earns
anything: the plans allow for the fees, and for ETH/USDT, which moves. Arrivals are read from the
exchanges' own logs, in whole milliseconds; the exchanges share one machine and so one clock.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bench.figures import Measure, median, p50_and_p99
from tests.bench.rig import ACCOUNTS, OTHER, SYMBOLS, VENUE, BenchError, Rig
from tests.bench.throughput import idle_cpu_s, window
from workflows import names
from workflows.domain.executions import ExecutionStatus
from workflows.domain.orders import client_order_id
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot

WARM_UP = 10
PAIRS = 150
UNWINDS = 60
QUANTITY = {"BTC/USDT": "0.002", "ETH/USDT": "0.04"}
NO_FUNDS = {
    "binance": {"code": -2010, "message": "Account has insufficient balance for requested action."},
    "okx": {"code": 51008, "message": "Order failed. Insufficient balance."},
}
"""How each exchange says that the account cannot pay: sending the leg again there is pointless."""
_ANYTHING = "-1000"


async def leg_skew(rig: Rig) -> list[Measure]:
    """Time between the arrivals of the two legs, beside two raw ccxt calls in one gather."""
    executions, by_hand = [], []
    with rig.progress("leg skew: arbitrages and pairs of raw ccxt calls in turn", PAIRS) as step:
        for number in range(WARM_UP + PAIRS):
            done = await _completed(rig)
            raw = await _raw_pair(rig, number)
            if number >= WARM_UP:
                executions.append(done.execution_id)
                by_hand.append(raw)
                step()
    arrived = rig.arrivals_ms()
    ours = [_apart(arrived, *(_child(each, leg) for leg in ("buy", "sell"))) for each in executions]
    bare = [_apart(arrived, *pair) for pair in by_hand]
    return p50_and_p99("leg_skew", ours, bare)


async def unwind_latency(rig: Rig) -> list[Measure]:
    """From the refusal of one leg to the other exchange's acceptance of the unwinding order."""
    took = []
    with rig.progress("unwind latency: the sell leg is refused by its exchange", UNWINDS) as step:
        for _ in range(UNWINDS):
            took.append(await _unwound(rig))
            step()
    return [Measure(name="unwind_latency_p50", value=median(took), unit="ms")]


async def arbitrages_per_second(rig: Rig) -> list[Measure]:
    """Arbitrages worked to their end, one at a time per account and symbol, beside bare workflows.

    More lanes there are not: a pair of venues works one arbitrage of a symbol at a time.
    """
    places: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    for account in ACCOUNTS:
        for symbol in SYMBOLS:
            places.put_nowait((account, symbol))
    lanes = places.qsize()

    @asynccontextmanager
    async def place() -> AsyncIterator[tuple[str, str]]:
        taken = await places.get()
        try:
            yield taken
        finally:
            places.put_nowait(taken)

    async def work() -> None:
        async with place() as (account, symbol):
            await _completed(rig, account=account, symbol=symbol)

    with rig.progress("arbitrages per second: lanes of both kinds in turn", 2) as step:
        idle = await idle_cpu_s(rig)
        bare = await window(rig, rig.bare_order, lanes, idle)
        step()
        ours = await window(rig, work, lanes, idle)
        step()
    name = "arbitrages_per_second"
    return [Measure(name=name, value=ours.per_second, unit="1/s", baseline=bare.per_second)]


async def _completed(
    rig: Rig, *, account: str = "main", symbol: str = "BTC/USDT"
) -> ArbitrageSnapshot:
    done = await _run(rig, await _plan(rig, account=account, symbol=symbol))
    if done.status is not ExecutionStatus.COMPLETED:
        raise BenchError(f"arbitrage {done.execution_id} is {done.status}: {done.error}")
    return done


async def _run(rig: Rig, plan: ArbitragePlan) -> ArbitrageSnapshot:
    started = await rig.orders.execute_arbitrage(plan)
    if started.status is ExecutionStatus.DENIED:
        raise BenchError(f"arbitrage {plan.id} was denied: {started.code} {started.error}")
    return await rig.orders.arbitrage_result(started.execution_id)


async def _plan(rig: Rig, *, account: str, symbol: str) -> ArbitragePlan:
    """Buy here and sell there, in turns; any loss is fine, since nothing moves."""
    rig.made += 1
    buy, sell = (VENUE, OTHER) if rig.made // len(SYMBOLS) % 2 else (OTHER, VENUE)
    return ArbitragePlan.model_validate(
        {
            "id": f"bench-{os.getpid()}-arb-{rig.made}",
            "strategy_id": f"bench-{rig.made % 8}",
            "account": account,
            "symbol": symbol,
            "buy_exchange": buy,
            "sell_exchange": sell,
            "buy_price": rig.touch[buy, symbol].ask,
            "sell_price": rig.touch[sell, symbol].bid,
            "amount": QUANTITY[symbol],
            "min_profit": _ANYTHING,
            "min_profit_worst": _ANYTHING,
            "max_loss_bps": "1000",
            "limit_tolerance": "0.01",
            "slippage_tolerance": "0.01",
        }
    )


async def _raw_pair(rig: Rig, number: int) -> tuple[str, str]:
    """The same two orders by hand; their client order ids, which are not like ours."""
    ids = (f"hand{number}buy", f"hand{number}sell")
    sides = ("buy", "sell") if number % 2 else ("sell", "buy")
    await asyncio.gather(
        *(
            hand.create_order(
                "BTC/USDT", "market", side, QUANTITY["BTC/USDT"], None, {"clientOrderId": name}
            )
            for hand, side, name in zip((rig.hand, rig.other_hand), sides, ids, strict=True)
        )
    )
    return ids


async def _unwound(rig: Rig) -> float:
    """Milliseconds from the refused leg to the unwinding order's arrival."""
    plan = await _plan(rig, account="main", symbol="BTC/USDT")
    refused = _child(str(plan.id), "sell")
    control = rig.control[plan.sell_exchange]
    rule = await control.add("refuse", client_order_id=refused, **NO_FUNDS[plan.sell_exchange])
    done = await _run(rig, plan)
    await control.remove(rule)
    if done.status is not ExecutionStatus.UNWOUND:
        raise BenchError(f"arbitrage {done.execution_id} is {done.status}: {done.error}")
    (unwind,) = (leg for leg in done.orders if leg.leg.startswith("unwind"))
    accepted = rig.log(plan.buy_exchange).orders_named(client_order_id(unwind.order_id, 0))
    (refusal,) = (
        request
        for request in rig.log(plan.sell_exchange).requests
        if request.code and refused in request.params.values()
    )
    return float(accepted[0].ts_ms - refusal.ts_ms)


def _child(execution_id: str, leg: str) -> str:
    return client_order_id(names.leg_order_id(execution_id, leg), 0)


def _apart(arrived: dict[str, int], one: str, other: str) -> float:
    return float(abs(arrived[one] - arrived[other]))
