"""The two legs of an arbitrage: what each pair of their states means, and what to do now.

Theory of operation. Each leg is worked by the child protocol, which alone talks to the venue and
knows how to cancel, to confirm and to resolve an unknown order. This module only looks at both
legs at once: `TABLE` says for each of the 36 pairs of states what becomes of either leg, and
`next_step` applies the pair's cell to the deadlines, to the user's cancel and to the leg that a
sequential plan holds back. The caller carries the step out, and asks again whenever a leg, a
deadline or the user's wish has changed.

What always holds:

- nothing is judged (done, abort, choose) while a leg may still execute: first cancel and confirm;
- nothing new is sent, and nothing hedged, while a leg is unknown: its late fill would double it;
- the leg that was held back is sized by the net fill of the other one once that is final, so what
  is left of a partly filled leg is cancelled first.

It must not know clocks, prices, quantities or venues.
"""

from dataclasses import dataclass
from enum import StrEnum

from workflows.domain.orders import Side


class LegState(StrEnum):
    """One leg as the table sees it.

    NONE was never sent; REJECTED was sent and ended with nothing filled. A leg that ended with a
    part filled is PARTIAL, and not live.
    """

    NONE = "none"
    OPEN = "open"
    PARTIAL = "partial"
    FILLED = "filled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Code(StrEnum):
    """What a pair of states means.

    A: abort, no exposure. D: done. W: wait to the deadline. X: cancel and confirm. C: submit the
    missing leg if that is within the bound. H: choose how to hedge. Q: query until definitive.
    """

    A = "A"
    WX = "W/X"
    WXH = "W/X+H"
    X = "X"
    XH = "X+H"
    CH = "C/H"
    H = "H"
    Q = "Q"
    D = "D"


class Directive(StrEnum):
    """What becomes of one leg now."""

    LEAVE = "leave"
    """There is nothing to do."""
    WAIT = "wait"
    """It works until its deadline, and is cancelled then."""
    CANCEL = "cancel"
    """It, or what is left of it, is cancelled now."""
    QUERY = "query"
    """It is resolved; the child's own protocol does that."""
    HOLD_BACK = "hold back"
    """It is not submitted."""
    SUBMIT = "submit"
    """It is submitted now, for the net filled quantity of the other leg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One pair of states: its code, the action and the exposure in words, and both directives."""

    code: Code
    action: str
    exposure: str
    buy: Directive
    sell: Directive


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFacts:
    """One leg now. `is_live`: it may still execute at its venue (open, what is left of a partial
    one, unknown). `is_sent`: False when it is certain that its venue never saw it.

    Raises ValueError for a combination that cannot be: an open leg that is not live, for one.
    """

    state: LegState
    is_live: bool
    is_sent: bool

    def __post_init__(self) -> None:
        if self.is_live is not (self.state in _ALWAYS_LIVE) and self.state not in _HAS_FILLED:
            raise ValueError(f"a leg that is {self.state} with is_live={self.is_live}")

    @property
    def has_filled(self) -> bool:
        """True when any of it is known to have executed."""
        return self.state in _HAS_FILLED


_ALWAYS_LIVE = frozenset({LegState.OPEN, LegState.UNKNOWN})
# Live or not: a filled leg is live for as long as its venue has not said that it is over.
_HAS_FILLED = frozenset({LegState.PARTIAL, LegState.FILLED})


class Verdict(StrEnum):
    """What the pair comes to now."""

    WAIT = "wait"
    """Something may still execute: ask again when anything has changed."""
    ABORT = "abort"
    """Both legs are over and nothing filled."""
    DONE = "done"
    """Both legs are filled."""
    CHOOSE = "choose"
    """Both legs are over, and something that filled may stand alone."""
    SUBMIT = "submit"
    """The leg that was held back is to be sent, if within the bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now: the legs to cancel, and the leg to submit (with SUBMIT only)."""

    verdict: Verdict
    cancel_buy: bool
    cancel_sell: bool
    submit: Side | None = None


def cell(buy: LegState, sell: LegState) -> Cell:
    """The cell of the decision table for this pair of states."""
    return TABLE[buy, sell]


def next_step(
    buy: LegFacts,
    sell: LegFacts,
    *,
    sequential: bool,
    is_due: bool,
    is_one_sided_due: bool,
    is_cancelled: bool,
    buy_may_start: bool,
    sell_may_start: bool,
) -> Step:
    """Apply the table to the pair of now.

    is_due: the deadline of the legs is over. is_one_sided_due: so is the shorter one of a leg that
    waits alone. is_cancelled: the user cancels; nothing new is submitted, everything live goes.
    x_may_start: this leg of a sequential plan is held back and may be submitted when the table
    says so. After the deadline nothing is submitted: choosing covers completing.
    """
    is_over = is_due or is_cancelled
    here = cell(buy.state, sell.state)
    may_submit = sequential and not is_over
    bought = _Leg(here.buy, buy, sell, can_come=may_submit and buy_may_start)
    sold = _Leg(here.sell, sell, buy, can_come=may_submit and sell_may_start)
    submit = None
    if bought.is_to_be_submitted:
        submit = Side.BUY
    elif sold.is_to_be_submitted:
        submit = Side.SELL
    return Step(
        verdict=_verdict(buy, sell, submit),
        cancel_buy=bought.must_go(is_over, is_one_sided_due, other_can_come=sold.can_come),
        cancel_sell=sold.must_go(is_over, is_one_sided_due, other_can_come=bought.can_come),
        submit=submit,
    )


_OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


@dataclass(frozen=True, slots=True)
class _Leg:
    """One leg beside the other one. `can_come`: it is held back and may still be submitted."""

    directive: Directive
    facts: LegFacts
    other: LegFacts
    can_come: bool

    @property
    def is_to_be_submitted(self) -> bool:
        return self.directive is Directive.SUBMIT and self.can_come and not self.other.is_live

    def must_go(self, is_over: bool, is_one_sided_due: bool, *, other_can_come: bool) -> bool:
        """True when this leg is to be taken off its venue now."""
        if not self.facts.is_live or self.facts.state is LegState.FILLED:
            return False
        if is_over or self.directive is Directive.CANCEL:
            return True
        if self.other.state is LegState.UNKNOWN and not self.facts.is_sent:
            return True  # nothing new is sent beside an unknown leg
        if self.directive is not Directive.WAIT:
            return False
        if self.other.state is LegState.NONE:
            return not other_can_come  # the other one was denied
        return is_one_sided_due and self._waits_alone

    @property
    def _waits_alone(self) -> bool:
        is_filled = self.other.state is LegState.FILLED
        return is_filled or (self.other.has_filled and not self.other.is_live)


def _verdict(buy: LegFacts, sell: LegFacts, submit: Side | None) -> Verdict:
    if buy.is_live or sell.is_live:
        return Verdict.WAIT
    if submit is not None:
        return Verdict.SUBMIT
    if buy.state is LegState.FILLED and sell.state is LegState.FILLED:
        return Verdict.DONE
    return Verdict.CHOOSE if buy.has_filled or sell.has_filled else Verdict.ABORT


# --- the table ----------------------------------------------------------------------------------

_ABORT = "abort: no exposure; outcome ABORTED (not started or rejected)"
_HELD = (
    "sequential mode: wait for {there} fills then submit {here} for the filled net qty;"
    " concurrent mode: {here} was denied -> cancel {there}, confirm"
)
_COMPLETE = "submit {here} for the {there} net filled qty if still within bound, else unwind"
_COMPLETE_REST = f"{_COMPLETE} (cancel the rest first)"
_COMPLETE_ALL = f"{_COMPLETE} (choose())"
_BOTH_REST = "wait to deadline; then cancel both, confirm both terminal, re-evaluate"
_ONE_FILLED = (
    "wait to deadline (shorter once one side has filled); cancel both; confirm;"
    " choose() on the residual"
)
_SHORT_TIMER = (
    "give {here} the leg deadline (it may be re-priced up to the bound); cancel, confirm,"
    " choose() on the residual"
)
_CANCEL_OPEN = "cancel {here} now, confirm terminal, re-read fills; 0 -> abort, >0 -> choose()"
_CANCEL_REST = "cancel the rest of {here}, confirm, choose() on the filled qty"
_CHOOSE = "choose(): complete (resend rejected leg with new id if reason is transient) or unwind"
_DONE = "done: compute profit (net base may still differ: base fees, lots)"
_QUERY = "query {there} by client id until definitive"
_QUERY_HELD = f"{_QUERY}; do not submit the other leg"
_QUERY_OPEN = f"{_QUERY}; let the other leg work to its deadline, then cancel it"
_QUERY_REST = f"{_QUERY}; cancel the rest of the other leg; do not hedge yet"
_QUERY_FILLED = f"{_QUERY}; do not hedge yet (a late fill would double the hedge)"
_QUERY_BOTH = "query both legs by client id until definitive; freeze new trades on this pair"

_N, _O, _P = LegState.NONE, LegState.OPEN, LegState.PARTIAL
_F, _R, _U = LegState.FILLED, LegState.REJECTED, LegState.UNKNOWN
_NO, _PARTLY, _ONE_SIDED, _HIDDEN = "none", "partly one-sided", "one-sided", "unknown"

# The table is its own mirror: a row is (state here, state there) -> what becomes of here, of
# there, the action in words and the exposure. Rows with two equal states appear once.
_HALF: tuple[tuple[LegState, LegState, Code, Directive, Directive, str, str], ...] = (
    (_N, _N, Code.A, Directive.HOLD_BACK, Directive.HOLD_BACK, _ABORT, _NO),
    (_N, _O, Code.WX, Directive.HOLD_BACK, Directive.WAIT, _HELD, "none yet"),
    (_N, _P, Code.CH, Directive.SUBMIT, Directive.CANCEL, _COMPLETE_REST, _ONE_SIDED),
    (_N, _F, Code.CH, Directive.SUBMIT, Directive.LEAVE, _COMPLETE_ALL, _ONE_SIDED),
    (_N, _R, Code.A, Directive.HOLD_BACK, Directive.LEAVE, _ABORT, _NO),
    (_N, _U, Code.Q, Directive.HOLD_BACK, Directive.QUERY, _QUERY_HELD, _HIDDEN),
    (_O, _O, Code.WX, Directive.WAIT, Directive.WAIT, _BOTH_REST, _NO),
    (_O, _P, Code.WXH, Directive.WAIT, Directive.WAIT, _ONE_FILLED, _PARTLY),
    (_O, _F, Code.WXH, Directive.WAIT, Directive.LEAVE, _SHORT_TIMER, _PARTLY),
    (_O, _R, Code.X, Directive.CANCEL, Directive.LEAVE, _CANCEL_OPEN, "possible"),
    (_O, _U, Code.Q, Directive.WAIT, Directive.QUERY, _QUERY_OPEN, _HIDDEN),
    (_P, _P, Code.WXH, Directive.WAIT, Directive.WAIT, _ONE_FILLED, _PARTLY),
    (_P, _F, Code.WXH, Directive.WAIT, Directive.LEAVE, _SHORT_TIMER, _PARTLY),
    (_P, _R, Code.XH, Directive.CANCEL, Directive.LEAVE, _CANCEL_REST, _ONE_SIDED),
    (_P, _U, Code.Q, Directive.CANCEL, Directive.QUERY, _QUERY_REST, _HIDDEN),
    (_F, _F, Code.D, Directive.LEAVE, Directive.LEAVE, _DONE, "matched"),
    (_F, _R, Code.H, Directive.LEAVE, Directive.LEAVE, _CHOOSE, _ONE_SIDED),
    (_F, _U, Code.Q, Directive.LEAVE, Directive.QUERY, _QUERY_FILLED, _HIDDEN),
    (_R, _R, Code.A, Directive.LEAVE, Directive.LEAVE, _ABORT, _NO),
    (_R, _U, Code.Q, Directive.LEAVE, Directive.QUERY, _QUERY, _HIDDEN),
    (_U, _U, Code.Q, Directive.QUERY, Directive.QUERY, _QUERY_BOTH, _HIDDEN),
)


def _table() -> dict[tuple[LegState, LegState], Cell]:
    table = {}
    for here, there, code, at_here, at_there, action, exposure in _HALF:
        for side, states in ((Side.BUY, (here, there)), (Side.SELL, (there, here))):
            is_buy = side is Side.BUY
            table[states] = Cell(
                code=code,
                action=action.format(here=side, there=_OPPOSITE[side]),
                exposure=exposure,
                buy=at_here if is_buy else at_there,
                sell=at_there if is_buy else at_here,
            )
    return table


TABLE: dict[tuple[LegState, LegState], Cell] = _table()
