"""The command line: `python -m starters`.

Rule: a user sees one line about what is wrong, never a trace. Exit codes: 0 done, 1 the order did
not complete (or something does not answer), 2 wrong usage or input, 130 stopped by Ctrl-C.
"""

import sys
from decimal import Decimal
from typing import Annotated

import typer

from starters.cli_alarms import alarms_app
from starters.cli_arbitrage import arbitrage_app
from starters.cli_errors import BAD_USAGE, FAILED, explain, say
from starters.cli_keys import keys_app
from starters.cli_operations import operations_app
from starters.cli_orders import order_app, orders_app
from starters.cli_positions import positions_app
from starters.cli_rebalance import rebalance_app
from starters.cli_records import audit_app, balances_app, fills_app, symbols_app
from starters.cli_risk import risk_app
from starters.cli_trading_state import trading_state_app
from workers.arguments import REFUSAL, hold_secret
from workers.loading import loading
from workers.shells import Shell, complete_word, is_completing
from workers.version_option import VersionOption

app = typer.Typer(
    name="python -m starters",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(order_app, name="order")
orders_app.add_typer(operations_app)
app.add_typer(orders_app, name="orders")
app.add_typer(arbitrage_app, name="arbitrage")
app.add_typer(rebalance_app, name="rebalance")
app.add_typer(positions_app, name="positions")
app.add_typer(fills_app, name="fills")
app.add_typer(balances_app, name="balances")
app.add_typer(symbols_app, name="symbols")
app.add_typer(risk_app, name="risk")
app.add_typer(alarms_app, name="alarms")
app.add_typer(trading_state_app, name="trading-state")
app.add_typer(keys_app, name="keys")
app.add_typer(audit_app, name="audit")


@app.command()
def api() -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C.

    Example: API_PORT=8003 python -m starters api
    """
    with loading():
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
    page: Annotated[
        str | None, typer.Option(help="Make the tables of the contract's page anew.")
    ] = None,
) -> None:
    """Print the JSON Schemas of the public messages.

    Example: python -m starters schema OrderRequest

    Example: python -m starters schema --write schemas
    """
    from pathlib import Path

    from starters import contract_page, schemas

    if name is not None and name not in schemas.MESSAGES:
        raise typer.BadParameter(f"one of {', '.join(schemas.MESSAGES)}", param_hint="NAME")
    if write is not None:
        schemas.write(Path(write))
        sys.stdout.write(f"{schemas.fingerprint()}\n")
    elif page is not None:
        contract_page.write(Path(page))
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


@app.command("completion")
def completion(
    shell: Annotated[Shell, typer.Argument(help="Whose.", metavar="bash|zsh|fish")],
) -> None:
    """Print the script that lets a shell complete commands, options, and ids of orders.

    Example: source <(python -m starters completion bash)

    Example: python -m starters completion fish > ~/.config/fish/conf.d/delta.fish
    """
    from workers.shells import script

    sys.stdout.write(script(shell))


@app.callback()
def every_command(
    _version: VersionOption = False,
) -> None:
    """Ask for orders and executions. Settings come from the environment or .env.

    Example: python -m starters order market --symbol BTC/USDT --side buy --quantity 0.1 --watch

    Example: python -m starters orders list --status working

    Exit codes: 0 done, 1 it did not complete, 2 wrong usage or input, 130 stopped by Ctrl-C.
    """


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    if is_completing():
        return complete_word(app)
    if hold_secret(arguments):
        return say(REFUSAL, BAD_USAGE)
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:
        return FAILED  # whoever read the output wants no more of it
    except Exception as error:  # noqa: BLE001 - the last stop: one line for the user, not a trace
        return explain(error)
    return 0
