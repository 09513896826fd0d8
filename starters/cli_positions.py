"""The commands of the books: positions, their history, comparing them with a venue.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from starters.cli_options import (
    AsJson,
    GivenAccount,
    GivenExchange,
    GivenLimit,
    GivenReason,
    OnlyExchange,
    OnlyStrategy,
    OnlySymbol,
    RequestedBy,
)
from starters.cli_records import list_fills, show_balances, show_held

if TYPE_CHECKING:
    from workflows.sync_messages import SyncReport

positions_app = typer.Typer(
    help="Positions and PnL; compare them with an exchange.",
    no_args_is_help=True,
)

ByMethod = Annotated[
    str, typer.Option("--method", help="average or fifo: which lots a closing fill closes.")
]
_WORTH = ("quantity", "average_price", "mark", "realised_net", "unrealised", "total", "fees_quote")


@positions_app.command("list")
def list_positions(
    strategy_id: OnlyStrategy = None,
    exchange: OnlyExchange = None,
    symbol: OnlySymbol = None,
    group_by: Annotated[
        str | None, typer.Option(help="symbol: sum over strategies and exchanges.")
    ] = None,
    method: ByMethod = "average",
    as_json: AsJson = False,
) -> None:
    """Show positions with average price, realised and unrealised PnL.

    Example: python -m starters positions list --group-by symbol
    """
    from starters import books, cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_choice, read_filter

    names = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
    only = read_filter(OrderFilter, names)
    grouped = None if group_by is None else read_choice(books.GroupBy, group_by, "group_by")
    by = read_choice(books.Method, method, "method")
    page = ask(
        lambda connections: books.list_positions(
            connections,
            strategy_id=only.strategy_id,
            exchange=only.exchange,
            symbol=only.symbol,
            group_by=grouped,
            method=by,
        )
    )
    if as_json:
        cli_show.put_json(page)
        return
    whose = ("symbol", "exchanges") if grouped else ("strategy_id", "exchange", "symbol")
    cli_tables.rows(page.positions, (*whose, *_WORTH), none="no positions")


@positions_app.command()
def show(
    strategy_id: Annotated[str, typer.Argument(help="Whose.", metavar="STRATEGY_ID")],
    exchange: GivenExchange,
    symbol: Annotated[str, typer.Argument(help="As BTC/USDT.", metavar="SYMBOL")],
    account: GivenAccount = "main",
    method: ByMethod = "average",
    as_json: AsJson = False,
) -> None:
    """Show one position.

    Example: python -m starters positions show strategy_001 binance BTC/USDT --method fifo
    """
    from starters import books, cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import read_choice, read_identifier, read_symbol

    whose, where = read_identifier(strategy_id, "strategy_id"), read_identifier(exchange)
    place, what = read_identifier(account, "account"), read_symbol(symbol)
    by = read_choice(books.Method, method, "method")
    position = ask(
        lambda connections: books.one_position(
            connections, whose, where, what, account=place, method=by
        )
    )
    if as_json:
        cli_show.put_json(position)
        return
    cli_tables.facts(position.model_copy(update={"lots": None}))
    if position.lots:
        cli_tables.rows(position.lots, ("quantity", "price"), none="")


@positions_app.command()
def history(
    strategy_id: Annotated[str, typer.Argument(help="Whose.", metavar="STRATEGY_ID")],
    exchange: OnlyExchange = None,
    symbol: OnlySymbol = None,
    since: Annotated[
        str | None, typer.Option(help="As 2030-01-31T12:00:00Z; default a day before the end.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="As since; default now.")] = None,
    limit: GivenLimit = "50",
    as_json: AsJson = False,
) -> None:
    """Show positions as they were over time, oldest first.

    Example: python -m starters positions history strategy_001 --symbol BTC/USDT --json
    """
    from starters import books, cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_filter, read_identifier, read_span

    only = read_filter(OrderFilter, {"exchange": exchange, "symbol": symbol, "limit": limit})
    whose, (begin, end) = read_identifier(strategy_id, "strategy_id"), read_span(since, until)
    page = ask(
        lambda connections: books.history(
            connections,
            whose,
            since=begin,
            until=end,
            exchange=only.exchange,
            symbol=only.symbol,
            limit=only.limit,
        )
    )
    if as_json:
        cli_show.put_json(page)
        return
    columns = ("taken_at", "exchange", "symbol", "quantity", "mark", "realised_net", "unrealised")
    cli_tables.rows(page.snapshots, (*columns, "total"), none="no snapshots")


positions_app.command("fills", hidden=True)(list_fills)
positions_app.command("balances", hidden=True)(show_balances)
"""By their older names."""


@positions_app.command()
def transfer(
    exchange: GivenExchange,
    asset: Annotated[str, typer.Argument(help="As USDT.", metavar="ASSET")],
    amount: Annotated[str, typer.Option(help="In units of the asset; out: below 0. Required.")],
    reason: GivenReason,
    account: GivenAccount = "main",
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Book a deposit or a withdrawal that no trade explains. Said twice it is booked twice.

    Example: python -m starters positions transfer binance USDT --amount 5000 --reason "deposit"
    """
    from starters import books
    from starters.cli_decisions import ask, read
    from starters.cli_input import read_account
    from starters.decisions import TransferRequest
    from workers.settings import load_settings

    where, place = read_account(load_settings(), exchange, account)
    fields = {"asset": asset, "amount": amount, "reason": reason, "account": place}
    asked = read(TransferRequest, {**fields, "requested_by": requested_by})
    found = ask(lambda connections: books.transfer(connections, where, asked))
    show_held(found, as_json=as_json)


@positions_app.command()
def sync(exchange: GivenExchange, as_json: AsJson = False) -> None:
    """Compare every account of an exchange with the ledger now, and show what differed.

    Exit code 0 when nothing is left open, 1 when something is, or could not be compared.

    Example: python -m starters positions sync binance
    """
    from starters import cli_show
    from starters.cli_decisions import ask
    from starters.cli_input import DONE, FAILED, read_account, user
    from starters.sync import sync_positions
    from workers.settings import DEFAULT_ACCOUNT, load_settings

    where, _ = read_account(load_settings(), exchange, DEFAULT_ACCOUNT)
    report = ask(lambda each: sync_positions(each, where, requested_by=f"cli:{user()}"))
    if as_json:
        cli_show.put_json(report)
    else:
        _show_sync(report)
    raise typer.Exit(DONE if report.agrees else FAILED)


@positions_app.command()
def breaks(exchange: OnlyExchange = None, as_json: AsJson = False) -> None:
    """Show what our books and the exchanges differ in now; exit code 1 while something is open.

    Example: python -m starters positions breaks --exchange binance
    """
    from starters import cli_show, cli_tables
    from starters.breaks import list_breaks
    from starters.cli_decisions import ask
    from starters.cli_input import FAILED, OrderFilter, read_filter

    only = read_filter(OrderFilter, {"exchange": exchange})
    found = ask(lambda connections: list_breaks(connections, exchange=only.exchange))
    if as_json:
        cli_show.put_json(found)
    else:
        columns = ("exchange", "account", "kind", "object", "ours", "theirs", "value", "age_s")
        cli_tables.rows(found.breaks, (*columns, "detail"), none="no differences")
        if found.foreign_orders:
            names = ("exchange", "account", "symbol", "venue_order_id", "side", "quantity")
            more = ("price", "executed_quantity", "status", "last_seen_at")
            cli_tables.rows(found.foreign_orders, (*names, *more), none="")
        if found.more:
            cli_show.complain("there are more than are shown")
    if found.breaks:
        raise typer.Exit(FAILED)


def _show_sync(report: "SyncReport") -> None:
    from rich.text import Text

    from starters import cli_show, cli_tables

    columns = ("kind", "object", "action", "ours", "theirs", "value", "age_s", "detail")
    for each in report.accounts:
        if each.code is not None:
            cli_show.complain(f"{each.code}: {each.account}: {each.reason}")
            continue
        how = "" if each.settled else " (it traded meanwhile: balances were not compared)"
        told = f"{report.exchange}/{each.account}: {each.differences_total} differences{how}"
        cli_show.out().print(Text(told))
        if each.differences:
            cli_tables.rows(each.differences, columns, none="")
