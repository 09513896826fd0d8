"""The commands of risk: limits, overrides that take two people, strategies that were stopped.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from starters.cli_options import (
    AsJson,
    GivenAccount,
    GivenReason,
    OnlyExchange,
    OnlyStrategy,
    OnlySymbol,
    RequestedBy,
)

if TYPE_CHECKING:
    from starters.risk import LimitPage, OverrideEntry

risk_app = typer.Typer(
    help="Risk limits, overrides, and strategies that were stopped.", no_args_is_help=True
)
override_app = typer.Typer(
    help="Let one control pass for a while; it takes two people.", no_args_is_help=True
)
risk_app.add_typer(override_app, name="override")

GivenScope = Annotated[
    str,
    typer.Argument(
        help="global, account:VENUE:ACCOUNT, symbol:VENUE:SYMBOL or strategy:ID.", metavar="SCOPE"
    ),
]
GivenName = Annotated[str, typer.Argument(help="As in `risk limits`.", metavar="NAME")]
GivenOverride = Annotated[str, typer.Argument(help="The override's number.", metavar="OVERRIDE_ID")]


@risk_app.command()
def limits(
    strategy_id: OnlyStrategy = None,
    exchange: OnlyExchange = None,
    account: GivenAccount = "main",
    symbol: OnlySymbol = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits that are set, and what binds an order of this strategy and symbol.

    Example: python -m starters risk limits --strategy-id s1 --exchange binance --symbol BTC/USDT
    """
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_filter, read_identifier
    from starters.risk import read_limits
    from workers.settings import load_settings

    names = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
    only, place = read_filter(OrderFilter, names), read_identifier(account, "account")
    page = ask(
        lambda connections: read_limits(
            connections,
            load_settings(),
            strategy_id=only.strategy_id,
            exchange=only.exchange,
            account=place,
            symbol=only.symbol,
        )
    )
    _show_limits(page, as_json=as_json)


@risk_app.command("set")
def set_limit(
    scope: GivenScope,
    name: GivenName,
    value: Annotated[str, typer.Argument(help="In the limit's unit.", metavar="VALUE")],
    reason: GivenReason,
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Set one limit of a scope; it binds from then on.

    Example: python -m starters risk set strategy:s1 max_order_value 20000 --reason "first week"
    """
    _set(scope, name, value, reason, requested_by, as_json=as_json)


@risk_app.command()
def unset(
    scope: GivenScope,
    name: GivenName,
    reason: GivenReason,
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Take one limit of a scope away; wider ones or the default bind then.

    Example: python -m starters risk unset strategy:s1 max_order_value --reason "week is over"
    """
    _set(scope, name, None, reason, requested_by, as_json=as_json)


@risk_app.command()
def overrides(as_json: AsJson = False) -> None:
    """Show overrides, newest first.

    Example: python -m starters risk overrides
    """
    from starters import cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.risk import read_overrides
    from workers.settings import load_settings

    page = ask(lambda connections: read_overrides(connections, load_settings()))
    if as_json:
        cli_show.put_json(page)
        return
    columns = ("id", "status", "scope", "code", "reason", "requested_by", "approved_by")
    cli_tables.rows(page.overrides, (*columns, "expires_at"), none="no overrides")


@risk_app.command()
def strategies(as_json: AsJson = False) -> None:
    """Show what is counted of every strategy, and which of them are stopped.

    Example: python -m starters risk strategies
    """
    from starters import cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.risk import read_strategies
    from workers.settings import load_settings

    page = ask(lambda connections: read_strategies(connections, load_settings()))
    if as_json:
        cli_show.put_json(page)
        return
    columns = ("strategy_id", "parents_today", "rejects_in_row", "disabled")
    cli_tables.rows(page.strategies, columns, none="no strategies")


@risk_app.command()
def rearm(
    strategy_id: Annotated[str, typer.Argument(help="Which.", metavar="STRATEGY_ID")],
    reason: GivenReason,
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Let a strategy trade again that was stopped by its counters.

    Example: python -m starters risk rearm strategy_001 --reason "the bug is mended"
    """
    from starters import cli_show, cli_tables
    from starters.cli_decisions import ask, read
    from starters.decisions import RearmRequest
    from starters.risk import rearm as let_trade
    from workers.settings import load_settings

    fields = {"strategy_id": strategy_id, "reason": reason, "requested_by": requested_by}
    asked = read(RearmRequest, fields)
    entry = ask(lambda connections: let_trade(connections, load_settings(), asked))
    cli_show.put_json(entry) if as_json else cli_tables.facts(entry)


@override_app.command()
def request(
    scope: GivenScope,
    code: Annotated[str, typer.Argument(help="The denial to let pass.", metavar="CODE")],
    reason: GivenReason,
    minutes: Annotated[str, typer.Option(help="How long, from now on; 1 to 15.")] = "15",
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Ask that one control may pass in a scope; another person must approve.

    Example: python -m starters risk override request strategy:s1 RISK_PRICE_COLLAR --reason "gap"
    """
    from starters.cli_decisions import ask, read
    from starters.decisions import OverrideRequest
    from starters.risk import request_override
    from workers.settings import load_settings

    fields = {"scope": scope, "code": code, "reason": reason, "minutes": minutes}
    asked = read(OverrideRequest, {**fields, "requested_by": requested_by})
    entry = ask(lambda connections: request_override(connections, load_settings(), asked))
    _show_override(entry, as_json=as_json)


@override_app.command()
def approve(
    override_id: GivenOverride, requested_by: RequestedBy = None, as_json: AsJson = False
) -> None:
    """Put an override in force; not by the person who asked for it.

    Example: python -m starters risk override approve 3
    """
    _decide("approve", override_id, requested_by, as_json=as_json)


@override_app.command()
def revoke(
    override_id: GivenOverride, requested_by: RequestedBy = None, as_json: AsJson = False
) -> None:
    """End an override at once.

    Example: python -m starters risk override revoke 3
    """
    _decide("revoke", override_id, requested_by, as_json=as_json)


def _set(
    scope: str,
    name: str,
    value: str | None,
    reason: str,
    requested_by: str | None,
    *,
    as_json: bool,
) -> None:
    from starters.cli_decisions import ask, read
    from starters.decisions import LimitRequest
    from starters.risk import set_limit as decide
    from workers.settings import load_settings

    fields = {"scope": scope, "name": name, "value": value, "reason": reason}
    asked = read(LimitRequest, {**fields, "requested_by": requested_by})
    page = ask(lambda connections: decide(connections, load_settings(), asked))
    _show_limits(page, as_json=as_json)


def _decide(what: str, override_id: str, requested_by: str | None, *, as_json: bool) -> None:
    from starters.cli_decisions import ask, read
    from starters.cli_input import read_number
    from starters.decisions import OverrideDecision
    from starters.risk import approve_override, revoke_override
    from workers.settings import load_settings

    decide = approve_override if what == "approve" else revoke_override
    number = read_number(override_id, "override_id")
    asked = read(OverrideDecision, {"requested_by": requested_by})
    entry = ask(lambda connections: decide(connections, load_settings(), number, asked))
    _show_override(entry, as_json=as_json)


def _show_limits(page: "LimitPage", *, as_json: bool) -> None:
    from starters import cli_show, cli_tables

    if as_json:
        cli_show.put_json(page)
        return
    set_ones = ("scope", "name", "value", "unit", "updated_at")
    cli_tables.rows(page.limits, set_ones, none="no limit is set; the defaults bind")
    cli_tables.rows(page.effective, ("name", "value", "unit", "source", "meaning"), none="")


def _show_override(entry: "OverrideEntry", *, as_json: bool) -> None:
    from starters import cli_show, cli_tables

    cli_show.put_json(entry) if as_json else cli_tables.facts(entry)
