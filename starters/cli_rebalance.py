"""The rebalancing commands: what can be typed. What they do stands in `starters.cli_executions`.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from typing import TYPE_CHECKING, Any

import typer

from starters import cli_plan_options as plan
from starters.cli_options import AsJson, GivenCursor, GivenLimit, OnlyStrategy, Priority

if TYPE_CHECKING:
    from workers.settings import Settings
    from workflows.execution_messages import RebalancePlan

rebalance_app = typer.Typer(help="Trade holdings towards target weights.", no_args_is_help=True)
_NOT_FIELDS = ("source", "watch", "as_json", "target", "exchange", "asset")


@rebalance_app.command()
def run(
    source: plan.PlanFile = None,
    target: plan.Targets = None,
    exchange: plan.Exchanges = None,
    cash: plan.Cash = None,
    asset: plan.Assets = None,
    id: plan.Id = None,
    strategy_id: plan.Strategy = None,
    account: plan.Account = None,
    band_abs: plan.BandAbs = None,
    band_rel: plan.BandRel = None,
    to: plan.To = None,
    scope: plan.ScopeOf = None,
    min_trade_value: plan.MinValue = None,
    cash_reserve: plan.Reserve = None,
    slippage_tolerance: plan.Worst = None,
    timeout: plan.Timeout = None,
    priority: Priority = None,
    watch: plan.Watch = False,
    as_json: AsJson = False,
) -> None:
    """Trade to the target weights: first the sells, then the buys that the cash allows.

    Example: python -m starters rebalance run --target BTC=0.5 --target ETH=0.3
    --exchange binance --exchange okx --watch
    """
    settings, asked = _read(locals())
    from starters.cli_executions import REBALANCE, start

    code = start(
        settings,
        REBALANCE,
        asked.id or "",
        lambda client: client.rebalance(asked),
        watch=watch,
        as_json=as_json,
    )
    raise typer.Exit(code)


@rebalance_app.command()
def preview(
    source: plan.PlanFile = None,
    target: plan.Targets = None,
    exchange: plan.Exchanges = None,
    cash: plan.Cash = None,
    asset: plan.Assets = None,
    id: plan.Id = None,
    strategy_id: plan.Strategy = None,
    account: plan.Account = None,
    band_abs: plan.BandAbs = None,
    band_rel: plan.BandRel = None,
    to: plan.To = None,
    scope: plan.ScopeOf = None,
    min_trade_value: plan.MinValue = None,
    cash_reserve: plan.Reserve = None,
    slippage_tolerance: plan.Worst = None,
    timeout: plan.Timeout = None,
    priority: Priority = None,
    as_json: AsJson = False,
) -> None:
    """Show what a rebalancing would trade now; nothing is sent.

    Example: python -m starters rebalance preview --target BTC=0.5 --target ETH=0.3
    """
    settings, asked = _read(locals())
    from starters.cli_executions import REBALANCE, start

    code = start(
        settings,
        REBALANCE,
        asked.id or "",
        lambda client: client.preview_rebalance(asked),
        watch=False,
        as_json=as_json,
    )
    raise typer.Exit(code)


def _read(options: dict[str, Any]) -> "tuple[Settings, RebalancePlan]":
    from starters.cli_plans import read_rebalance
    from workers.settings import load_settings

    settings = load_settings()
    asked = read_rebalance(
        options["source"],
        {name: value for name, value in options.items() if name not in _NOT_FIELDS},
        {
            "targets": options["target"] or (),
            "exchanges": options["exchange"] or (),
            "assets": options["asset"] or (),
        },
        default_exchanges=settings.exchanges,
    )
    return settings, asked


@rebalance_app.command()
def show(id: plan.RebalanceId, watch: plan.Watch = False, as_json: AsJson = False) -> None:
    """Show one rebalancing: its plan, its orders, what was left out; with --watch to its end.

    Example: python -m starters rebalance show reb-1
    """
    from starters.cli_executions import REBALANCE
    from starters.cli_executions import show as show_it
    from starters.cli_input import read_execution_id
    from workers.settings import load_settings

    given = read_execution_id(id)
    raise typer.Exit(show_it(load_settings(), REBALANCE, given, watch=watch, as_json=as_json))


@rebalance_app.command()
def cancel(
    id: plan.RebalanceId,
    reason: plan.Reason = "user_request",
    watch: plan.Watch = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a rebalancing: its orders are taken back, what filled stays; about 5 s at most.

    Example: python -m starters rebalance cancel reb-1
    """
    from starters.cli_executions import REBALANCE
    from starters.cli_executions import cancel as cancel_it
    from starters.cli_input import read_execution_id, read_reason
    from workers.settings import load_settings

    given, why = read_execution_id(id), read_reason(reason)
    code = cancel_it(load_settings(), REBALANCE, given, why, watch=watch, as_json=as_json)
    raise typer.Exit(code)


@rebalance_app.command("list")
def list_rebalances(
    strategy_id: OnlyStrategy = None,
    status: plan.OnlyStatus = None,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show rebalancings, newest first.

    Example: python -m starters rebalance list --status completed
    """
    fields = {name: value for name, value in locals().items() if name != "as_json"}
    from starters.cli_executions import REBALANCE, list_page
    from starters.cli_input import ExecutionFilter, read_filter
    from workers.settings import load_settings

    wanted = read_filter(ExecutionFilter, fields)
    raise typer.Exit(list_page(load_settings(), REBALANCE, wanted, as_json=as_json))
