"""The commands of those who run orders: statistics, failed orders, verdicts on unknown children.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import Annotated

import typer

from starters.cli_options import (
    AsJson,
    GivenCursor,
    GivenId,
    GivenLimit,
    GivenReason,
    OnlyExchange,
    OnlyStrategy,
    OnlySymbol,
    RequestedBy,
)

operations_app = typer.Typer()
"""Becomes part of `orders`."""


@operations_app.command()
def statistics(
    strategy_id: OnlyStrategy = None,
    exchange: OnlyExchange = None,
    symbol: OnlySymbol = None,
    as_json: AsJson = False,
) -> None:
    """Show how orders went: counts, fill ratio, volumes, fees, slippage, times.

    Example: python -m starters orders statistics --strategy-id strategy_001
    """
    from starters import cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_filter
    from starters.statistics import order_statistics

    names = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
    only = read_filter(OrderFilter, names)
    found = ask(
        lambda connections: order_statistics(
            connections,
            strategy_id=only.strategy_id,
            exchange=only.exchange,
            symbol=only.symbol,
        )
    )
    cli_show.put_json(found) if as_json else cli_tables.facts(found)


@operations_app.command()
def failed(
    strategy_id: OnlyStrategy = None,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show failed orders, newest first: why, what may still be live, and what to do.

    An order is off this human's desk when its alarm is acknowledged: `alarms ack ALARM_ID`.

    Example: python -m starters orders failed
    """
    from starters import cli_show, cli_tables
    from starters.cli_decisions import ask
    from starters.cli_input import OrderFilter, read_filter
    from starters.failed_orders import failed_orders

    only = read_filter(OrderFilter, {"strategy_id": strategy_id, "limit": limit, "cursor": cursor})
    page = ask(
        lambda connections: failed_orders(
            connections, strategy_id=only.strategy_id, limit=only.limit, cursor=only.cursor
        )
    )
    if as_json:
        cli_show.put_json(page)
        return
    columns = ("order_id", "strategy_id", "filled_quantity", "quantity", "reason", "may_be_live")
    cli_tables.rows(page.orders, (*columns, "action", "alarm_id"), none="no failed orders")
    cli_tables.more(page.next_cursor)


@operations_app.command()
def resolve(
    order_id: GivenId,
    child: Annotated[str, typer.Argument(help="The child's number.", metavar="CHILD")],
    reason: GivenReason,
    absent: Annotated[
        bool, typer.Option("--absent", help="The exchange never had it: it may be sent again.")
    ] = False,
    adopt: Annotated[
        str | None,
        typer.Option("--adopt", help="It is the exchange's order of this id.", metavar="ID"),
    ] = None,
    requested_by: RequestedBy = None,
    as_json: AsJson = False,
) -> None:
    """Decide a child order whose outcome is unknown; it follows within half a minute.

    Example: python -m starters orders resolve my-order-1 0 --absent --reason "support ticket 4711"

    Example: python -m starters orders resolve my-order-1 0 --adopt 28457 --reason "seen there"
    """
    from starters import cli_show
    from starters.cli_decisions import ask, read
    from starters.cli_input import read_id, read_number
    from starters.decisions import ChildVerdict
    from starters.lookup import resolve_child
    from workers.settings import load_settings

    if absent == (adopt is not None):
        raise typer.BadParameter("give one of --absent and --adopt")
    given, index = read_id(order_id), read_number(child, "child")
    fields = {"verdict": "absent" if absent else "adopt", "exchange_order_id": adopt}
    verdict = read(ChildVerdict, {**fields, "reason": reason, "requested_by": requested_by})
    order = ask(lambda connections: resolve_child(connections, given, verdict.of_child(index)))
    cli_show.order(order, load_settings(), as_json=as_json)
