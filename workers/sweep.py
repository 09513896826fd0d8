"""Taking every order of ours in a scope off its venues, without Temporal and without the engine.

Theory. A sweep looks at three things: what the ledger knows to rest, every attempt that may be on
the wire (by our id), and the venue's own lists of open orders. What is found open is cancelled and
then read, since a cancel is only a request: only the venue's terminal state with what it executed
is told as confirmed. An attempt that is not found is proven absent only by a look-up made after
its proof time, on the venue's clock. It goes round until a whole round has found nothing new and
nothing is left to confirm, or until its time is over; the rest is told as unproven.

Rule: nothing is booked and nothing is sent. The gateway has no way to submit. Here alone a venue is
asked again and again outside Temporal's retries: this must work while Temporal is away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from activities.ledger.state_store import SweepFacts, Unanswered
from activities.reads import LOOK_BACK_MS, ProofWindow
from activities.venues.gateway import (
    OrderAbsentError,
    SymbolUnknownError,
    VenueOrder,
    VenueUnavailableError,
)
from workflows.domain.orders import ChildIntent, ChildType
from workflows.domain.reports import ExecutionReport
from workflows.domain.scopes import Scope, ScopeKind

AT_ONCE = 20
"""Requests under way at one account."""
PAUSE_S, LONGEST_PAUSE_S = 0.2, 1.0
ABSENT, UNPROVEN = "absent", "unproven"
_AWAY = (VenueUnavailableError, SymbolUnknownError)
Key = tuple[str, str, str, str]


class SweepGateway(Protocol):
    """What a sweep may do at a venue: look and cancel. See VenueGateway."""

    venue: str
    account: str

    async def venue_time_ms(self) -> int: ...

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> ExecutionReport: ...

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder: ...

    async def cancel(self, symbol: str, venue_order_id: str) -> None: ...

    async def open_orders(self, symbol: str) -> list[VenueOrder]: ...


@dataclass(slots=True, kw_only=True)
class Case:
    """One order that may be live. `report` is the venue's last word on it.

    `signed_at_ms` where only its id is known: the venue's clock when its last attempt was signed.
    """

    venue: str
    account: str
    symbol: str
    client_order_id: str | None
    venue_order_id: str | None = None
    intent: ChildIntent | None = None
    signed_at_ms: int | None = None
    report: ExecutionReport | None = None
    is_absent: bool = False
    is_cancel_sent: bool = False
    trouble: str = ""

    @property
    def is_settled(self) -> bool:
        """Nothing of it can be executed any more, by the venue's word or by proof."""
        return self.is_absent or (self.report is not None and self.report.status.is_terminal)

    @property
    def outcome(self) -> str:
        """The venue's terminal state, ABSENT or UNPROVEN."""
        if not self.is_settled:
            return UNPROVEN
        return ABSENT if self.report is None else self.report.status.value


class Pace:
    """At most `per_s` requests begin in a second; None: as fast as the venue answers."""

    def __init__(self, per_s: Decimal | None) -> None:
        self._gap_s = 0.0 if per_s is None else float(1 / per_s)
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for it."""
        now = time.monotonic()
        begin = max(self._next, now)
        self._next = begin + self._gap_s
        await asyncio.sleep(begin - now)

    def rest(self, for_s: Decimal) -> None:
        """The venue asked to be left alone for that long."""
        self._next = max(self._next, time.monotonic() + float(for_s))


@dataclass(kw_only=True)
class Sweep:
    """One sweep of one scope. `symbols`: whose lists of open orders are read besides.

    `read_facts` asks the ledger anew in each round; where it fails, what was known stays.
    """

    scope: Scope
    gateways: Mapping[tuple[str, str], SweepGateway]
    symbols: Iterable[str]
    window: ProofWindow
    read_facts: Callable[[], Awaitable[SweepFacts | None]]
    rates: Mapping[tuple[str, str], Decimal | None] = field(default_factory=dict)
    cases: dict[Key, Case] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)
    """What could not be asked in the last round, and why: `venue/account/symbol` or the ledger."""
    is_complete: bool = False

    def __post_init__(self) -> None:
        self._gates = {key: asyncio.Semaphore(AT_ONCE) for key in self.gateways}
        self._paces = {key: Pace(self.rates.get(key)) for key in self.gateways}
        self._on_wire: dict[str, Case] = {}

    async def run(self, within_s: Decimal) -> None:
        """Go round until all is confirmed or the time is over. `is_complete` tells which."""
        with suppress(TimeoutError):
            async with asyncio.timeout(float(within_s)):
                pause_s = PAUSE_S
                while not await self._round():
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            self.is_complete = True

    def all_cases(self) -> list[Case]:
        """Every order that was found to be live, or may be."""
        return [*self.cases.values(), *self._on_wire.values()]

    def unproven(self) -> list[Case]:
        """Those of which nobody knows whether they can still be executed."""
        return [case for case in self.all_cases() if not case.is_settled]

    async def _round(self) -> bool:
        """Look everywhere and act on what is found; True when nothing is left and nothing new."""
        known = set(self.cases)
        self.unreachable.clear()
        self._take(await self.read_facts())
        # what the ledger knows is cancelled while the venues' lists are still read
        await asyncio.gather(self._cancel_all(), self._look_up_all(), self._list_all())
        await self._cancel_all()
        await self._each(self._read, [c for c in self.cases.values() if not c.is_settled])
        return not self.unproven() and not self.unreachable and known == set(self.cases)

    # --- what there is --------------------------------------------------------------------------

    def _take(self, facts: SweepFacts | None) -> None:
        if facts is None:
            self.unreachable["ledger"] = "does not answer"
            return
        for child in facts.open:
            intent = child.intent
            assert child.venue_order_id is not None
            self._found(intent, intent.client_order_id, child.venue_order_id)
        claimed = {each.child.intent.client_order_id: each for each in facts.unanswered}
        for client_order_id in set(self._on_wire) - set(claimed):
            if not self._on_wire[client_order_id].is_settled:  # a worker has resolved it meanwhile
                del self._on_wire[client_order_id]
        named = {case.client_order_id for case in self.cases.values()}
        for client_order_id, each in claimed.items():
            if client_order_id not in named:
                self._on_wire.setdefault(client_order_id, _on_wire(each))

    def _found(
        self, place: "ChildIntent | Case", client_order_id: str | None, venue_order_id: str
    ) -> Case:
        intent = place if isinstance(place, ChildIntent) else place.intent
        key = (place.venue, place.account, place.symbol, venue_order_id)
        return self.cases.setdefault(
            key,
            Case(
                venue=place.venue,
                account=place.account,
                symbol=place.symbol,
                client_order_id=client_order_id,
                venue_order_id=venue_order_id,
                intent=intent,
            ),
        )

    async def _list_all(self) -> None:
        """The venues' own lists: an order of ours that the ledger forgot, or learned of late."""
        if self.scope.kind is ScopeKind.STRATEGY:
            return  # a venue knows no strategies
        named = {self.scope.symbol} if self.scope.symbol else set(self.symbols)
        places = [
            Case(venue=venue, account=account, symbol=symbol, client_order_id=None)
            for venue, account in self.gateways
            if self.scope.venue in (None, venue)
            for symbol in sorted(named | self._symbols_of(venue, account))
        ]
        await self._each(self._list, places)
        for place in places:
            if place.trouble:
                where = f"{place.venue}/{place.account}/{place.symbol}"
                self.unreachable[where] = place.trouble

    def _symbols_of(self, venue: str, account: str) -> set[str]:
        return {c.symbol for c in self.all_cases() if (c.venue, c.account) == (venue, account)}

    async def _list(self, gateway: SweepGateway, place: Case) -> None:
        for order in await gateway.open_orders(place.symbol):
            if order.report.client_order_id is not None:
                self._found(place, order.report.client_order_id, order.report.venue_order_id)

    async def _look_up_all(self) -> None:
        await self._each(self._look_up, [c for c in self._on_wire.values() if not c.is_settled])

    async def _look_up(self, gateway: SweepGateway, case: Case) -> None:
        intent, signed_at_ms = case.intent, case.signed_at_ms
        assert intent is not None
        assert signed_at_ms is not None
        # the clock first: a look-up made after proof time is what proves
        venue_time_ms = await gateway.venue_time_ms()
        try:
            report = await gateway.find(
                case.symbol,
                intent.client_order_id,
                since_ms=signed_at_ms - LOOK_BACK_MS,
                is_list=intent.child_type is ChildType.OCO,
            )
        except OrderAbsentError:
            is_proof = venue_time_ms > self.window.proof_time_ms(case.venue, signed_at_ms)
            case.is_absent = is_proof and self.window.is_ever_proof(intent)
            case.trouble = "not found; it may still arrive"
            return
        del self._on_wire[intent.client_order_id]
        found = self._found(intent, intent.client_order_id, report.venue_order_id)
        found.report = found.report or report

    # --- what is done about it ------------------------------------------------------------------

    async def _cancel_all(self) -> None:
        """Each is asked for once in a round; what is not terminal then is asked for again."""
        live = [c for c in self.cases.values() if not c.is_settled and not c.is_cancel_sent]
        await self._each(self._cancel, live)

    async def _cancel(self, gateway: SweepGateway, case: Case) -> None:
        assert case.venue_order_id is not None
        case.is_cancel_sent = True
        try:
            await gateway.cancel(case.symbol, case.venue_order_id)
        except OrderAbsentError:
            return  # it may be filled, or a cancel before has worked: reading tells

    async def _read(self, gateway: SweepGateway, case: Case) -> None:
        assert case.venue_order_id is not None
        case.is_cancel_sent = False
        try:
            order = await gateway.read_order(case.symbol, case.venue_order_id)
        except OrderAbsentError:
            case.trouble = "the venue does not know it now"
            return
        case.report, case.trouble = order.report, ""
        if not order.report.status.is_terminal:
            case.trouble = "open after its cancel"

    async def _each(
        self,
        act: Callable[[SweepGateway, Case], Coroutine[Any, Any, None]],
        cases: Iterable[Case],
    ) -> None:
        """Do it for all, side by side and each within its account's pace."""

        async def one(case: Case) -> None:
            where = (case.venue, case.account)
            if where not in self.gateways:
                case.trouble = f"account {case.account} is not configured at {case.venue}"
                return
            async with self._gates[where]:
                await self._paces[where].turn()
                try:
                    await act(self.gateways[where], case)
                except _AWAY as error:
                    case.trouble = str(error)
                    retry_after_s = getattr(error, "retry_after_s", None)
                    if retry_after_s is not None:
                        self._paces[where].rest(retry_after_s)

        await asyncio.gather(*(one(case) for case in cases))


def _on_wire(unanswered: Unanswered) -> Case:
    intent = unanswered.child.intent
    return Case(
        venue=intent.venue,
        account=intent.account,
        symbol=intent.symbol,
        client_order_id=intent.client_order_id,
        intent=intent,
        signed_at_ms=unanswered.signed_at_ms,
    )
