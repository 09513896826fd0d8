"""How long an order takes to leave: from the client's start call to the exchange.

Ours and the bare workflow take turns, one at a time, so that both meet the same machine. At the
end a person trades by hand with the raw ccxt class, for reference.
"""

import time

from tests.bench import hops
from tests.bench.figures import Measure, median, p50_and_p99
from tests.bench.rig import SYMBOL, BareRun, Rig
from workflows.domain.orders import client_order_id

WARM_UP = 30
PAIRS = 200
RAW_ORDERS = 200
_SHOWN = 100
_CALL = "the start call is made"
_BEGUN = "THE ACTIVITY BEGINS"
_CLAIMED = "submit: prepared and claimed"
_ARRIVED = "submit: signed, sent, AT THE EXCHANGE"


async def submit_latency(rig: Rig) -> list[Measure]:
    """Start call to arrival at the exchange, beside start call to the bare activity's begin."""
    with rig.progress("submit latency: market orders and bare workflows in turn", PAIRS) as step:
        for _ in range(WARM_UP):
            await rig.bare_order()
            await _order(rig)
        bare, called = [], {}
        for _ in range(PAIRS):
            bare.append(await rig.bare_order())
            order_id, at = await _order(rig)
            called[order_id] = at
            step()
    arrived = rig.arrivals_ms()
    ours = [arrived[client_order_id(name, 0)] - at for name, at in called.items()]
    await _show_hops(rig, bare[-_SHOWN:], dict(list(called.items())[-_SHOWN:]), arrived)
    return p50_and_p99("submit_latency", ours, [each.latency_ms for each in bare])


async def _order(rig: Rig) -> tuple[str, float]:
    """Work one market order to its end; its id and when the call was made (ms since 1970)."""
    request = rig.request()
    called_at = time.time_ns() / 1e6
    await rig.trade(request)
    return str(request.order_id), called_at


async def _show_hops(
    rig: Rig, bare: list[BareRun], called: dict[str, float], arrived: dict[str, int]
) -> None:
    nothing = [
        await _marks(rig, each.workflow_id, [(_CALL, each.called_at), (_BEGUN, each.begun_at)])
        for each in bare
    ]
    hops.show(rig.console, "bare workflow", nothing)
    child_of = {name: client_order_id(name, 0) for name in called}
    claims = await rig.claims(child_of.values())
    orders = []
    for name, child in child_of.items():
        claimed_at = claims[child].timestamp() * 1_000
        arrived_at = max(arrived[child], claimed_at)  # the log has whole milliseconds
        known = [(_CALL, called[name]), (_CLAIMED, claimed_at), (_ARRIVED, arrived_at)]
        orders.append(await _marks(rig, name, known))
    hops.show(rig.console, "market order", orders)


async def _marks(rig: Rig, workflow_id: str, known: hops.Marks) -> hops.Marks:
    history = await rig.temporal.get_workflow_handle(workflow_id).fetch_history()
    return hops.marks_of(known, history.events)


async def raw_ccxt(rig: Rig) -> list[Measure]:
    """One order after the other by the raw ccxt class: call to answer."""
    took = []
    with rig.progress("raw ccxt: market orders, call to answer", RAW_ORDERS) as step:
        for number in range(WARM_UP + RAW_ORDERS):
            began = time.perf_counter_ns()
            await rig.hand.create_order(SYMBOL, "market", ("buy", "sell")[number % 2], "0.001")
            took.append((time.perf_counter_ns() - began) / 1e6)
            step()
    return [Measure(name="raw_ccxt_p50", value=median(took[WARM_UP:]), unit="ms")]
