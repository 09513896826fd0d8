"""The commands of what is written down: fills, balances, symbols, the audit trail.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from starters.cli_options import (
    AsJson,
    GivenAccount,
    GivenCursor,
    GivenExchange,
    GivenLimit,
    OnlyExchange,
    OnlyStrategy,
    OnlySymbol,
)

if TYPE_CHECKING:
    from starters.books import Balances

fills_app = typer.Typer(help="Booked trades.", no_args_is_help=True)
balances_app = typer.Typer(help="What an account holds.", no_args_is_help=True)
symbols_app = typer.Typer(help="What an exchange trades, and its rules.", no_args_is_help=True)
audit_app = typer.Typer(help="Who decided what, when and why.", no_args_is_help=True)


@fills_app.command("list")
def list_fills(
    strategy_id: OnlyStrategy = None,
    exchange: OnlyExchange = None,
    symbol: OnlySymbol = None,
    order_id: Annotated[str | None, typer.Option(help="Only of this order.")] = None,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show booked trades, newest first.

    Example: python -m starters fills list --strategy-id strategy_001 --csv
    """
    import sys

    from starters import books, cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_filter, read_id

    names = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
    only = read_filter(OrderFilter, {**names, "limit": limit, "cursor": cursor})
    of_order = None if order_id is None else read_id(order_id)
    page = ask(
        lambda connections: books.list_fills(
            connections,
            strategy_id=only.strategy_id,
            exchange=only.exchange,
            symbol=only.symbol,
            order_id=of_order,
            limit=only.limit,
            cursor=only.cursor,
        )
    )
    if as_json:
        cli_show.put_json(page)
        return
    if as_csv:
        sys.stdout.write(books.as_csv(books.Fill, page.fills))
        return
    columns = ("traded_at", "exchange", "symbol", "side", "quantity", "price", "fee", "fee_asset")
    cli_tables.rows(page.fills, (*columns, "strategy_id", "order_id"), none="no fills")
    cli_tables.more(page.next_cursor)


@balances_app.command("show")
def show_balances(
    exchange: GivenExchange, account: GivenAccount = "main", as_json: AsJson = False
) -> None:
    """Show what an account holds by our books and by the exchange.

    Example: python -m starters balances show binance
    """
    from starters import books
    from starters.cli_decisions import ask
    from starters.cli_input import read_account
    from workers.settings import load_settings

    where, place = read_account(load_settings(), exchange, account)
    found = ask(lambda connections: books.balances(connections, where, place))
    show_held(found, as_json=as_json)


def show_held(found: "Balances", *, as_json: bool) -> None:
    """The balances of one account."""
    from starters import cli_show, cli_tables

    if as_json:
        cli_show.put_json(found)
        return
    columns = ("asset", "ours", "venue_total", "venue_free", "difference", "read_at")
    cli_tables.rows(found.balances, columns, none="nothing is held")


@symbols_app.command("list")
def list_symbols(
    exchange: GivenExchange,
    symbol: OnlySymbol = None,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show what an exchange trades: tick, lot, minimums, and whether it trades now.

    Example: python -m starters symbols list binance --symbol BTC/USDT
    """
    from starters import cli_show, cli_tables, symbols
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_account, read_filter, read_symbol
    from workers.settings import DEFAULT_ACCOUNT, load_settings

    settings = load_settings()
    where, _ = read_account(settings, exchange, DEFAULT_ACCOUNT)
    one = None if symbol is None else read_symbol(symbol)
    only = read_filter(OrderFilter, {"limit": limit, "cursor": cursor})
    page = ask(
        lambda connections: symbols.list_symbols(
            connections, settings, where, symbol=one, limit=only.limit, cursor=only.cursor
        )
    )
    if as_json:
        cli_show.put_json(page)
        return
    columns = ("symbol", "status", "tick", "lot", "min_quantity", "min_notional", "configured")
    cli_tables.rows(page.symbols, columns, none="no symbols")
    cli_tables.more(page.next_cursor)


@audit_app.command("list")
def list_audit(
    who: Annotated[str | None, typer.Option(help="Only by this one, as cli:me.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, as set_limit.")] = None,
    object: Annotated[str | None, typer.Option(help="Only about this, as strategy:s1.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the chain of the whole trail; 1 if broken.")
    ] = False,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show who decided what, newest first.

    Example: python -m starters audit list --verify
    """
    from starters import audit_trail, cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import FAILED, OrderFilter, read_filter

    only = read_filter(OrderFilter, {"limit": limit, "cursor": cursor})
    page = ask(
        lambda connections: audit_trail.list_audit(
            connections,
            who=who,
            action=action,
            object=object,
            verify=verify,
            limit=only.limit,
            cursor=only.cursor,
        )
    )
    if as_json:
        cli_show.put_json(page)
    else:
        columns = ("id", "at", "who", "action", "object", "details", "reason")
        named = ("id", "at", "who", "action", "object")
        entries = [
            [
                *(cli_tables.cell(getattr(each, name)) for name in named),
                cli_tables.changes(each.before, each.after),
                each.reason,
            ]
            for each in page.entries
        ]
        cli_tables.put(columns, entries, none="no decisions")
        cli_tables.more(page.next_cursor)
    if page.broken_at is not None:
        cli_show.complain(f"the chain is broken at entry {page.broken_at}")
        raise typer.Exit(FAILED)
