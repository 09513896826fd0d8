"""The arbitrage commands: what can be typed. What they do stands in `starters.cli_executions`.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

import typer

from starters import cli_plan_options as plan
from starters.cli_options import AsJson, GivenCursor, GivenLimit, OnlyStrategy, Priority

arbitrage_app = typer.Typer(help="Buy at one exchange and sell at another.", no_args_is_help=True)
_NOT_FIELDS = ("source", "watch", "as_json")


@arbitrage_app.command()
def run(
    source: plan.PlanFile = None,
    symbol: plan.Symbol = None,
    buy_exchange: plan.BuyExchange = None,
    sell_exchange: plan.SellExchange = None,
    buy_price: plan.BuyPrice = None,
    sell_price: plan.SellPrice = None,
    amount: plan.Amount = None,
    est_profit: plan.EstProfit = None,
    id: plan.Id = None,
    opportunity_id: plan.Opportunity = None,
    strategy_id: plan.Strategy = None,
    account: plan.Account = None,
    mode: plan.Mode = None,
    timeout: plan.Timeout = None,
    leg_time_in_force: plan.LegLife = None,
    one_sided_timeout: plan.OneSided = None,
    limit_tolerance: plan.LimitTolerance = None,
    priority: Priority = None,
    min_profit: plan.MinProfit = None,
    min_profit_worst: plan.MinProfitWorst = None,
    slippage_tolerance: plan.Slippage = None,
    max_age: plan.MaxAge = None,
    max_skew: plan.MaxSkew = None,
    max_loss_bps: plan.MaxLoss = None,
    hold_retry: plan.HoldRetry = None,
    hold_for: plan.HoldFor = None,
    hold_end: plan.HoldEnd = None,
    watch: plan.Watch = False,
    as_json: AsJson = False,
) -> None:
    """Execute a plan: both legs, and what it takes to come out even.

    Example: python -m starters arbitrage run --symbol BTC/USDT --buy-exchange binance
    --sell-exchange okx --buy-price 50000 --sell-price 50300 --amount 0.1 --watch

    Example: python -m starters arbitrage run --plan plan.json --id arb-1
    """
    fields = {name: value for name, value in locals().items() if name not in _NOT_FIELDS}
    from starters.cli_executions import ARBITRAGE, start
    from starters.cli_plans import read_arbitrage
    from workers.settings import load_settings

    asked, settings = read_arbitrage(source, fields), load_settings()
    code = start(
        settings,
        ARBITRAGE,
        asked.id or "",
        lambda client: client.execute_arbitrage(asked),
        watch=watch,
        as_json=as_json,
    )
    raise typer.Exit(code)


@arbitrage_app.command()
def show(id: plan.ArbitrageId, watch: plan.Watch = False, as_json: AsJson = False) -> None:
    """Show one arbitrage, both legs side by side; with --watch follow it to its end.

    Example: python -m starters arbitrage show arb-1 --watch
    """
    from starters.cli_executions import ARBITRAGE
    from starters.cli_executions import show as show_it
    from starters.cli_input import read_execution_id
    from workers.settings import load_settings

    given = read_execution_id(id)
    raise typer.Exit(show_it(load_settings(), ARBITRAGE, given, watch=watch, as_json=as_json))


@arbitrage_app.command()
def cancel(
    id: plan.ArbitrageId,
    reason: plan.Reason = "user_request",
    watch: plan.Watch = False,
    as_json: AsJson = False,
) -> None:
    """Cancel an arbitrage: what filled is settled and compensated; waits about 5 s at most.

    Example: python -m starters arbitrage cancel arb-1 --reason "changed my mind"
    """
    from starters.cli_executions import ARBITRAGE
    from starters.cli_executions import cancel as cancel_it
    from starters.cli_input import read_execution_id, read_reason
    from workers.settings import load_settings

    given, why = read_execution_id(id), read_reason(reason)
    code = cancel_it(load_settings(), ARBITRAGE, given, why, watch=watch, as_json=as_json)
    raise typer.Exit(code)


@arbitrage_app.command("list")
def list_arbitrages(
    strategy_id: OnlyStrategy = None,
    status: plan.OnlyStatus = None,
    limit: GivenLimit = "50",
    cursor: GivenCursor = None,
    as_json: AsJson = False,
) -> None:
    """Show arbitrages, newest first.

    Example: python -m starters arbitrage list --status residual_held
    """
    fields = {name: value for name, value in locals().items() if name != "as_json"}
    from starters.cli_executions import ARBITRAGE, list_page
    from starters.cli_input import ExecutionFilter, read_filter
    from workers.settings import load_settings

    wanted = read_filter(ExecutionFilter, fields)
    raise typer.Exit(list_page(load_settings(), ARBITRAGE, wanted, as_json=as_json))
