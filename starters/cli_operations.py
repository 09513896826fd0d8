"""The commands of those who run orders: figures, failed orders, cancelling many, verdicts.

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


@operations_app.command("cancel-all")
def cancel_all(
    strategy_id: OnlyStrategy = None,
    exchange: OnlyExchange = None,
    symbol: OnlySymbol = None,
    everything: Annotated[bool, typer.Option("--all", help="All, whosesoever.")] = False,
    executions: Annotated[
        bool, typer.Option("--executions", help="Arbitrages and rebalancings too.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with each order.")] = "user_request",
    as_json: AsJson = False,
) -> None:
    """Cancel many orders: say which, or --all; waits about 5 s at most for their ends.

    Exit code 0 when all that was asked for is over, 1 when some still cancel or were not asked.

    Example: python -m starters orders cancel-all --strategy-id strategy_001 --symbol BTC/USDT

    Example: python -m starters orders cancel-all --all --reason "end of day"
    """
    from starters import cancel_all as cancelling
    from starters import cli_orders_show as show
    from starters.cli_decisions import ask
    from starters.cli_input import DONE, FAILED, OrderFilter, read_filter, read_reason

    names = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
    if everything == any(names.values()):
        raise typer.BadParameter("give --all, or some of --strategy-id, --exchange and --symbol")
    only, why = read_filter(OrderFilter, names), read_reason(reason)
    wanted = cancelling.Filter(
        strategy_id=only.strategy_id,
        exchange=only.exchange,
        symbol=only.symbol,
        everything=everything,
        executions=executions,
    )
    report = ask(lambda connections: cancelling.cancel_all(connections, wanted, why))
    show.cancelled(report, as_json=as_json)
    raise typer.Exit(DONE if report.is_done else FAILED)


@operations_app.command()
def queue(as_json: AsJson = False) -> None:
    """Show the task queues: what waits, since when, who serves it.

    Example: python -m starters orders queue
    """
    from starters import cli_orders_show as show
    from starters.cli_decisions import ask
    from starters.queues import queue_status
    from workers.settings import load_settings

    found = ask(lambda connections: queue_status(connections, load_settings()))
    show.queues(found, as_json=as_json)


@operations_app.command()
def analyse(order_id: GivenId, as_json: AsJson = False) -> None:
    """Show what an order cost: shortfall, slippage against benchmarks, fees, times.

    A positive figure is a cost. What cannot be measured is left out, and why is said.

    Example: python -m starters orders analyse my-order-1
    """
    from starters import cli_orders_show as show
    from starters.analytics import order_analytics
    from starters.cli_decisions import ask
    from starters.cli_input import read_id

    given = read_id(order_id)
    show.analysis(ask(lambda connections: order_analytics(connections, given)), as_json=as_json)


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
