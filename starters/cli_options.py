"""The options of the order commands: one for each field of an order, named as the field.

Numbers are taken as text, so that the engine's own rules judge them and name the field.
"""

from typing import Annotated

import typer

WORK = "How it works"
RUN = "This command"

OrderId = Annotated[
    str | None,
    typer.Option("--id", "--order-id", help="Your id for the order; made when absent."),
]
StrategyId = Annotated[str, typer.Option(help="Who trades.")]
Account = Annotated[str | None, typer.Option(help="Account at the exchange.")]
Exchange = Annotated[
    str | None, typer.Option(help="A configured venue; default is the first of EXCHANGES.")
]
Symbol = Annotated[str | None, typer.Option(help="Unified symbol, such as BTC/USDT. Required.")]
Side = Annotated[str | None, typer.Option(help="buy or sell. Required.")]
Quantity = Annotated[str | None, typer.Option(help="Base quantity, such as 0.25. Required.")]
Price = Annotated[str | None, typer.Option(help="Limit price in quote units.")]
Tolerance = Annotated[
    str | None,
    typer.Option(
        "--slippage-tolerance",
        help="Fraction, such as 0.002: the worst price taken, from the touch.",
        rich_help_panel=WORK,
    ),
]
TimeInForce = Annotated[str | None, typer.Option(help="GTC, IOC or FOK.", rich_help_panel=WORK)]
PostOnly = Annotated[
    bool, typer.Option("--post-only", help="Only rest, never take.", rich_help_panel=WORK)
]
Priority = Annotated[
    str | None, typer.Option(help="1 (first) to 5; default 3.", rich_help_panel=WORK)
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout-s", help="Seconds; then cancel.", rich_help_panel=WORK),
]
Slices = Annotated[
    str | None, typer.Option("--twap-slices", help="How many slices.", rich_help_panel=WORK)
]
Interval = Annotated[
    str | None,
    typer.Option("--twap-interval", help="Seconds between slices.", rich_help_panel=WORK),
]
SizeJitter = Annotated[str | None, typer.Option(help="Fraction, 0 to 0.5.", rich_help_panel=WORK)]
TimeJitter = Annotated[
    str | None, typer.Option(help="Fraction of a slice, 0 to 0.5.", rich_help_panel=WORK)
]
CatchUp = Annotated[
    str | None, typer.Option(help="After a miss: spread or immediate.", rich_help_panel=WORK)
]
CatchUpCap = Annotated[
    str | None,
    typer.Option(help="Largest child in even slices; default 3.", rich_help_panel=WORK),
]
EndSweep = Annotated[
    bool | None,
    typer.Option(
        "--end-sweep/--no-end-sweep", help="The last slice takes all.", rich_help_panel=WORK
    ),
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
GivenId = Annotated[str, typer.Argument(help="The order's id.", metavar="ORDER_ID")]
