"""The commands of alarms: what can be typed.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import Annotated

import typer

from starters import cli_completion as complete
from starters.cli_options import AsJson, GivenCursor, GivenLimit, RequestedBy

alarms_app = typer.Typer(help="What a human must know.", no_args_is_help=True)


@alarms_app.command("list")
def list_alarms(
    every: Annotated[bool, typer.Option("--all", help="Acknowledged ones too.")] = False,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show open alarms, newest first, with what to do about each.

    Example: python -m starters alarms list
    """
    from starters import cli_show, cli_tables
    from starters.alarms import list_alarms as read
    from starters.cli_decisions import ask
    from starters.cli_input import read_limit

    size = read_limit(limit)
    page = ask(lambda each: read(each, acknowledged=every, limit=size, cursor=cursor))
    if as_json:
        cli_show.put_json(page)
        return
    columns = ["id", "since", "code", "object", "detail", "action"]
    shown = [*columns, "acknowledged_by", "note"] if every else columns
    cli_tables.rows(page.alarms, shown, none="no alarms")
    cli_tables.more(page.next_cursor)


@alarms_app.command()
def ack(
    alarm_id: Annotated[
        str,
        typer.Argument(
            help="The alarm's number.", metavar="ALARM_ID", autocompletion=complete.alarm_ids
        ),
    ],
    note: Annotated[str | None, typer.Option(help="Kept with the alarm.")] = None,
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Take an alarm up: it is closed, and the audit trail says by whom.

    Example: python -m starters alarms ack 17 --note "looking at the venue"
    """
    from starters import cli_show, cli_tables
    from starters.alarms import acknowledge
    from starters.cli_decisions import ask, read
    from starters.cli_input import read_number
    from starters.decisions import AlarmAcknowledgement

    number = read_number(alarm_id, "alarm_id")
    asked = read(AlarmAcknowledgement, {"note": note, "requested_by": requested_by})
    alarm = ask(lambda connections: acknowledge(connections, number, asked))
    cli_show.put_json(alarm) if as_json else cli_tables.facts(alarm)
