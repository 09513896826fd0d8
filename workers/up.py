"""`python -m workers up`: the local stack in the foreground, for a person at a terminal.

Rule: SIGINT, SIGTERM and SIGHUP all stop every part in order, also in the middle of the start.
"""

import asyncio
import contextlib
import signal

from rich.console import Console
from rich.table import Table

from workers.local_stack import LocalStack
from workers.settings import Settings
from workers.stack_parts import ALL_KINDS, embedded_venues

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_until_stopped(settings: Settings) -> None:
    """Run the stack until a stop signal; raises what LocalStack raises."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = LocalStack(
        settings,
        kinds=ALL_KINDS,
        on_event=lambda part, event: _say(f"  {part:<18} {event}"),
    )
    running = asyncio.create_task(_run(stack))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        await running
        return
    _say("stopping ...")
    running.cancel()
    await asyncio.wait((running,))
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error
    _say("stopped")


async def _run(stack: LocalStack) -> None:
    async with stack:
        for note in stack.notes:
            _say(note)
        _say(_addresses(stack))
        _say("Ctrl-C stops everything.")
        await stack.failed()


def _say(what: str | Table) -> None:
    """Print it; a terminal or pipe that has gone away must not stop the stack half-way."""
    with contextlib.suppress(OSError):
        Console(highlight=False).print(what)


def _addresses(stack: LocalStack) -> Table:
    settings = stack.settings
    table = Table(title="Delta Executor is up", title_justify="left", show_header=False)
    table.add_row("HTTP API", stack.api_url)
    table.add_row("Dashboard", f"{stack.api_url}/")
    table.add_row("API pages", f"{stack.api_url}/docs")
    table.add_row("Temporal UI", stack.temporal_ui_url)
    table.add_row("Temporal", f"{stack.temporal_address} ({settings.temporal_namespace})")
    table.add_row("Metrics", f"{stack.api_url}/metrics")
    for number in range(settings.worker_count):
        table.add_row(f"Metrics, worker {number}", stack.metrics_url(number))
    for venue in embedded_venues(settings):
        table.add_row(f"Paper exchange {venue}", stack.paper_url(venue))
    table.add_row("Logs", str(stack.home.logs))
    return table
