"""The commands of API keys: what can be typed. A key is printed once, and never taken as typed.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import Annotated

import typer

from starters.cli_options import AsJson

keys_app = typer.Typer(help="Who may use the HTTP API and the dashboard.", no_args_is_help=True)

By = Annotated[str | None, typer.Option("--by", help="Who does it; default is you.")]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose; stands in the audit trail.", metavar="NAME")],
    scope: Annotated[
        list[str], typer.Option(help="read, trade, admin, kill; with commas, or again and again.")
    ],
    account: Annotated[
        list[str] | None, typer.Option(help="Good for this account only; default all.")
    ] = None,
    expires_days: Annotated[str, typer.Option(help="Good for so many days, 90 at most.")] = "90",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, once: keep it, it cannot be shown again.

    Example: python -m starters keys create desk-1 --scope read,trade

    Example: (umask 077; python -m starters keys create grafana --scope read > grafana.key)
    """
    from starters import cli_console
    from starters.cli_decisions import ask
    from starters.cli_input import InvalidInputError, read_number
    from starters.keys import create_key, validate_key_request
    from workflows.domain.denials import Denied

    _refuse_keys(name, *scope, *(account or ()))
    asked = validate_key_request(
        {
            "name": name,
            "scopes": _split(scope),
            "accounts": _split(account) if account else None,
            "expires_days": read_number(expires_days, "expires_days"),
        }
    )
    if isinstance(asked, Denied):
        raise InvalidInputError(asked)
    made = ask(lambda connections: create_key(connections, asked, by=_who(by)))
    if as_json:
        cli_console.put_json(made)
        return
    cli_console.put_line(made.key)
    end = f"{made.expires_at:%Y-%m-%d}"
    cli_console.complain(f"key {made.id} for {name}, good until {end}; it is not shown again")


@keys_app.command("list")
def list_keys(
    every: Annotated[bool, typer.Option("--all", help="Revoked and expired ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the keys that are good, newest first; never their secrets.

    Example: python -m starters keys list --all
    """
    from starters import cli_console, cli_tables
    from starters.cli_decisions import ask
    from starters.keys import list_keys as read

    page = ask(lambda connections: read(connections, ended=every))
    if as_json:
        cli_console.put_json(page)
        return
    columns = ["id", "name", "scopes", "accounts", "created_by", "expires_at"]
    shown = [*columns, "is_good", "revoked_at", "revoked_by"] if every else columns
    cli_tables.rows(page.keys, shown, none="no keys")


@keys_app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id or name.", metavar="ID_OR_NAME")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End a key: within a second nothing takes it, and who is signed in with it is out.

    Example: python -m starters keys revoke desk-1
    """
    from starters import cli_console, cli_tables
    from starters.cli_decisions import ask
    from starters.keys import revoke_key

    _refuse_keys(key)
    who = _who(by)
    ended = ask(lambda connections: revoke_key(connections, key, by=who))
    cli_console.put_json(ended) if as_json else cli_tables.facts(ended)


def _split(given: list[str]) -> list[str]:
    """`read,trade` and `--scope read --scope trade` mean the same."""
    return [name for text in given for name in text.split(",")]


def _who(by: str | None) -> str:
    from starters.cli_input import user

    return by or f"cli:{user()}"


def _refuse_keys(*typed: str) -> None:
    """A whole key on the command line has been seen by `ps`; it is not shown again here."""
    from activities.ledger.key_text import holds_key

    if any(holds_key(text) for text in typed):
        raise typer.BadParameter("that is a secret: name a key by its id or its name")
