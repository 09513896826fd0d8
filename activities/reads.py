"""Reads: the market, one order, and the truth about an attempt whose outcome is unknown.

What is read about an order of ours is booked in the ledger before it is answered, so workflows
only ever see totals of booked fills.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.gateways import Gateways, not_yet, try_again
from activities.ledger.results import AttemptState, UnknownChildError
from activities.ledger.store import LedgerStore
from activities.venues.gateway import (
    OrderAbsentError,
    SymbolUnknownError,
    VenueGateway,
    VenueUnavailableError,
)
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, ExecutionReport
from workflows.durations import epoch_ms
from workflows.ports import (
    MarketRequest,
    MarketSnapshot,
    ReadChild,
    ReadUntil,
    Resolve,
    Resolved,
    ResolveKind,
    VenueDataPort,
)

FILLS_ALARM_AFTER = timedelta(seconds=60)
UNKNOWN_ALARM_AFTER = timedelta(minutes=5)
LOOK_BACK_MS = 60_000
_ASK_AGAIN_FIRST, _ASK_AGAIN_LONGEST = timedelta(milliseconds=500), timedelta(seconds=30)
_MAX_DOUBLINGS = 10
_LONGEST_PROOF_WAIT = timedelta(seconds=2)
_CLOCK_SLACK = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWindow:
    """When absence is proof: the signature's validity plus the venue's read lag, in ms."""

    validity_ms: int
    read_lag_ms: int

    def proof_time_ms(self, signed_at_ms: int) -> int:
        """Venue time after which a look-up that finds nothing proves that nothing executed."""
        return signed_at_ms + self.validity_ms + self.read_lag_ms


class VenueDataActivities(VenueDataPort):
    """Reads through the gateway of the request's venue and account."""

    def __init__(self, gateways: Gateways, store: LedgerStore, window: ProofWindow) -> None:
        self._gateways = gateways
        self._store = store
        self._window = window

    @activity.defn(name="read_market")
    async def read_market(self, request: MarketRequest) -> MarketSnapshot:
        """See VenueDataPort."""
        gateway = self._gateways[request.venue, request.account]
        try:
            instrument = await gateway.instrument(request.symbol)
            return MarketSnapshot(instrument=instrument, quote=await gateway.quote(request.symbol))
        except SymbolUnknownError:
            return MarketSnapshot(instrument=None, quote=None)
        except VenueUnavailableError as error:
            raise try_again(error) from error

    @activity.defn(name="read_child")
    async def read_child(self, request: ReadChild) -> ChildReport:
        """See VenueDataPort. Waits for fills inside this one activity, so history stays short."""
        intent = request.intent
        gateway = self._gateways[intent.venue, intent.account]
        try:
            order = await gateway.read_order(intent.symbol, request.venue_order_id)
        except OrderAbsentError as error:
            raise not_yet(str(error), "OrderNotVisible", _growing_pause()) from error
        except VenueUnavailableError as error:
            raise try_again(error) from error
        report = await self._book(gateway, intent, order.report)
        if request.until is ReadUntil.SETTLED and not report.is_settled:
            await self._alarm_after(FILLS_ALARM_AFTER, "FILLS_MISSING", intent.client_order_id)
            raise not_yet("fills are still missing", "NotYetSettled", _growing_pause())
        return report

    @activity.defn(name="resolve")
    async def resolve(self, request: Resolve) -> Resolved:
        """See VenueDataPort. Absence is believed only after proof time, by the venue's clock."""
        intent = request.intent
        client_order_id = intent.client_order_id
        truth = await self._store.close_attempt(client_order_id, request.attempt)
        if truth.report is not None:
            return Resolved(kind=ResolveKind.ADOPTED, report=truth.report)
        if truth.state is AttemptState.REJECTED:
            return Resolved(kind=ResolveKind.REJECTED, reason=truth.outcome_reason)
        if truth.never_claimed and truth.epoch == request.epoch:
            await self._store.prove_absent(client_order_id, request.attempt)
            return Resolved(kind=ResolveKind.PROVEN_ABSENT, reason="never claimed")
        signed_at_ms = truth.signed_at_ms
        if signed_at_ms is None:  # a restored ledger: anything since the first ask may be ours
            signed_at_ms = epoch_ms(activity.info().scheduled_time)
        return await self._look_up(request, signed_at_ms)

    async def _look_up(self, request: Resolve, signed_at_ms: int) -> Resolved:
        intent = request.intent
        client_order_id = intent.client_order_id
        gateway = self._gateways[intent.venue, intent.account]
        try:
            # the clock first: a look-up made after proof time is what proves
            venue_time_ms = await gateway.venue_time_ms()
            report = await gateway.find(
                intent.symbol, client_order_id, since_ms=signed_at_ms - LOOK_BACK_MS
            )
        except OrderAbsentError:
            left_ms = self._window.proof_time_ms(signed_at_ms) - venue_time_ms
            if left_ms < 0:
                await self._store.prove_absent(client_order_id, request.attempt)
                return Resolved(kind=ResolveKind.PROVEN_ABSENT, reason="not found after proof time")
            await self._alarm_after(UNKNOWN_ALARM_AFTER, "UNKNOWN_ORDER", client_order_id)
            left = timedelta(milliseconds=left_ms) + _CLOCK_SLACK
            raise not_yet(
                "not found, not yet proven absent", "NotYetProven", min(left, _LONGEST_PROOF_WAIT)
            ) from None
        except (VenueUnavailableError, SymbolUnknownError) as error:
            await self._alarm_after(UNKNOWN_ALARM_AFTER, "UNKNOWN_ORDER", client_order_id)
            raise try_again(error) from error
        try:
            booked = await self._book(gateway, intent, report)
        except UnknownChildError as error:
            await self._store.raise_alarm("LEDGER_LOST_INTENT", client_order_id, str(error))
            raise not_yet(str(error), "LedgerLostIntent", _growing_pause()) from error
        return Resolved(kind=ResolveKind.ADOPTED, report=booked)

    async def _book(
        self, gateway: VenueGateway, intent: ChildIntent, report: ExecutionReport
    ) -> ChildReport:
        instrument = await gateway.instrument(intent.symbol)
        booked = await self._store.book_report(intent, report, instrument.base, instrument.quote)
        return booked.report

    async def _alarm_after(self, patience: timedelta, code: str, client_order_id: str) -> None:
        waited = datetime.now(UTC) - activity.info().scheduled_time
        if waited > patience:
            await self._store.raise_alarm(code, client_order_id, f"since {waited}")


def _growing_pause() -> timedelta:
    doublings = min(activity.info().attempt - 1, _MAX_DOUBLINGS)
    return min(_ASK_AGAIN_LONGEST, _ASK_AGAIN_FIRST * (1 << doublings))
