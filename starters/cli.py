"""The command line: `python -m starters`.

Rule: a user sees one line about what is wrong, never a trace. Exit codes: 0 done, 1 the order did
not complete (or something does not answer), 2 wrong usage or input.
"""

import asyncio
import sys
from decimal import Decimal
from typing import Annotated

import typer

from starters.cli_alarms import alarms_app
from starters.cli_arbitrage import arbitrage_app
from starters.cli_operations import operations_app
from starters.cli_orders import order_app, orders_app
from starters.cli_positions import positions_app
from starters.cli_rebalance import rebalance_app
from starters.cli_risk import risk_app
from starters.cli_trading_state import trading_state_app

FAILED, BAD_USAGE = 1, 2
_COMMANDS = {"order": "orders", "arbitrage": "arbitrage", "rebalancing": "rebalance"}

app = typer.Typer(
    name="python -m starters",
    help="Ask for orders and executions. Settings come from the environment or .env.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(order_app, name="order")
orders_app.add_typer(operations_app)
app.add_typer(orders_app, name="orders")
app.add_typer(arbitrage_app, name="arbitrage")
app.add_typer(rebalance_app, name="rebalance")
app.add_typer(positions_app, name="positions")
app.add_typer(risk_app, name="risk")
app.add_typer(alarms_app, name="alarms")
app.add_typer(trading_state_app, name="trading-state")


@app.command()
def api() -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C.

    Example: API_PORT=8003 python -m starters api
    """
    from starters.api.server import serve
    from workers.settings import load_settings

    serve(load_settings())


@app.command()
def schema(
    name: Annotated[
        str | None, typer.Argument(help="A message, such as OrderRequest; default all.")
    ] = None,
    write: Annotated[
        str | None, typer.Option(help="Write each to a file there; prints the fingerprint.")
    ] = None,
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", help="Twelve digits that change with any of them.")
    ] = False,
) -> None:
    """Print the JSON Schemas of the public messages.

    Example: python -m starters schema OrderRequest

    Example: python -m starters schema --write schemas
    """
    from pathlib import Path

    from starters import schemas

    if name is not None and name not in schemas.MESSAGES:
        raise typer.BadParameter(f"one of {', '.join(schemas.MESSAGES)}", param_hint="NAME")
    if write is not None:
        schemas.write(Path(write))
        sys.stdout.write(f"{schemas.fingerprint()}\n")
    elif fingerprint:
        sys.stdout.write(f"{schemas.fingerprint()}\n")
    else:
        sys.stdout.write(schemas.schema_text(name) if name else schemas.all_text())


@app.command()
def demo(
    slices: Annotated[int, typer.Option(help="Slices of the TWAP.", min=8, max=100)] = 12,
    interval: Annotated[
        float, typer.Option(help="Seconds between two slices.", min=2, max=60)
    ] = 5.0,
    keep: Annotated[bool, typer.Option("--keep", help="Run on at the end, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The summary as JSON on stdout, the rest on stderr.")
    ] = False,
) -> None:
    """Start a fresh local stack, trade on it, kill a worker, and prove what happened.

    Example: python -m starters demo --keep
    """
    from starters.demo import run_demo
    from starters.demo_settings import DemoOptions
    from workers.settings import load_settings

    interval_s = Decimal(str(interval))
    options = DemoOptions(slices=slices, interval_s=interval_s, keep=keep, as_json=as_json)
    raise typer.Exit(run_demo(load_settings(), options))


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last stop: one line for the user, not a trace
        return _explain(error)
    return 0


def _explain(error: Exception) -> int:
    """Say what is wrong in one line; returns the exit code."""
    from starters.cli_decisions import DecisionDenied, exit_code_of
    from starters.cli_input import InvalidInputError
    from starters.errors import (
        DeltaError,
        Ended,
        NotFound,
        OutcomeUnknown,
        PartOfExecution,
        Unavailable,
    )
    from workers.settings import SettingsError

    text = " ".join(str(error).split())
    if isinstance(error, InvalidInputError | SettingsError):
        return _say(text, BAD_USAGE)
    if isinstance(error, Unavailable):
        return _say(f"UNAVAILABLE: {text} (is the stack up? make up)", FAILED)
    if isinstance(error, NotFound):
        return _say(f"NOT_FOUND: {text}", FAILED)
    if isinstance(error, DecisionDenied):
        return exit_code_of(error)
    if isinstance(error, PartOfExecution):
        return _say(f"PART_OF_EXECUTION: {text}", FAILED)
    if isinstance(error, OutcomeUnknown):
        command = f"python -m starters {_COMMANDS[error.noun]} show {error.id}"
        return _say(f"OUTCOME_UNKNOWN: {text}: {command}", FAILED)
    if isinstance(error, Ended):
        return _say(f"ALREADY_TERMINAL: {text}", FAILED)
    if isinstance(error, DeltaError):
        return _say(f"FAILED: {text}", FAILED)
    if isinstance(error, asyncio.CancelledError | OSError):
        return _say(f"{type(error).__name__}: {text}", FAILED)
    return _say(f"INTERNAL: {type(error).__name__}: {text}", FAILED)


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code
