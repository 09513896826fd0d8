"""The options of the order commands: one for each field of an order, named as the field.

Numbers are taken as text, so that the engine's own rules judge them and name the field. Which
fields a type of order has is the engine's rule too: its table is read here, not repeated.

It must not know what is done with the options.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from starters import cli_completion as complete
from workflows.domain.orders import OrderType
from workflows.order_rules import ALLOWED, REQUIRED

WORK = "How it works"
TRIGGER = "When it fires"
EXIT = "How it leaves once it has fired"
RUN = "This command"

Command = Callable[..., None]
Fields = dict[str, str | bool | None]

Priority = Annotated[
    str | None, typer.Option(help="1 (first) to 5; default 3.", rich_help_panel=WORK)
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Follow the order to its end.", rich_help_panel=RUN)
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON; one line per change with --watch.", rich_help_panel=RUN
    ),
]
OnlyStrategy = Annotated[str | None, typer.Option("--strategy-id", help="Only this strategy's.")]
OnlyExchange = Annotated[
    str | None,
    typer.Option("--exchange", help="Only at this exchange.", autocompletion=complete.exchanges),
]
OnlySymbol = Annotated[
    str | None,
    typer.Option("--symbol", help="Only this symbol.", autocompletion=complete.symbols),
]
GivenExchange = Annotated[
    str,
    typer.Argument(
        help="A configured exchange.", metavar="EXCHANGE", autocompletion=complete.exchanges
    ),
]
GivenAccount = Annotated[str, typer.Option("--account", help="Account at the exchange.")]
GivenLimit = Annotated[str, typer.Option("--limit", help="Entries on the page, 1 to 500.")]
GivenCursor = Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")]
RequestedBy = Annotated[
    str | None, typer.Option("--requested-by", help="Who asks; default is you.")
]
GivenReason = Annotated[
    str, typer.Option("--reason", help="Why; kept in the audit trail. Required.")
]
GivenId = Annotated[
    str,
    typer.Argument(help="The order's id.", metavar="ORDER_ID", autocompletion=complete.order_ids),
]
RunningId = Annotated[
    str,
    typer.Argument(
        help="The order's id.", metavar="ORDER_ID", autocompletion=complete.running_order_ids
    ),
]


@dataclass(frozen=True, slots=True)
class _Option:
    """`default` is what is taken when it is not typed; `names` where they are not the field's."""

    help: str
    panel: str | None = None
    names: tuple[str, ...] = ()
    is_flag: bool = False
    default: str | None = None


_OPTIONS: dict[str, _Option] = {
    "symbol": _Option("Unified symbol, such as BTC/USDT. Required."),
    "side": _Option("buy or sell. Required."),
    "quantity": _Option("Base quantity, such as 0.25. Required."),
    "price": _Option("Limit price in quote units."),
    "stop_price": _Option("Where a stop-loss fires, in quote units."),
    "take_profit_price": _Option("Where a take-profit fires, in quote units."),
    "oco_limit_price": _Option("Price of the limit leg, which takes the profit."),
    "trailing_delta_bps": _Option("Distance from the best price, in 1/10,000 of it."),
    "activation_price": _Option("Where it begins to follow; default at once."),
    "exchange": _Option("A configured venue; default is the first of EXCHANGES."),
    "strategy_id": _Option("Who trades.", default="cli"),
    "account": _Option("Account at the exchange."),
    "twap_slices": _Option("How many slices; default TWAP_DEFAULT_SLICES.", WORK),
    "twap_interval": _Option("Seconds between; default TWAP_DEFAULT_INTERVAL.", WORK),
    "duration_s": _Option("Seconds of all slices, instead of slices or interval.", WORK),
    "start_at": _Option("Begin then, as 2030-01-31T12:00:00Z; default at once.", WORK),
    "end_at": _Option("End then, as 2030-01-31T12:00:00Z.", WORK),
    "iceberg_visible_ratio": _Option("Shown share; default ICEBERG_DEFAULT_VISIBLE_RATIO.", WORK),
    "iceberg_display": _Option("Shown base quantity, instead of the ratio.", WORK),
    "iceberg_variance": _Option("Random share by which tips differ, 0 to 0.5.", WORK),
    "iceberg_min_visible": _Option("Smallest tip shown, base quantity.", WORK),
    "replenish_delay_s": _Option("Longest random pause before the next tip, seconds.", WORK),
    "peg_offset": _Option("Follow the own touch at this distance, quote units.", WORK),
    "reprice_interval_s": _Option("Shortest time between two prices, seconds; default 5.", WORK),
    "reprice_ticks": _Option("How far the touch must move, in ticks; default 1.", WORK),
    "passive_fraction": _Option("Share of a slice spent resting, 0 to 1; default 0.", WORK),
    "max_participation": _Option("Largest share of the market's volume, 0.0001 to 0.9999.", WORK),
    "slippage_tolerance": _Option("Fraction, as 0.002: worst price taken, from the touch.", WORK),
    "size_jitter": _Option("Random share by which slices differ, 0 to 0.5.", WORK),
    "time_jitter": _Option("Random share of a slice by which it is late, 0 to 0.5.", WORK),
    "catch_up": _Option("After a miss: spread (default) or immediate.", WORK),
    "catch_up_cap": _Option("Largest child in even slices; default 3.", WORK),
    "end_sweep": _Option(
        "The last slice takes all; default yes.", WORK, ("--end-sweep/--no-end-sweep",), True
    ),
    "pause_shifts_end": _Option("A pause moves the end.", WORK, is_flag=True),
    "placement": _Option("Worked by: auto (default), native (the venue) or engine.", WORK),
    "time_in_force": _Option("GTC (default), IOC or FOK.", WORK),
    "post_only": _Option("Only rest, never take.", WORK, is_flag=True),
    "reduce_only": _Option("Never enlarge the strategy's position.", WORK, is_flag=True),
    "allow_similar": _Option("Let the same order pass again at once.", WORK, is_flag=True),
    "priority": _Option("1 (first) to 5; default 3.", WORK),
    "timeout_s": _Option("Seconds; then cancel.", WORK),
    "trigger_source": _Option("bid_ask, last, mid, mark or index.", TRIGGER),
    "confirm_n": _Option("Prices in a row that must be there; default 1.", TRIGGER),
    "confirm_ms": _Option("How long they must be, milliseconds; default 0.", TRIGGER),
    "stale_after_ms": _Option("An older price fires nothing; default 5000.", TRIGGER),
    "on_blind": _Option("When no price is known: hold (default) or exit.", TRIGGER),
    "max_slippage": _Option("First bound through the touch; default 0.005.", EXIT),
    "max_total_slippage": _Option("Widest bound, from the first touch; default 0.05.", EXIT),
    "retry_ms": _Option("Pause before the rest is sent again; default 500.", EXIT),
    "on_exhausted": _Option("Beyond the widest bound: market (default) or alarm.", EXIT),
    "post_trigger_timeout_s": _Option("Seconds that a fired limit may rest.", EXIT),
    "on_unfilled": _Option("After that: market, or leave (default) it.", EXIT),
    "order_id": _Option("Your id for the order; made when absent.", None, ("--id", "--order-id")),
}
"""In the order of `--help`; every field of an order but its type."""

_PRICE_ONCE_FIRED = "Limit price once it has fired; default: bounded from the market."

_NOT_FOR: dict[str, tuple[OrderType, ...]] = {
    "price": (OrderType.MARKET, OrderType.TRAILING_STOP),
    "time_in_force": tuple(
        kind for kind in OrderType if kind not in (OrderType.MARKET, OrderType.LIMIT)
    ),
    "post_only": tuple(
        kind for kind in OrderType if kind not in (OrderType.LIMIT, OrderType.ICEBERG)
    ),
    "timeout_s": (OrderType.TWAP,),
}
"""Fields that depend on the type by more than whether they are there."""


def fields_of(kind: OrderType) -> tuple[str, ...]:
    """The fields that an order of this type may have, its type itself left out."""
    return tuple(
        name
        for name in _OPTIONS
        if kind in ALLOWED.get(name, OrderType) and kind not in _NOT_FOR.get(name, ())
    )


def with_fields_of(kind: OrderType, command: Callable[[Fields, bool, bool], None]) -> Command:
    """A command with the options of this type; it is called with (fields, watch, as_json)."""
    return _with_options(kind, command, {"watch": Watch, "as_json": AsJson})


def with_fields_only(kind: OrderType, command: Callable[[Fields, bool], None]) -> Command:
    """The same without `--watch`; it is called with (fields, as_json)."""
    return _with_options(kind, command, {"as_json": AsJson})


def _with_options(
    kind: OrderType, command: Callable[..., None], switches: dict[str, Any]
) -> Command:
    def typed(**values: Any) -> None:
        given = [values.pop(name) for name in switches]
        command(values, *given)

    parameters = [_parameter(name, kind) for name in fields_of(kind)]
    parameters += [_keyword(name, annotation, False) for name, annotation in switches.items()]
    # what typer reads: it has no other way to be given options
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362
    typed.__annotations__ = {each.name: each.annotation for each in parameters}
    return typed


def _parameter(name: str, kind: OrderType) -> inspect.Parameter:
    option = _OPTIONS[name]
    text = _PRICE_ONCE_FIRED if name == "price" and kind.is_triggered else option.help
    if name in REQUIRED.get(kind, ()):
        text = f"{text} Required."
    names = option.names or (f"--{name.replace('_', '-')}",)
    proposer = None if option.is_flag else complete.field_values(name)
    described = typer.Option(
        *names, help=text, rich_help_panel=option.panel, autocompletion=proposer
    )
    typed = bool | None if option.is_flag else str | None
    return _keyword(name, Annotated[typed, described], option.default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
