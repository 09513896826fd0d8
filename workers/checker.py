"""The checker: the exchanges' own logs and the ledger in, violations out.

Rule: it reads and never writes, and it takes nobody's word: not the workflows', not the API's. A
paper exchange's log is the judge; a venue without one cannot be judged, and the report says so.
On a running engine a fill is at the exchange a moment before it is in the ledger, so what looks
wrong is looked at again, and only what stays wrong counts.
"""

import asyncio
import time
from dataclasses import dataclass

from activities.ledger.engine import LEDGER_AWAY
from activities.venues.dialects import DIALECTS
from activities.venues.simulator.judge import VenueLog, read_log
from workers.checker_ledger import read_ledger
from workers.checker_rules import Evidence, Invariant, Violation, violations
from workers.settings import Settings
from workers.stack_parts import embedded_venues

__all__ = ["CheckError", "CheckReport", "Invariant", "Violation", "check", "check_settled", "show"]

SETTLE_WITHIN_S = 10.0
LOOK_AGAIN_EVERY_S = 0.5


class CheckError(Exception):
    """The comparison cannot be made: one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was compared, and what was wrong.

    `orders` are the exchanges' orders that bear an id of ours, `fills` the trades of our accounts
    there, `venues` those with a log, `unjudged` those without.
    """

    orders: int
    fills: int
    venues: tuple[str, ...]
    unjudged: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()

    @property
    def ok(self) -> bool:
        """True when at least one venue was judged and nothing is wrong."""
        return bool(self.venues) and not self.violations

    @property
    def sent_twice(self) -> int:
        """Client order ids of ours that more than one order bears."""
        return sum(each.invariant is Invariant.NO_DUPLICATE for each in self.violations)


async def check(settings: Settings, *, all_finished: bool = False) -> CheckReport:
    """Compare once, as things are now; `all_finished` also asks for no order to be under way.

    Raises CheckError when the ledger does not answer, JournalError for a damaged log, and
    SettingsError where there is no ledger.
    """
    # the ledger first: what it has booked must be in the log by then
    try:
        ledger = await read_ledger(settings.reader_dsn())
    except LEDGER_AWAY as error:
        why = str(error) or type(error).__name__
        raise CheckError(f"the ledger does not answer (is the stack up? make up): {why}") from error
    logs = await asyncio.to_thread(_read_logs, settings)
    evidence = Evidence(logs=logs, ledger=ledger)
    return CheckReport(
        orders=sum(1 for _ in evidence.our_orders()),
        fills=sum(len(log.trades) for log in logs.values()),
        venues=tuple(logs),
        unjudged=tuple(venue for venue in settings.exchanges if venue not in logs),
        violations=tuple(violations(evidence, all_finished=all_finished)),
    )


async def check_settled(
    settings: Settings, *, all_finished: bool = False, within_s: float = SETTLE_WITHIN_S
) -> CheckReport:
    """Compare until nothing is wrong or `within_s` seconds are over.

    What is wrong in the end is what was wrong each time. Raises as `check`.
    """
    deadline = time.monotonic() + within_s
    report = await check(settings, all_finished=all_finished)
    lasting = {(each.invariant, each.subject) for each in report.violations}
    while lasting and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_AGAIN_EVERY_S)
        report = await check(settings, all_finished=all_finished)
        lasting &= {(each.invariant, each.subject) for each in report.violations}
    kept = tuple(each for each in report.violations if (each.invariant, each.subject) in lasting)
    return CheckReport(
        orders=report.orders,
        fills=report.fills,
        venues=report.venues,
        unjudged=report.unjudged,
        violations=kept,
    )


def show(report: CheckReport) -> None:
    """The report on stdout, one line per violation."""
    for venue in report.unjudged:
        print(f"not judged: {venue} (no paper exchange of this stack, so no log)")
    for each in report.violations:
        print(f"VIOLATION {each}")
    if not report.venues:
        print("nothing was judged: no paper exchange has a log in DELTA_HOME")
        return
    print(
        f"{', '.join(report.venues)}: {report.orders} orders of ours, sent twice "
        f"{report.sent_twice}; {report.fills} fills; {len(report.violations)} violations"
    )


def _read_logs(settings: Settings) -> dict[str, VenueLog]:
    """The logs of the embedded paper exchanges that have one."""
    paths = {venue: settings.home.paper_journal(venue) for venue in embedded_venues(settings)}
    return {
        venue: read_log(path)
        for venue, path in paths.items()
        if venue in DIALECTS and path.exists()
    }
