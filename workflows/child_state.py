"""What there is to know about one child order, as data; the parent's state carries it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.domain.denials import Denied
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, RejectionFamily

_MAX_DIGITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildState:
    """Everything there is to know about one child order.

    `reference_price` is the middle of the market that the intent was priced in, at `priced_at`.
    """

    intent: ChildIntent
    reference_price: Decimal
    priced_at: datetime
    status: ChildStatus = ChildStatus.NEW
    attempt: int = 1
    epoch: str = ""
    waits: int = 0
    read_at: datetime | None = None
    """When it is read again in case a report was missed, while the parent looks in between."""
    report: ChildReport | None = None
    code: str = ""
    reason: str = ""
    family: RejectionFamily | None = None
    denied: Denied | None = None

    @property
    def executed_quantity(self) -> Decimal:
        """Base units: the larger of the venue's word and the booked fills."""
        if self.report is None:
            return Decimal(0)
        return max(self.report.executed_quantity, self.report.filled_quantity)

    @property
    def is_off_venue(self) -> bool:
        """True when nothing of it can execute any more, although fills may still be missing."""
        return self.status.is_final or self.status is ChildStatus.SETTLING

    @property
    def is_immediate(self) -> bool:
        """True for orders that the venue ends by itself at once."""
        return self.intent.is_immediate


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """An intent with the price it should carry now, and the middle of that market."""

    intent: ChildIntent
    reference_price: Decimal


def read_report(raw: RawValue | None) -> ChildReport | None:
    """A child report from a signal's payload; None for what a stranger may have sent."""
    if raw is None:
        return None
    try:
        read: object = workflow.payload_converter().from_payload(raw.payload, ChildReport)
    except (ApplicationError, RuntimeError, KeyError):
        return None
    # a binary payload ignores the type; amounts without bounds would break exact sums
    return read if isinstance(read, ChildReport) and _is_plausible(read) else None


def _is_plausible(report: ChildReport) -> bool:
    amounts = [
        report.executed_quantity,
        report.filled_quantity,
        report.filled_quote,
        *report.fees.values(),
    ]
    return all(
        amount.is_finite() and -_MAX_DIGITS < amount.adjusted() < _MAX_DIGITS for amount in amounts
    )
