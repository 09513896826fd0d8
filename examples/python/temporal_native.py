"""A TWAP by Temporal alone: start it, follow it, cancel it, print what it came to.

Rule: it needs the PyPI package `temporalio` and nothing of Delta Executor, so it may be copied into
any service. For typed messages inside this checkout there is `DeltaClient` in starters/client.py.

    python examples/python/temporal_native.py my-twap-7 2
"""

import asyncio
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

TASK_QUEUE = "orders"
FINAL = {"filled", "cancelled", "expired", "denied", "rejected", "failed"}
POLL_S = 0.2
GIVE_UP_S = 60
ANSWER_WITHIN = timedelta(seconds=10)
ORDER = {
    "strategy_id": os.environ.get("STRATEGY_ID", "python"),
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "quantity": "0.1",  # a string: a float would round what is money
    "twap_slices": 10,
    "twap_interval": "1",
}

Order = WorkflowHandle[Any, dict[str, Any]]


async def start(client: Client, order_id: str) -> Order:
    """The same id again is the same order: a crash before the answer costs nothing."""
    return await client.start_workflow(
        "TwapOrder",
        ORDER,
        id=order_id,
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=dict[str, Any],
    )


async def follow(order: Order, slices: int) -> None:
    """Poll until so many slices are filled or the order has ended. Raises TimeoutError."""
    deadline = time.monotonic() + GIVE_UP_S
    shown = ""
    while time.monotonic() < deadline:
        told = await order.query("progress", rpc_timeout=ANSWER_WITHIN)
        filled = (told["twap"] or {}).get("slices_filled", 0)
        line = f"{told['status']}  slices filled: {filled}  {told['filled_quantity']} BTC"
        if line != shown:
            print(line)
            shown = line
        if told["status"] in FINAL or filled >= slices:
            return
        await asyncio.sleep(POLL_S)
    raise TimeoutError(f"not {slices} slices within {GIVE_UP_S} s")


async def main(order_id: str, cancel_after: int) -> int:
    """0 unless the order was denied."""
    client = await Client.connect(
        os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
        namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )
    order = await start(client, order_id)
    await follow(order, cancel_after)
    await order.signal("cancel", {"reason": "the example has seen enough"})
    result = await order.result()
    print(json.dumps(result, indent=2))
    return 1 if result["status"] == "denied" else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    order_id = arguments[0] if arguments else f"py-{time.time_ns()}"
    code = asyncio.run(main(order_id, int(arguments[1]) if len(arguments) > 1 else 2))
    sys.stdout.flush()
    # The client's own threads may crash a Python that tidies up around them.
    os._exit(code)
