"""The order commands: what can be typed. What they do stands in `starters.cli_actions`.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import Annotated

import typer

from starters import cli_options as options

order_app = typer.Typer(help="Start an order.", no_args_is_help=True)
orders_app = typer.Typer(help="List, show and cancel orders.", no_args_is_help=True)


@order_app.command()
def market(
    symbol: options.Symbol = None,
    side: options.Side = None,
    quantity: options.Quantity = None,
    exchange: options.Exchange = None,
    strategy_id: options.StrategyId = "cli",
    account: options.Account = None,
    slippage_tolerance: options.Tolerance = None,
    time_in_force: options.TimeInForce = None,
    priority: options.Priority = None,
    timeout_s: options.Timeout = None,
    order_id: options.OrderId = None,
    watch: options.Watch = False,
    as_json: options.AsJson = False,
) -> None:
    """Trade now.

    Example: python -m starters order market --symbol BTC/USDT --side buy --quantity 0.1 --watch
    """
    fields = {key: value for key, value in locals().items() if key not in ("watch", "as_json")}
    _place("market", fields, watch=watch, as_json=as_json)


@order_app.command()
def limit(
    symbol: options.Symbol = None,
    side: options.Side = None,
    quantity: options.Quantity = None,
    price: options.Price = None,
    exchange: options.Exchange = None,
    strategy_id: options.StrategyId = "cli",
    account: options.Account = None,
    time_in_force: options.TimeInForce = None,
    post_only: options.PostOnly = False,
    priority: options.Priority = None,
    timeout_s: options.Timeout = None,
    order_id: options.OrderId = None,
    watch: options.Watch = False,
    as_json: options.AsJson = False,
) -> None:
    """Trade at a price or better.

    Example: python -m starters order limit --symbol BTC/USDT --side buy --quantity 0.1
    --price 49500 --post-only
    """
    fields = {key: value for key, value in locals().items() if key not in ("watch", "as_json")}
    _place("limit", fields, watch=watch, as_json=as_json)


@order_app.command()
def twap(
    symbol: options.Symbol = None,
    side: options.Side = None,
    quantity: options.Quantity = None,
    twap_slices: options.Slices = None,
    twap_interval: options.Interval = None,
    price: options.Price = None,
    exchange: options.Exchange = None,
    strategy_id: options.StrategyId = "cli",
    account: options.Account = None,
    slippage_tolerance: options.Tolerance = None,
    size_jitter: options.SizeJitter = None,
    time_jitter: options.TimeJitter = None,
    catch_up: options.CatchUp = None,
    catch_up_cap: options.CatchUpCap = None,
    end_sweep: options.EndSweep = None,
    priority: options.Priority = None,
    order_id: options.OrderId = None,
    watch: options.Watch = False,
    as_json: options.AsJson = False,
) -> None:
    """Trade in even slices over time.

    Example: python -m starters order twap --symbol BTC/USDT --side buy --quantity 1
    --twap-slices 10 --twap-interval 6 --watch
    """
    fields = {key: value for key, value in locals().items() if key not in ("watch", "as_json")}
    _place("twap", fields, watch=watch, as_json=as_json)


def _place(
    order_type: str, fields: dict[str, str | bool | None], *, watch: bool, as_json: bool
) -> None:
    from starters.cli_actions import place
    from starters.cli_input import read_request
    from workers.settings import load_settings

    settings = load_settings()
    request = read_request(order_type, fields, default_exchange=settings.exchanges[0])
    raise typer.Exit(place(settings, request, watch=watch, as_json=as_json))


@orders_app.command("list")
def list_orders(
    strategy_id: Annotated[str | None, typer.Option(help="Only this strategy's.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only at this exchange.")] = None,
    limit: Annotated[str, typer.Option(help="Orders on the page, 1 to 500.")] = "50",
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show orders, newest first.

    Example: python -m starters orders list --status working
    """
    from starters.cli_actions import list_page
    from starters.cli_input import OrderFilter, read_filter
    from workers.settings import load_settings

    wanted = read_filter(
        OrderFilter,
        {
            "strategy_id": strategy_id,
            "symbol": symbol,
            "status": status,
            "exchange": exchange,
            "limit": limit,
            "cursor": cursor,
        },
    )
    raise typer.Exit(list_page(load_settings(), wanted, as_json=as_json))


@orders_app.command()
def show(order_id: options.GivenId, as_json: options.AsJson = False) -> None:
    """Show one order with its newest children.

    Example: python -m starters orders show my-order-1
    """
    from starters.cli_actions import show_order
    from starters.cli_input import read_id
    from workers.settings import load_settings

    raise typer.Exit(show_order(load_settings(), read_id(order_id), as_json=as_json))


@orders_app.command()
def progress(
    order_id: options.GivenId, watch: options.Watch = False, as_json: options.AsJson = False
) -> None:
    """Show how far an order is; with --watch follow it to its end.

    Example: python -m starters orders progress my-order-1 --watch
    """
    from starters.cli_actions import show_progress
    from starters.cli_input import read_id
    from workers.settings import load_settings

    given = read_id(order_id)
    raise typer.Exit(show_progress(load_settings(), given, watch=watch, as_json=as_json))


@orders_app.command()
def cancel(
    order_id: options.GivenId,
    reason: Annotated[str, typer.Option(help="Why; kept with the order.")] = "user_request",
    as_json: options.AsJson = False,
) -> None:
    """Cancel an order; waits about 5 s at most for its final state.

    Example: python -m starters orders cancel my-order-1 --reason "changed my mind"
    """
    from starters.cli_actions import cancel_order
    from starters.cli_input import read_id, read_reason
    from workers.settings import load_settings

    given, why = read_id(order_id), read_reason(reason)
    raise typer.Exit(cancel_order(load_settings(), given, why, as_json=as_json))
