"""Reads: the market, one order, and the truth about an attempt whose outcome is unknown.

What is read about an order of ours is booked in the ledger before it is answered, so workflows
only ever see totals of booked fills.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failpoints import fp
from activities.gateways import Gateways, not_yet, try_again
from activities.ledger.lost_store import LostStore
from activities.ledger.results import AttemptState, AttemptTruth, UnknownChildError
from activities.ledger.store import LedgerStore
from activities.markets import Markets
from activities.venues.dialects import dialect_of
from activities.venues.gateway import (
    OrderAbsentError,
    SymbolUnknownError,
    VenueGateway,
    VenueUnavailableError,
)
from workflows.domain.alarms import AlarmCode
from workflows.domain.orders import ChildIntent, ChildType
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
from workflows.steering_messages import Verdict

FILLS_ALARM_AFTER = timedelta(seconds=60)
UNKNOWN_ALARM_AFTER = timedelta(minutes=5)
LOOK_BACK_MS = 60_000
_ASK_AGAIN_FIRST, _ASK_AGAIN_LONGEST = timedelta(milliseconds=500), timedelta(seconds=30)
_MAX_DOUBLINGS = 10
_LONGEST_PROOF_WAIT = timedelta(seconds=2)
_CLOCK_SLACK = timedelta(milliseconds=50)
_BY_HAND = "an operator: absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWindow:
    """When absence is proof: the request's life at its venue plus the read lag, in ms.

    `validity_ms` is the configured window; the venue's row says what becomes of it there.
    """

    validity_ms: int
    read_lag_ms: int

    def proof_time_ms(self, venue: str, signed_at_ms: int) -> int:
        """Venue time after which a look-up that finds nothing proves that nothing executed.

        ValueError for a venue without a row.
        """
        life_ms = dialect_of(venue).request_life.life_ms(self.validity_ms)
        return signed_at_ms + life_ms + self.read_lag_ms

    def is_ever_proof(self, intent: ChildIntent) -> bool:
        """False for a market order where the life of a request is only assumed.

        Sending it again on a wrong assumption would buy or sell twice, so a human decides.
        """
        life = dialect_of(intent.venue).request_life
        return life.is_documented or intent.child_type is not ChildType.MARKET


class VenueDataActivities(VenueDataPort):
    """Reads through the gateway of the request's venue and account."""

    def __init__(
        self,
        gateways: Gateways,
        store: LedgerStore,
        verdicts: LostStore,
        window: ProofWindow,
        markets: Markets,
    ) -> None:
        self._gateways = gateways
        self._store = store
        self._verdicts = verdicts
        self._window = window
        self._markets = markets

    @activity.defn(name="read_market")
    async def read_market(self, request: MarketRequest) -> MarketSnapshot:
        """See VenueDataPort."""
        try:
            return await self._markets.read(request)
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
            await self._alarm_after(
                FILLS_ALARM_AFTER, AlarmCode.FILLS_MISSING, intent.client_order_id
            )
            raise not_yet("fills are still missing", "NotYetSettled", _growing_pause())
        return report

    @activity.defn(name="resolve")
    async def resolve(self, request: Resolve) -> Resolved:
        """See VenueDataPort. Absence is believed only after proof time, by the venue's clock, or on
        an operator's word. An order that the venue shows is adopted, whatever an operator said.
        """
        intent = request.intent
        client_order_id = intent.client_order_id
        truth = await self._store.close_attempt(client_order_id, request.attempt)
        known = _known(truth)
        if known is not None:
            return known
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
        verdict, named = await self._verdict(request)
        if named is not None:
            adopted = await self._adopt_named(intent, gateway, named)
            if adopted is not None:
                return adopted
        is_absent = verdict is Verdict.ABSENT
        fp("resolve.before_look_up", client_order_id, intent.order_id)
        try:
            # the clock first: a look-up made after proof time is what proves
            venue_time_ms = await gateway.venue_time_ms()
            report = await gateway.find(
                intent.symbol,
                client_order_id,
                since_ms=signed_at_ms - LOOK_BACK_MS,
                is_list=intent.child_type is ChildType.OCO,
            )
        except OrderAbsentError:
            if is_absent:
                return await self._prove_absent(client_order_id, request.attempt, _BY_HAND)
            left_ms = self._window.proof_time_ms(intent.venue, signed_at_ms) - venue_time_ms
            if left_ms < 0 and not self._window.is_ever_proof(intent):
                raise await self._never_proven(client_order_id) from None
            if left_ms < 0:
                return await self._prove_absent(
                    client_order_id, request.attempt, "not found after proof time"
                )
            await self._alarm_after(UNKNOWN_ALARM_AFTER, AlarmCode.UNKNOWN_ORDER, client_order_id)
            left = timedelta(milliseconds=left_ms) + _CLOCK_SLACK
            raise not_yet(
                "not found, not yet proven absent", "NotYetProven", min(left, _LONGEST_PROOF_WAIT)
            ) from None
        except (VenueUnavailableError, SymbolUnknownError) as error:
            if is_absent:
                return await self._prove_absent(client_order_id, request.attempt, _BY_HAND)
            await self._alarm_after(UNKNOWN_ALARM_AFTER, AlarmCode.UNKNOWN_ORDER, client_order_id)
            raise try_again(error) from error
        try:
            booked = await self._book(gateway, intent, report)
        except UnknownChildError as error:
            await self._store.raise_alarm(AlarmCode.LEDGER_LOST_INTENT, client_order_id, str(error))
            raise not_yet(str(error), "LedgerLostIntent", _growing_pause()) from error
        if is_absent:
            await self._not_followed(intent, f"{booked.venue_order_id} is there: adopted")
        return Resolved(kind=ResolveKind.ADOPTED, report=booked)

    async def _verdict(self, request: Resolve) -> tuple[Verdict | None, str | None]:
        decided = await self._verdicts.verdict_on(request.intent.client_order_id, request.attempt)
        return decided or (None, None)

    async def _adopt_named(
        self, intent: ChildIntent, gateway: VenueGateway, venue_order_id: str
    ) -> Resolved | None:
        """The order that an operator named; None when it cannot be this child."""
        try:
            order = await gateway.read_order(intent.symbol, venue_order_id)
        except OrderAbsentError:
            await self._not_followed(intent, f"{venue_order_id} is not known there: not adopted")
            return None
        except (VenueUnavailableError, SymbolUnknownError) as error:
            raise not_yet(str(error), "NotAdopted", _growing_pause()) from error
        if (order.side, order.quantity) != (intent.side, intent.quantity):
            detail = f"{venue_order_id} is {order.side} {order.quantity:f}: not adopted"
            await self._not_followed(intent, detail)
            return None
        return Resolved(
            kind=ResolveKind.ADOPTED, report=await self._book(gateway, intent, order.report)
        )

    async def _not_followed(self, intent: ChildIntent, detail: str) -> None:
        name = intent.client_order_id
        await self._store.raise_alarm(AlarmCode.VERDICT_NOT_FOLLOWED, name, detail)

    async def _never_proven(self, client_order_id: str) -> ApplicationError:
        what = "market order not found, and its venue names no time after which it cannot come"
        await self._store.raise_alarm(AlarmCode.UNKNOWN_ORDER, client_order_id, what)
        return not_yet(what, "NeverProven", _growing_pause())

    async def _prove_absent(self, client_order_id: str, attempt: int, why: str) -> Resolved:
        """Close the attempt, unless a late worker has stored its answer during the look-up."""
        await self._store.prove_absent(client_order_id, attempt)
        known = _known(await self._store.close_attempt(client_order_id, attempt))
        absent = Resolved(kind=ResolveKind.PROVEN_ABSENT, reason=why)
        return known or absent

    async def _book(
        self, gateway: VenueGateway, intent: ChildIntent, report: ExecutionReport
    ) -> ChildReport:
        instrument = await gateway.instrument(intent.symbol)
        booked = await self._store.book_report(intent, report, instrument.base, instrument.quote)
        return booked.report

    async def _alarm_after(
        self, patience: timedelta, code: AlarmCode, client_order_id: str
    ) -> None:
        info = activity.info()  # both by Temporal's clock, whatever this machine's says
        waited = info.started_time - info.scheduled_time
        if waited > patience:
            await self._store.raise_alarm(code, client_order_id, f"since {waited}")


def _known(truth: AttemptTruth) -> Resolved | None:
    """What the ledger itself says about an attempt, where it was answered."""
    if truth.report is not None:
        return Resolved(kind=ResolveKind.ADOPTED, report=truth.report)
    if truth.state is AttemptState.REJECTED:
        return Resolved(kind=ResolveKind.REJECTED, reason=truth.outcome_reason)
    return None


def _growing_pause() -> timedelta:
    doublings = min(activity.info().attempt - 1, _MAX_DOUBLINGS)
    return min(_ASK_AGAIN_LONGEST, _ASK_AGAIN_FIRST * (1 << doublings))
