"""The order commands: what can be typed. What they do stands in `starters.cli_actions`.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import Annotated

import typer

from starters import cli_completion as complete
from starters import cli_options as options
from workflows.domain.orders import OrderType

order_app = typer.Typer(help="Start an order.", no_args_is_help=True)
orders_app = typer.Typer(help="List, show and steer orders.", no_args_is_help=True)
preview_app = typer.Typer(
    help="What an order would do and cost, and whether it would be accepted; nothing is sent.",
    no_args_is_help=True,
)
orders_app.add_typer(preview_app, name="preview")

_SELL = "--symbol BTC/USDT --side sell --quantity 0.1"
_TYPES: dict[OrderType, tuple[str, str]] = {
    OrderType.MARKET: ("Trade now.", "--symbol BTC/USDT --side buy --quantity 0.1"),
    OrderType.LIMIT: (
        "Trade at a price or better.",
        "--symbol BTC/USDT --side buy --quantity 0.1 --price 49500 --post-only",
    ),
    OrderType.TWAP: (
        "Trade in even slices over time.",
        "--symbol BTC/USDT --side buy --quantity 1 --twap-slices 10 --twap-interval 6",
    ),
    OrderType.ICEBERG: (
        "Rest at a price and show only a part of it at a time.",
        "--symbol BTC/USDT --side buy --quantity 5 --price 50000 --iceberg-visible-ratio 0.1",
    ),
    OrderType.STOP_LOSS: (
        "Leave a position when the price falls to the stop (for a buy: rises).",
        f"{_SELL} --stop-price 49000 --reduce-only",
    ),
    OrderType.TAKE_PROFIT: (
        "Leave a position when the price has reached the profit.",
        f"{_SELL} --take-profit-price 51500 --reduce-only",
    ),
    OrderType.TRAILING_STOP: (
        "Leave a position when the price falls back from its best.",
        f"{_SELL} --trailing-delta-bps 150 --reduce-only",
    ),
    OrderType.OCO: (
        "A take-profit limit and a stop of which one cancels the other.",
        f"{_SELL} --oco-limit-price 51500 --stop-price 49000",
    ),
}
"""What each type is for, and an example of its options."""


def _add_commands(kind: OrderType) -> None:
    """`order KIND` and `orders preview KIND`, with the options of that type."""
    name, (what, example) = kind.value.replace("_", "-"), _TYPES[kind]

    def start(fields: options.Fields, watch: bool, as_json: bool) -> None:
        _place(kind, fields, watch=watch, as_json=as_json)

    def look(fields: options.Fields, as_json: bool) -> None:
        _preview(kind, fields, as_json=as_json)

    def text(command: str, more: str = "") -> str:
        return f"{what}\n\nExample: python -m starters {command} {name} {example}{more}"

    order_app.command(name, help=text("order", " --watch"))(options.with_fields_of(kind, start))
    preview_app.command(name, help=text("orders preview"))(options.with_fields_only(kind, look))


for _kind in OrderType:
    _add_commands(_kind)


def _place(kind: OrderType, fields: options.Fields, *, watch: bool, as_json: bool) -> None:
    from starters.cli_actions import place
    from starters.cli_input import read_request
    from workers.settings import load_settings

    settings = load_settings()
    request = read_request(kind, fields, default_exchange=settings.exchanges[0])
    raise typer.Exit(place(settings, request, watch=watch, as_json=as_json))


def _preview(kind: OrderType, fields: options.Fields, *, as_json: bool) -> None:
    from starters.cli_input import read_unnamed_request
    from starters.cli_steering import preview
    from workers.settings import load_settings

    settings = load_settings()
    request = read_unnamed_request(kind, fields, default_exchange=settings.exchanges[0])
    raise typer.Exit(preview(settings, request, as_json=as_json))


@orders_app.command("list")
def list_orders(
    strategy_id: options.OnlyStrategy = None,
    symbol: options.OnlySymbol = None,
    status: Annotated[
        str | None,
        typer.Option(help="Only in this state.", autocompletion=complete.order_states),
    ] = None,
    exchange: options.OnlyExchange = None,
    limit: options.GivenLimit = "50",
    cursor: options.GivenCursor = None,
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
    order_id: options.RunningId,
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


_Who = Annotated[str | None, typer.Option("--requested-by", help="Who asks; default is you.")]
_Why = Annotated[str | None, typer.Option(help="Why; kept with the order.")]


@orders_app.command()
def pause(
    order_id: options.RunningId,
    reason: _Why = None,
    requested_by: _Who = None,
    as_json: options.AsJson = False,
) -> None:
    """Stop sending and take back what rests, until the order is resumed.

    Example: python -m starters orders pause my-order-1 --reason "news at 14:00"
    """
    _steer("pause", order_id, {"reason": reason, "requested_by": requested_by}, as_json=as_json)


@orders_app.command()
def resume(
    order_id: options.RunningId,
    reason: _Why = None,
    requested_by: _Who = None,
    as_json: options.AsJson = False,
) -> None:
    """Let a paused order go on.

    Example: python -m starters orders resume my-order-1
    """
    _steer("resume", order_id, {"reason": reason, "requested_by": requested_by}, as_json=as_json)


@orders_app.command()
def amend(
    order_id: options.RunningId,
    price: Annotated[str | None, typer.Option(help="New limit price, quote units.")] = None,
    quantity: Annotated[
        str | None, typer.Option(help="New total, base units; what is filled counts in it.")
    ] = None,
    end_at: Annotated[str | None, typer.Option(help="New end, as 2030-01-31T12:00:00Z.")] = None,
    max_participation: Annotated[
        str | None, typer.Option(help="New share of the market's volume, for a twap.")
    ] = None,
    reason: _Why = None,
    requested_by: _Who = None,
    as_json: options.AsJson = False,
) -> None:
    """Change a running order; at least one of the first four.

    Example: python -m starters orders amend my-order-1 --price 49900 --quantity 2
    """
    fields = {
        name: value for name, value in locals().items() if name not in ("order_id", "as_json")
    }
    _steer("amend", order_id, fields, as_json=as_json)


def _steer(action: str, order_id: str, fields: options.Fields, *, as_json: bool) -> None:
    from starters.cli_input import read_id, read_steering
    from starters.cli_steering import steer
    from workers.settings import load_settings
    from workflows.steering_messages import ActionKind

    kind = ActionKind(action)
    given, request = read_id(order_id), read_steering(kind, fields)
    raise typer.Exit(steer(load_settings(), kind, given, request, as_json=as_json))
