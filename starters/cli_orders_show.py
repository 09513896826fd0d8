"""How the command line shows many orders at once: cancelled ones, queues; and one's costs."""

from rich.text import Text

from starters import cli_tables
from starters.analytics_models import OrderAnalytics
from starters.cancel_all import CancelAllReport
from starters.cli_console import complain, out, put_json
from starters.queues import QueuesStatus


def cancelled(report: CancelAllReport, *, as_json: bool) -> None:
    """What became of each, and how many are over."""
    if as_json:
        put_json(report)
        return
    columns = ("status", "code", "message")
    cli_tables.rows(report.orders, ("order_id", *columns), none="no orders are at work")
    if report.executions:
        cli_tables.rows(report.executions, ("execution_id", "kind", *columns), none="")
    counts = ("cancelled", "cancelling", "ended", "failed")
    told = ", ".join(f"{getattr(report, name)} {name}" for name in counts)
    if report.orders or report.executions:
        out().print(Text(told))
    if report.more:
        complain("there are more than one answer takes: ask again")


def queues(found: QueuesStatus, *, as_json: bool) -> None:
    """A row for each queue."""
    if as_json:
        put_json(found)
        return
    names = ("queue", "kind", "backlog", "oldest s", "pollers", "added/s", "done/s", "limit/s")
    rows = [
        (
            *(each.queue, each.kind, each.backlog, each.oldest_age_s, len(each.pollers)),
            *(each.tasks_added_per_s, each.tasks_done_per_s, each.rate_limit_per_s),
        )
        for each in found.queues
    ]
    cli_tables.put(names, rows, none="no queues")


def analysis(found: OrderAnalytics, *, as_json: bool) -> None:
    """The figures in groups, then the children, then what is missing and why."""
    if as_json:
        put_json(found)
        return
    groups = ("shortfall", "slippage_bps", "market", "timing")
    apart = {*groups, "children", "children_total", "not_available"}
    own = {name: cli_tables.cell(value) for name, value in found if name not in apart}
    out().print(cli_tables.grid(own))
    for name in groups:
        figures = getattr(found, name)
        if figures is not None and any(value is not None for _, value in figures):
            out().print(Text(name, style="bold"))
            cli_tables.facts(figures)
    columns = ("index", "child_type", "status", "quantity", "price", "filled_quantity")
    costs = ("average_price", "arrival_slippage_bps", "fees_quote", "maker_ratio")
    if found.children:
        cli_tables.rows(found.children, (*columns, *costs), none="")
    for each in found.not_available:
        out().print(Text(f"no {each.figure}: {each.why}", style="dim"))
