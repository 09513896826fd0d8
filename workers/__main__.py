"""`python -m workers`: the processes of Delta Executor, one command each.

Rule: a user sees one line about what is wrong, never a traceback; exit codes are 0 done, 1 failed,
2 wrong settings or usage. Secrets are settings, never arguments. Each command imports what it
needs only when it runs, so that `--help` is quick.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.arguments import REFUSAL, hold_secret
from workers.loading import loading
from workers.shells import complete_word, is_completing
from workers.version_option import VersionOption

FAILED, BAD_USAGE = 1, 2

app = typer.Typer(
    name="python -m workers",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every_command(
    _version: VersionOption = False,
) -> None:
    """The processes of Delta Executor. Settings come from the environment or .env.

    Example: python -m workers up

    Exit codes: 0 done, 1 failed, 2 wrong settings or usage.
    """


@app.command()
def up() -> None:
    """Start the whole local stack and keep it running until Ctrl-C.

    Example: WORKER_COUNT=2 python -m workers up
    """
    from workers.settings import load_settings
    from workers.up import run_until_stopped

    asyncio.run(run_until_stopped(load_settings()))


@app.command()
def run(
    venues: Annotated[
        str | None,
        typer.Option(help="Only what is to be done at these, as binance,okx; default at all."),
    ] = None,
) -> None:
    """Run one worker until SIGTERM.

    Example: TEMPORAL_ADDRESS=temporal:7233 python -m workers run

    Example: python -m workers run --venues binance
    """
    with loading():
        from workers import logs
        from workers.bootstrap import run_worker
        from workers.settings import SettingsError, load_settings

    settings = load_settings()
    served = None if venues is None else [each.strip() for each in venues.split(",")]
    if unknown := sorted(set(served or ()) - set(settings.exchanges)):
        known = ", ".join(settings.exchanges)
        raise SettingsError("--venues", f"{unknown[0]} is not one of EXCHANGES: {known}")
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(run_worker(settings, served))


@app.command("drop-copy")
def drop_copy() -> None:
    """Look at all accounts a second time, by their trades alone, until SIGTERM.

    Example: EXCHANGE_BINANCE_READ_API_KEY=... python -m workers drop-copy
    """
    with loading():
        from workers import logs
        from workers.drop_copy import run_drop_copy
        from workers.settings import load_settings

    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(run_drop_copy(settings))


@app.command("paper-exchange")
def paper_exchange(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8101,
    name: Annotated[
        str | None, typer.Option(help="The venue it stands in for; default that of the dialect.")
    ] = None,
    dialect: Annotated[str, typer.Option(help="The protocol: binance or okx.")] = "binance",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[Path | None, typer.Option(help="Data folder; default in DELTA_HOME.")] = None,
    replay: Annotated[Path | None, typer.Option(help="A trades CSV that moves its market.")] = None,
    speed: Annotated[float, typer.Option(help="Pace of the replay; 1 is real time.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.", min=0)] = 7,
    control_port: Annotated[
        int | None,
        typer.Option(help="Loopback port to set faults on; without it there are none.", min=0),
    ] = None,
) -> None:
    """Run one paper exchange until SIGTERM.

    Example: python -m workers paper-exchange --dialect binance --port 8101 --seed 7
    """
    from activities.venues.simulator.config import PaperExchangeConfig
    from activities.venues.simulator.server import serve
    from workers import logs
    from workers.paper import paper_accounts
    from workers.settings import SettingsError, load_settings

    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    venue = name or dialect
    try:
        config = PaperExchangeConfig(
            name=venue,
            host=host,
            port=port,
            dialect=dialect,
            data_dir=data or settings.home.paper_data(venue),
            accounts=paper_accounts(settings, venue),
            seed=seed,
            replay=replay,
            speed=speed,
            control_port=control_port,
        )
    except ValueError as error:
        raise SettingsError("paper-exchange", str(error)) from None
    asyncio.run(serve(config))


@app.command()
def migrate() -> None:
    """Bring the ledger's database to the newest version, as its owner, and grant its roles.

    Example: DATABASE_OWNER_URL=postgresql://... python -m workers migrate
    """
    from activities.ledger import roles
    from activities.ledger.migrate import upgrade
    from workers import logs
    from workers.failpoint_rules import arm_failpoints
    from workers.settings import load_settings

    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    arm_failpoints(settings)
    logins = ((settings.dsn(), roles.APP), (settings.reader_dsn(), roles.READER))
    upgrade(settings.owner_dsn(), logins)


@app.command()
def doctor() -> None:
    """Check every dependency and say what is wrong; exit code 1 if anything is.

    Example: python -m workers doctor
    """
    from workers.doctor import examine, show
    from workers.settings import load_settings

    findings = asyncio.run(examine(load_settings()))
    show(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def check(
    finished: Annotated[bool, typer.Option(help="Also ask for no order to be under way.")] = False,
) -> None:
    """Compare the ledger with the paper exchanges' own logs; exit code 1 if anything is wrong.

    Example: python -m workers check
    """
    from workers.checker import check_settled, show
    from workers.settings import load_settings

    report = asyncio.run(check_settled(load_settings(), all_finished=finished))
    show(report)
    if not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def clean() -> None:
    """Delete the local stack's data: orders, ledger, logs, secrets. Refused while it runs.

    Example: python -m workers clean
    """
    from workers.local_stack import delete_data
    from workers.settings import load_settings

    delete_data(load_settings())


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    if is_completing():
        return complete_word(app)
    if hold_secret(arguments):
        _say(REFUSAL)
        return BAD_USAGE
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
    """One line for an error, and its exit code; a log at level DEBUG says where it came from."""
    from workers.ports import PortTakenError
    from workers.settings import SettingsError

    logging.getLogger(__name__).debug("the command failed", exc_info=error)
    text = " ".join(str(error).split()) or type(error).__name__
    _say(text[:1000])
    return BAD_USAGE if isinstance(error, (SettingsError, PortTakenError)) else FAILED


def _say(line: str) -> None:
    print(f"error: {line}", file=sys.stderr)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = FAILED
    # A Temporal client can crash the interpreter while that shuts down, and spoil the exit code.
    os._exit(code)
