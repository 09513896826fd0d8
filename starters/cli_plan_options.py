"""The options of the arbitrage and rebalancing commands: named as the fields of their plans.

Numbers are taken as text, so that the engine's own rules judge them and name the field.
"""

from typing import Annotated

import typer

from starters import cli_completion as complete
from starters.cli_options import RUN, WORK

_GATES = "Refuse unless"
_AFTER = "When a leg is left over"

# --- both -----------------------------------------------------------------------------------------

PlanFile = Annotated[
    str | None,
    typer.Option("--plan", help="A plan as JSON, - for standard input; options win over it."),
]
Id = Annotated[
    str | None, typer.Option("--id", help="Your id for the execution; made when absent.")
]
Strategy = Annotated[
    str | None, typer.Option("--strategy-id", help="Who trades; default arbitrage or rebalance.")
]
Account = Annotated[str | None, typer.Option(help="Account at every exchange; default main.")]
Timeout = Annotated[
    str | None,
    typer.Option(help="Seconds that its orders may take; default 30.", rich_help_panel=WORK),
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it to its end.", rich_help_panel=RUN)]
ArbitrageId = Annotated[
    str,
    typer.Argument(help="The execution's id.", metavar="ID", autocompletion=complete.arbitrage_ids),
]
RebalanceId = Annotated[
    str,
    typer.Argument(help="The execution's id.", metavar="ID", autocompletion=complete.rebalance_ids),
]
OnlyStatus = Annotated[
    str | None,
    typer.Option("--status", help="Only in this state.", autocompletion=complete.execution_states),
]
Reason = Annotated[str, typer.Option(help="Why; kept with the execution.")]

# --- arbitrage ------------------------------------------------------------------------------------

Opportunity = Annotated[str | None, typer.Option("--opportunity-id", help="Your own reference.")]
Symbol = Annotated[
    str | None,
    typer.Option(
        help="Unified symbol, such as BTC/USDT. Required.", autocompletion=complete.symbols
    ),
]
BuyExchange = Annotated[
    str | None, typer.Option(help="Where to buy. Required.", autocompletion=complete.exchanges)
]
SellExchange = Annotated[
    str | None, typer.Option(help="Where to sell. Required.", autocompletion=complete.exchanges)
]
BuyPrice = Annotated[str | None, typer.Option(help="Price of the buy, in quote units. Required.")]
SellPrice = Annotated[str | None, typer.Option(help="Price of the sell. Required.")]
Amount = Annotated[
    str | None,
    typer.Option(help="Base quantity, at most: books, balances and limits may cap it. Required."),
]
EstProfit = Annotated[
    str | None, typer.Option(help="What you expect, in quote units; must agree with the prices.")
]
Mode = Annotated[
    str | None, typer.Option(help="concurrent (default) or sequential.", rich_help_panel=WORK)
]
LegLife = Annotated[
    str | None,
    typer.Option("--leg-time-in-force", help="IOC (default), or GTC: rest.", rich_help_panel=WORK),
]
OneSided = Annotated[
    str | None,
    typer.Option(
        "--one-sided-timeout",
        help="Seconds that a leg may rest once the other has filled; default 5.",
        rich_help_panel=WORK,
    ),
]
LimitTolerance = Annotated[
    str | None,
    typer.Option(help="Leg limit = price x (1 +- this); default 0.001.", rich_help_panel=WORK),
]
MinProfit = Annotated[
    str | None,
    typer.Option(help="the expected net profit is this; default 0.", rich_help_panel=_GATES),
]
MinProfitWorst = Annotated[
    str | None,
    typer.Option(
        help="both limits still leave this; default: minus max-loss-bps.", rich_help_panel=_GATES
    ),
]
Slippage = Annotated[
    str | None,
    typer.Option(
        "--slippage-tolerance",
        help="the books are within this of the prices; default 0.002.",
        rich_help_panel=_GATES,
    ),
]
MaxAge = Annotated[
    str | None,
    typer.Option(help="the books are this young, seconds; default 2.", rich_help_panel=_GATES),
]
MaxSkew = Annotated[
    str | None,
    typer.Option(help="the books are this close, seconds; default 0.5.", rich_help_panel=_GATES),
]
MaxLoss = Annotated[
    str | None,
    typer.Option(
        "--max-loss-bps",
        help="Bound of a compensation, in 1/10,000; default 50.",
        rich_help_panel=_AFTER,
    ),
]
HoldRetry = Annotated[
    str | None,
    typer.Option(help="Seconds between looks at it; default 10.", rich_help_panel=_AFTER),
]
HoldFor = Annotated[
    str | None,
    typer.Option(help="Seconds until hold-end decides; default 300.", rich_help_panel=_AFTER),
]
HoldEnd = Annotated[
    str | None, typer.Option(help="hold (default) or flatten.", rich_help_panel=_AFTER)
]

# --- rebalancing ----------------------------------------------------------------------------------

Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="ASSET=WEIGHT, as BTC=0.5; repeat it; none is 0. Required."),
]
Exchanges = Annotated[
    list[str] | None,
    typer.Option(
        "--exchange", help="A venue; repeat it; default all.", autocompletion=complete.exchanges
    ),
]
Assets = Annotated[
    list[str] | None, typer.Option("--asset", help="Only this asset, cash aside; repeat it.")
]
Cash = Annotated[str | None, typer.Option(help="What all is valued in; default USDT.")]
BandAbs = Annotated[
    str | None, typer.Option(help="Drift left alone, as weight; default 0.", rich_help_panel=WORK)
]
BandRel = Annotated[
    str | None,
    typer.Option(help="The same, as share of the target; default 0.", rich_help_panel=WORK),
]
To = Annotated[
    str | None, typer.Option(help="Trade to: target (default) or edge.", rich_help_panel=WORK)
]
ScopeOf = Annotated[
    str | None,
    typer.Option("--scope", help="offenders (default) or all_if_any.", rich_help_panel=WORK),
]
MinValue = Annotated[
    str | None,
    typer.Option(
        "--min-trade-value", help="Smaller ones are left out; default 100.", rich_help_panel=WORK
    ),
]
Reserve = Annotated[
    str | None,
    typer.Option(
        "--cash-reserve", help="Cash that is never spent; default 0.", rich_help_panel=WORK
    ),
]
Worst = Annotated[
    str | None,
    typer.Option(
        "--slippage-tolerance",
        help="Worst price of an order, from the touch; default 0.002.",
        rich_help_panel=WORK,
    ),
]
