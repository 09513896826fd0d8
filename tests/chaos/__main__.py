"""`python -m tests.chaos --runs 20 --seed 1`: seeded chaos, judged by the exchanges' own logs.

One JSON line per run and a last one with the sums on stdout, progress on stderr. Exit codes: 0
clean, 1 something was sent twice, lost, unfinished or differs (the seed that shows it is named), or
the stack broke, 2 wrong usage.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from tests.chaos.plan import ARBITRAGES_PER_RUN, ORDERS_PER_RUN
from tests.chaos.run import Options, Totals, run_all
from workers.ports import PortTakenError
from workers.supervisor import SupervisorError
from workers.up import STOP_SIGNALS

CLEAN, BAD, BAD_USAGE = 0, 1, 2
EVIDENCE = Path(".delta") / "chaos"
MOST_RUNS, MOST_ORDERS = 10_000, 1_000


class _OneLine(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(BAD_USAGE)


def options_of(arguments: list[str]) -> Options:
    """The options; ends the process with BAD_USAGE for wrong ones."""
    parser = _OneLine(prog="python -m tests.chaos")
    parser.add_argument("--runs", type=_between(1, MOST_RUNS), default=20)
    parser.add_argument("--seed", type=_between(0, 2**63 - 1), default=secrets.randbits(32))
    parser.add_argument("--orders", type=_between(0, MOST_ORDERS), default=ORDERS_PER_RUN)
    parser.add_argument("--arbitrages", type=_between(0, MOST_ORDERS), default=ARBITRAGES_PER_RUN)
    given = parser.parse_args(arguments)
    if not given.orders and not given.arbitrages:
        parser.error("there is nothing to do without orders and arbitrages")
    return Options(
        runs=given.runs, seed=given.seed, orders=given.orders, arbitrages=given.arbitrages
    )


class _between:  # noqa: N801 - used like a function, named in no message
    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        if text.isascii() and text.isdigit() and self._least <= int(text) <= self._most:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {self._least} to {self._most}"
        )


async def _run(options: Options, screen: Console, totals: Totals) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        screen.status("") as status,
    ):
        async with aclosing(run_all(options, Path(folder), EVIDENCE, status.update)) as outcomes:
            async for outcome in outcomes:
                totals.outcomes.append(outcome)
                print(json.dumps(outcome.line()), flush=True)


async def _until_stopped(options: Options, screen: Console, totals: Totals) -> bool:
    """Run to the end or to the first stop signal; False when it was stopped."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = asyncio.create_task(_run(options, screen, totals))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not running.done():
        running.cancel()
        await asyncio.wait((running,))
    if running.cancelled():
        return False
    running.result()
    return True


def main(arguments: list[str]) -> int:
    """Run, print, and return the exit code."""
    options = options_of(arguments)
    # a server that is away is what we came for: the client's own warnings about it say nothing
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="ERROR"))))
    screen, totals = Console(stderr=True, highlight=False), Totals()
    what = f"{options.orders} orders and {options.arbitrages} arbitrages"
    screen.print(f"chaos: {options.runs} runs of {what}, seed {options.seed}")
    try:
        is_complete = asyncio.run(_until_stopped(options, screen, totals))
    except (SupervisorError, PortTakenError, AssertionError, RPCError, OSError) as error:
        screen.print(f"error: {' '.join(str(error).split()) or type(error).__name__}")
        is_complete = False
    print(json.dumps(totals.line()), flush=True)
    for seed in totals.bad_seeds:
        again = f"make chaos RUNS=1 SEED={seed}"
        screen.print(f"not clean: {again} makes this plan again; evidence: {EVIDENCE / str(seed)}")
    if not is_complete:
        screen.print(f"ended after {len(totals.outcomes)} of {options.runs} runs")
    return CLEAN if is_complete and not totals.bad_seeds else BAD


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # A Temporal client can crash the interpreter while that shuts down, and spoil the exit code.
    os._exit(code)
