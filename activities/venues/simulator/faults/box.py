"""The box of faults of one exchange: its rules, what is held, and the hooks that carry rules out.

Rule: all faults of an exchange are reached through here, and `clear` leaves none of them behind.
Which order a request is about is worked out here, from what the dialect reads in it.
"""

from collections.abc import Mapping
from typing import Any

from activities.venues.simulator.faults.actions import MarketActions, Told
from activities.venues.simulator.faults.book_faults import BOOK_FAULTS
from activities.venues.simulator.faults.dialect import Purpose, Reading
from activities.venues.simulator.faults.dialects import fault_dialect
from activities.venues.simulator.faults.holds import HoldBoard
from activities.venues.simulator.faults.options import FaultError, Options
from activities.venues.simulator.faults.request_faults import (
    REQUEST_FAULTS,
    RequestFault,
    Setting,
)
from activities.venues.simulator.faults.rules import Facts, Fault, Match, Rule, RuleBook
from activities.venues.simulator.faults.stream_faults import STREAM_FAULTS, stream_action
from activities.venues.simulator.faults.stream_line import StreamLine
from activities.venues.simulator.orders import Order, OrderList
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

STREAM = "stream"


class FaultBox:
    """RequestHooks of a disturbed exchange; `stream` is its StreamHooks."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange
        self.rules = RuleBook()
        self.holds = HoldBoard()
        self.stream = StreamLine(self.rules)
        self._dialect = fault_dialect(exchange)
        self._market = MarketActions(exchange, self._dialect.name_by_hand)
        self._setting = Setting(exchange=exchange, dialect=self._dialect, holds=self.holds)

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
            return REQUEST_FAULTS[name](options, self._setting)
        if name in BOOK_FAULTS:
            return BOOK_FAULTS[name](options, self._setting)
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
        facts = self._facts(request)
        if facts.purpose is Purpose.CANCEL and facts.client_order_id is not None:
            self.stream.cancel_answered(facts.client_order_id)
        return answer

    def _facts(self, request: RequestContext) -> Facts:
        read = self._dialect.read(request)
        order = self._order(read, request.account)
        named, symbol = read.client_order_id, read.symbol
        if order is not None:
            named = named or order.client_order_id
        elif (found := self._list(read, request.account)) is not None:
            named, symbol, order = found.client_order_id, found.symbol, self._leg(found)
        return Facts(
            purpose=read.purpose,
            method=request.method,
            path=request.path,
            account=request.account,
            symbol=symbol,
            client_order_id=named,
            order=order,
        )

    def _order(self, read: Reading, account: str | None) -> Order | None:
        """The order that is meant; of a submission there is none yet."""
        is_named = (read.order_id, read.client_order_id) != (None, None)
        if read.purpose is Purpose.SUBMIT or account is None or read.symbol is None or not is_named:
            return None
        state = self._exchange.engine.state
        return state.find(account, read.symbol, read.order_id, read.client_order_id)

    def _list(self, read: Reading, account: str | None) -> OrderList | None:
        """The order list that is meant; of a submission there is none yet."""
        is_named = (read.list_id, read.client_order_id) != (None, None)
        if read.purpose is Purpose.SUBMIT or account is None or not is_named:
            return None
        state = self._exchange.engine.state
        return state.find_list(account, read.list_id, read.client_order_id)

    def _leg(self, found: OrderList) -> Order:
        """The order of a list that the market can trade with, else its first."""
        legs = [self._exchange.engine.state.orders[each] for each in found.order_ids]
        return next((leg for leg in legs if leg.status.is_open and not leg.is_waiting), legs[0])
