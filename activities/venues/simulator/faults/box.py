"""The box of faults of one exchange: its rules, what is held, and the hooks that carry rules out.

Rule: all faults of an exchange are reached through here, and `clear` leaves none of them behind.
Which request is about which order is worked out here, in Binance's parameter names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from activities.venues.simulator.binance.shapes import venue_symbol
from activities.venues.simulator.faults.actions import MarketActions, Told
from activities.venues.simulator.faults.book_faults import BOOK_FAULTS
from activities.venues.simulator.faults.holds import HoldBoard
from activities.venues.simulator.faults.options import FaultError, Options
from activities.venues.simulator.faults.request_faults import REQUEST_FAULTS, RequestFault
from activities.venues.simulator.faults.rules import Facts, Fault, Match, Rule, RuleBook
from activities.venues.simulator.faults.stream_faults import STREAM_FAULTS, stream_action
from activities.venues.simulator.faults.stream_line import StreamLine
from activities.venues.simulator.orders import Order
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

STREAM = "stream"


class FaultBox:
    """RequestHooks of a disturbed exchange; `stream` is its StreamHooks."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange
        self._market = MarketActions(exchange)
        self.rules = RuleBook()
        self.holds = HoldBoard()
        self.stream = StreamLine(self.rules)
        specs = exchange.engine.state.specs
        self._symbols = {venue_symbol(spec): name for name, spec in specs.items()}

    # --- what a test tells ----------------------------------------------------------------------

    def add(self, name: str, given: Mapping[str, Any]) -> Rule:
        """Put a rule into force. Raises FaultError for what is wrong with it."""
        options = Options(name, given)
        fault = self._build(name, options)
        match = Match.read(options, fault.default_times)
        options.finish()
        return self.rules.add(name, match, fault)

    def act(self, action: str, given: Mapping[str, Any]) -> Told:
        """Do something at once. Raises FaultError for what is wrong with it."""
        options = Options(action, given)
        if action == STREAM:
            return stream_action(options, self.stream)
        known = self._market.table
        if action not in known:
            names = ", ".join(sorted([*known, STREAM]))
            raise FaultError(f"there is no action {action!r} (there are {names})")
        return known[action](options)

    def clear(self) -> None:
        """No rules, nothing held, and clock, market and streams as usual."""
        self.rules.clear()
        self.holds.release()
        self._market.restore()
        self.stream.clear()

    async def close(self) -> None:
        """Let go of everything, for the exchange ends."""
        self.clear()
        await self.stream.close()

    def _build(self, name: str, options: Options) -> Fault:
        if name in REQUEST_FAULTS:
            return REQUEST_FAULTS[name](options, self.holds)
        if name in BOOK_FAULTS:
            return BOOK_FAULTS[name](options, self._exchange)
        if name in STREAM_FAULTS:
            return STREAM_FAULTS[name](options, self.stream)
        known = sorted([*REQUEST_FAULTS, *BOOK_FAULTS, *STREAM_FAULTS])
        raise FaultError(f"there is no fault {name!r} (there are {', '.join(known)})")

    # --- what the exchange tells ----------------------------------------------------------------

    async def before_book(self, request: RequestContext) -> Answer | None:
        """See RequestHooks."""
        facts = self._facts(request)
        for rule in self.rules.in_force():
            # One after the other: what meets an earlier fault may never come to a later one.
            if isinstance(rule.fault, RequestFault) and self.rules.meets(rule, facts):
                request.disturbed_by.append(rule)
                instead = await rule.fault.before(request, facts)
                if instead is not None:
                    return instead
        return None

    async def after_book(self, request: RequestContext, answer: Answer) -> Answer:
        """See RequestHooks. A rule that is no longer in force lets the answer go."""
        for rule in request.disturbed_by:
            if not isinstance(rule, Rule) or not self.rules.has(rule):
                continue
            if isinstance(rule.fault, RequestFault):
                answer = await rule.fault.after(request, answer)
        client_order_id = self._facts(request).client_order_id
        if request.method == "DELETE" and client_order_id is not None:
            self.stream.cancel_answered(client_order_id)
        return answer

    def _facts(self, request: RequestContext) -> Facts:
        facts = Facts(
            method=request.method,
            path=request.path,
            account=request.account,
            symbol=self._symbols.get(request.params.get("symbol", "")),
        )
        if request.method == "POST":
            return replace(facts, client_order_id=request.params.get("newClientOrderId"))
        order = self._order(request, facts)
        named = request.params.get("origClientOrderId")
        found = order.client_order_id if named is None and order is not None else named
        return replace(facts, client_order_id=found, order=order)

    def _order(self, request: RequestContext, facts: Facts) -> Order | None:
        number = request.params.get("orderId", "")
        client_id = request.params.get("origClientOrderId")
        order_id = int(number) if number.isdecimal() and number.isascii() else None
        if facts.account is None or facts.symbol is None or (order_id, client_id) == (None, None):
            return None
        state = self._exchange.engine.state
        return state.find(facts.account, facts.symbol, order_id, client_id)
