"""The commands of the kill switch: what can be typed, what is done, and how it is shown.

Exit codes: 0 all of it is confirmed, 1 something is unproven, left or does not answer, 2 wrong
usage. Nothing heavy is imported before a command runs, so that `--help` and the halt are quick.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starters.cli_options import AsJson

if TYPE_CHECKING:
    from starters.trading_state import StatePage, SweptEntry, SwitchAnswer

trading_state_app = typer.Typer(
    help="The kill switch: show, halt, reduce, resume. Without a scope it is global.",
    no_args_is_help=True,
)

Venue = Annotated[str | None, typer.Option("--venue", help="Only this exchange.")]
Symbol = Annotated[
    str | None, typer.Option("--symbol", help="Only this symbol, as binance:BTC/USDT.")
]
Strategy = Annotated[str | None, typer.Option("--strategy", help="Only this strategy.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")]
Within = Annotated[
    str, typer.Option("--within", help="Seconds to take orders off the exchanges and prove it.")
]


@trading_state_app.command()
def show(as_json: AsJson = False) -> None:
    """Show every kill switch that was ever set.

    Example: python -m starters trading-state show
    """
    import asyncio

    from starters.cli_actions import connected
    from starters.trading_state import read_states
    from workers.settings import load_settings

    async def run() -> "StatePage":
        async with connected(load_settings()) as connections:
            return await read_states(connections)

    _show_states(asyncio.run(run()), as_json=as_json)


@trading_state_app.command()
def halt(
    venue: Venue = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    reason: Reason = "",
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close the positions at the market; needs Temporal.")
    ] = False,
    keep_orders: Annotated[
        bool, typer.Option("--keep-orders", help="Leave what rests at the exchanges.")
    ] = False,
    within: Within = "60",
    as_json: AsJson = False,
) -> None:
    """Let nothing leave any more, take what is open off the exchanges, and tell what they confirm.

    Works without Temporal and without workers. Say it again to sweep again.

    Example: python -m starters trading-state halt --reason "wrong prices"

    Example: python -m starters trading-state halt --symbol binance:BTC/USDT --flatten
    """
    more = {"flatten": flatten, "cancel_orders": False if keep_orders else None}
    _change("halted", _scope(venue, symbol, strategy), reason, within, more, as_json=as_json)


@trading_state_app.command()
def reduce(
    venue: Venue = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let only those orders leave that bring a position closer to zero; what rests stays.

    Example: python -m starters trading-state reduce --venue okx --reason "slow answers"
    """
    _change("reducing", _scope(venue, symbol, strategy), reason, "60", {}, as_json=as_json)


@trading_state_app.command()
def resume(
    venue: Venue = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let it trade again. Orders that were suspended wait for `orders resume`.

    Example: python -m starters trading-state resume --reason "prices checked"
    """
    _change("active", _scope(venue, symbol, strategy), reason, "60", {}, as_json=as_json)


def _scope(venue: str | None, symbol: str | None, strategy: str | None) -> str:
    named = {"venue": venue, "symbol": symbol, "strategy": strategy}
    given = [f"{kind}:{name}" for kind, name in named.items() if name is not None]
    if len(given) > 1:
        raise typer.BadParameter("give one of --venue, --symbol and --strategy")
    return given[0] if given else "global"


def _change(
    state: str, scope: str, reason: str, within: str, more: dict[str, Any], *, as_json: bool
) -> None:
    """Ask for it and show what came of it."""
    import asyncio

    from starters.cli_actions import connected
    from starters.cli_input import DONE, FAILED, InvalidInputError, read_within, user
    from starters.trading_state import change, validate_switch
    from workers.settings import load_settings
    from workflows.domain.denials import Denied

    settings, within_s = load_settings(), read_within(within)
    fields = {"state": state, "scope": scope, "reason": reason, "requested_by": f"cli:{user()}"}
    asked = validate_switch(fields | more)
    if isinstance(asked, Denied):
        raise InvalidInputError(asked)

    async def run() -> "SwitchAnswer | Denied":
        async with connected(settings) as connections:
            return await change(connections, settings, asked, within_s=within_s)

    answer = asyncio.run(run())
    if isinstance(answer, Denied):
        raise InvalidInputError(answer)
    _show_answer(answer, as_json=as_json)
    raise typer.Exit(DONE if answer.confirmed else FAILED)


def _show_states(page: "StatePage", *, as_json: bool) -> None:
    from rich.text import Text

    from starters import cli_tables
    from starters.cli_console import put_json

    if as_json:
        put_json(page)
        return
    rows = [
        (
            each.scope,
            Text(each.state, style="green" if each.state == "active" else "bold red"),
            *(each.code, each.reason, each.updated_by),
            each.updated_at.isoformat()[:19] if each.updated_at else "",
        )
        for each in page.states
    ]
    cli_tables.put(("scope", "state", "code", "reason", "by", "since"), rows, none="active")


def _show_answer(answer: "SwitchAnswer", *, as_json: bool) -> None:
    from rich.text import Text

    from starters.cli_console import complain, out, put_json

    if as_json:
        put_json(answer)
        return
    told = f"{answer.scope} is {answer.state} since {answer.set_at.isoformat()[:23]}"
    out().print(Text(told))
    if answer.orders:
        _show_swept("ended, by the exchange", answer.orders)
    if answer.exits:
        _show_exits(answer)
    for each in answer.left:
        held = f"{each.quantity:f} of {each.symbol} at {each.exchange}/{each.account}"
        complain(f"left: {each.strategy_id} holds {held}")
    if answer.unproven:
        _show_swept("UNPROVEN: may still be executed", answer.unproven)
    for what in answer.unreachable:
        complain(f"not asked: {what}")
    for order_id in answer.unprotected:
        complain(f"UNPROTECTED: order {order_id} guards nothing now")
    if not answer.confirmed:
        complain("not all of it is confirmed; say it again to sweep again")


def _show_swept(title: str, orders: "list[SweptEntry]") -> None:
    from starters import cli_tables

    names = ("exchange", "account", "symbol", "order", "at exchange", "status", "executed")
    rows = [
        (
            *(each.exchange, each.account, each.symbol),
            *(each.order_id or each.client_order_id, each.exchange_order_id, each.status),
            *(each.executed_quantity, each.detail),
        )
        for each in orders
    ]
    cli_tables.put((*names, "detail"), rows, title=title)


def _show_exits(answer: "SwitchAnswer") -> None:
    from starters import cli_tables

    names = ("strategy", "exchange", "symbol", "side", "quantity", "order", "status", "filled")
    rows = [
        (
            *(each.strategy_id, each.exchange, each.symbol, each.side, each.quantity),
            *(each.order_id, each.status, each.filled_quantity, each.reason),
        )
        for each in answer.exits
    ]
    cli_tables.put((*names, "reason"), rows, title="closing orders")
