"""`python -m tests.bench [--only NAME]`: measure the engine, one JSON line per measure on stdout.

Rule: stdout carries the lines and nothing else; what happens is told on stderr. Afterwards the
checker compares the ledger with the exchange's log: figures of an engine that loses or repeats
orders are worth nothing, so a violation makes the run fail. SIGINT, SIGTERM and SIGHUP stop
everything.

    0   measured          1   a measure failed, or an invariant was violated
    2   unknown name    130   stopped
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from rich.console import Console
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from starters.client import DeltaError
from tests.bench.accepts import api_accepts
from tests.bench.arbitrages import arbitrages_per_second, leg_skew, unwind_latency
from tests.bench.books import books
from tests.bench.figures import Measure, UnknownMeasureError, chosen
from tests.bench.fills import fills
from tests.bench.latency import raw_ccxt, submit_latency
from tests.bench.recovery import recovery
from tests.bench.rig import BenchError, Rig, open_rig
from tests.bench.stops import stops
from tests.bench.throughput import orders_per_second
from tests.bench.twaps import events_per_slice, twap_lateness
from workers.checker import CheckError, check_settled
from workers.embedded_postgres import PostgresError
from workers.local_stack import StackRunningError
from workers.ports import PortTakenError
from workers.supervisor import SupervisorError
from workers.up import STOP_SIGNALS

DONE, FAILED, MISUSED, STOPPED = 0, 1, 2, 130
TAKEN_BY: dict[str, Callable[[Rig], Awaitable[list[Measure]]]] = {
    "submit_latency": submit_latency,
    "orders_per_second": orders_per_second,
    "twap_lateness": twap_lateness,
    "events_per_slice": events_per_slice,
    "fill_to": fills,
    "raw_ccxt": raw_ccxt,
    "leg_skew": leg_skew,
    "unwind_latency": unwind_latency,
    "arbitrages_per_second": arbitrages_per_second,
    "stop": stops,
    "api_accepts": api_accepts,
    "books": books,
    "recovery_s": recovery,
}
"""What takes the measures whose names begin so."""
_TROUBLE = (
    BenchError,
    DeltaError,
    CheckError,
    PortTakenError,
    PostgresError,
    StackRunningError,
    SupervisorError,
    WorkflowFailureError,
    RPCError,
    OSError,
    TimeoutError,
)


def main(arguments: list[str]) -> int:
    """Measure; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", metavar="NAME", help="one measure, or how its name begins")
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 110)
    try:
        names = chosen(parser.parse_args(arguments).only)
    except UnknownMeasureError as error:
        console.print(str(error), soft_wrap=True)
        return MISUSED
    try:
        return asyncio.run(_until_stopped(console, names))
    except* _TROUBLE as trouble:
        first = _first_of(trouble)
        console.print(f"failed: {str(first) or type(first).__name__}", style="red", soft_wrap=True)
    return FAILED


def _first_of(trouble: BaseException) -> BaseException:
    """The first error inside of groups."""
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return trouble


async def _until_stopped(console: Console, names: tuple[str, ...]) -> int:
    """Measure, or leave in order on a stop signal; a second signal changes nothing."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    measuring = asyncio.create_task(_measure(console, names))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((measuring, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if measuring.done():
        return measuring.result()
    console.print("stopping ...")
    measuring.cancel()
    await asyncio.wait((measuring,))
    return STOPPED


async def _measure(console: Console, names: tuple[str, ...]) -> int:
    async with open_rig(console) as rig:
        broken = asyncio.create_task(rig.stack.failed())
        taking = asyncio.create_task(_take(rig, names))
        try:
            await asyncio.wait((taking, broken), return_when=asyncio.FIRST_COMPLETED)
            await (taking if taking.done() else broken)
        finally:
            for each in (taking, broken):
                each.cancel()
            await asyncio.wait((taking, broken))
        report = await check_settled(rig.stack.settings)
    console.print(f"checked {report.orders} orders and {report.fills} fills at the exchange")
    for violation in report.violations:
        console.print(str(violation), style="red", soft_wrap=True)
    return DONE if report.ok else FAILED


async def _take(rig: Rig, names: tuple[str, ...]) -> None:
    for begins, take in TAKEN_BY.items():
        if any(name.startswith(begins) for name in names):
            for measure in await take(rig):
                if measure.name in names:
                    print(measure.line(), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
