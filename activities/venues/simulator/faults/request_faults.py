"""What can happen to a request on its way in and its answer on its way out.

Rule: `before` acts before the book, and an answer from it takes the book's place; `after` acts when
the journal was written. The table says which fault is made of what. Reads and the market have
modules of their own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from activities.venues.simulator.delivery import until_gone
from activities.venues.simulator.faults import broken_answers, refusals
from activities.venues.simulator.faults.broken_answers import Break
from activities.venues.simulator.faults.dialect import FaultDialect, Purpose, Trouble
from activities.venues.simulator.faults.holds import HoldBoard
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.faults.refusals import LONGEST_RETRY_AFTER_S, Refusal
from activities.venues.simulator.faults.rules import Facts, Fault
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, Delivery, RequestContext

_BEFORE, _AFTER = "before", "after"
_LATE_ANSWER_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What faults are made with: the exchange, its dialect, and where requests are held."""

    exchange: PaperExchange
    dialect: FaultDialect
    holds: HoldBoard


class RequestFault(Fault):
    """Base: lets everything pass."""

    async def before(self, _request: RequestContext, _facts: Facts, /) -> Answer | None:
        """Before the book. An answer takes its place."""

    async def after(self, _request: RequestContext, answer: Answer, /) -> Answer:
        """Before the answer leaves."""
        return answer


class Refused(RequestFault):
    """The request is refused; nothing is executed."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    async def before(self, request: RequestContext, _facts: Facts, /) -> Answer | None:
        return self._refusal(request)


class Broken(RequestFault):
    """The answer is changed; the effect is done."""

    def __init__(self, change: Break) -> None:
        self._change = change

    async def after(self, _request: RequestContext, answer: Answer, /) -> Answer:
        return self._change(answer)


class Denied(RequestFault):
    """The effect is done, and the answer is that of a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    async def after(self, request: RequestContext, _answer: Answer, /) -> Answer:
        return self._refusal(request)


class Delayed(RequestFault):
    """The request acts `before_s` later, or its answer leaves `after_s` later."""

    def __init__(self, before_s: float = 0, after_s: float = 0) -> None:
        self._before_s, self._after_s = before_s, after_s

    async def before(self, _request: RequestContext, _facts: Facts, /) -> Answer | None:
        # The full time, also when the client has gone: a request under way still arrives.
        await asyncio.sleep(self._before_s)
        return None

    async def after(self, request: RequestContext, answer: Answer, /) -> Answer:
        await until_gone(request.wire, self._after_s)
        return answer


class CancelUnacked(Delayed):
    """A cancel is done and its answer lost."""

    def applies(self, facts: Facts, /) -> bool:
        return facts.purpose is Purpose.CANCEL


class RejectedLate(Refused):
    """The request is refused as by the venue, and the answer comes late or never."""

    def __init__(self, refusal: Refusal, delay_s: float) -> None:
        super().__init__(refusal)
        self._delay_s = delay_s

    async def after(self, request: RequestContext, answer: Answer, /) -> Answer:
        await until_gone(request.wire, self._delay_s)
        return answer


class HeldFault(RequestFault):
    """The request waits for its release, before or after the effect."""

    def __init__(self, board: HoldBoard, where: str) -> None:
        self._board, self._where = board, where

    async def before(self, request: RequestContext, _facts: Facts, /) -> Answer | None:
        if self._where == _BEFORE:
            await self._hold(request)
        return None

    async def after(self, request: RequestContext, answer: Answer, /) -> Answer:
        if self._where == _AFTER:
            await self._hold(request)
        return answer

    async def _hold(self, request: RequestContext) -> None:
        await self._board.hold(self, request.method, request.path, request.params)


class Banned(RequestFault):
    """Every request is refused, from the first that it meets on until the time is over.

    With an account, for all signed requests of that account; else for everybody's.
    """

    def __init__(self, account: str | None, refusal: Refusal, lasts_s: float) -> None:
        self._account, self._refusal, self._lasts_s = account, refusal, lasts_s
        self._until_s: float | None = None

    def persists(self, facts: Facts, /) -> bool:
        banned = self._until_s is not None and time.monotonic() < self._until_s
        return banned and self._account in (None, facts.account)

    async def before(self, request: RequestContext, facts: Facts, /) -> Answer | None:
        if not self.persists(facts):
            self._until_s = time.monotonic() + self._lasts_s
        return self._refusal(request)


Build = Callable[[Options, Setting], RequestFault]


def _refused(make: Callable[[Options, FaultDialect], Refusal]) -> Build:
    return lambda options, setting: Refused(make(options, setting.dialect))


def _broken(make: Callable[[Options, FaultDialect], Break]) -> Build:
    return lambda options, setting: Broken(make(options, setting.dialect))


def _lost_before(delivery: Delivery) -> Build:
    return lambda _options, _setting: Refused(refusals.lost(delivery))


def _lost_after(delivery: Delivery) -> Build:
    return lambda _options, _setting: Broken(broken_answers.delivered(delivery))


def _held(where: str) -> Build:
    return lambda _, setting: HeldFault(setting.holds, where)


def _accept_then_timeout(options: Options, _: Setting) -> RequestFault:
    return Delayed(after_s=options.seconds("delay_s", _LATE_ANSWER_S))


def _cancel_unacked(options: Options, _: Setting) -> RequestFault:
    return CancelUnacked(after_s=options.seconds("delay_s", _LATE_ANSWER_S))


def _reject_then_timeout(options: Options, setting: Setting) -> RequestFault:
    delay_s = options.seconds("delay_s", _LATE_ANSWER_S)
    return RejectedLate(refusals.refuse(options, setting.dialect), delay_s)


def _late(options: Options, _: Setting) -> RequestFault:
    return Delayed(before_s=options.seconds("delay_s"))


def _answer_late(options: Options, _: Setting) -> RequestFault:
    return Delayed(after_s=options.seconds("delay_s"))


def _unknown_code(options: Options, setting: Setting) -> RequestFault:
    refusal = refusals.unknown_code(options, setting.dialect)
    return Denied(refusal) if options.flag("executed", default=False) else Refused(refusal)


def _answer(options: Options, _: Setting) -> RequestFault:
    answer = broken_answers.verbatim(options)
    if options.flag("executed", default=True):
        return Broken(lambda _: answer)
    return Refused(lambda _: answer)


def _banned(options: Options, setting: Setting) -> RequestFault:
    retry_after_s = options.number("retry_after_s", 120, low=1, high=LONGEST_RETRY_AFTER_S)
    lasts_s = options.seconds("for_s", float(retry_after_s))
    refusal = refusals.too_many(setting.dialect, Trouble.BANNED, retry_after_s)
    return Banned(options.text("account"), refusal, lasts_s)


REQUEST_FAULTS: Mapping[str, Build] = {
    **{name: _refused(make) for name, make in refusals.REFUSALS.items()},
    **{name: _broken(make) for name, make in broken_answers.BROKEN.items()},
    "drop_before": _lost_before(Delivery.CLOSED),
    "hang_before": _lost_before(Delivery.NEVER),
    "drop_after": _lost_after(Delivery.CLOSED),
    "hang_after": _lost_after(Delivery.NEVER),
    "accept_then_reset": _lost_after(Delivery.RESET),
    "answer_twice": _lost_after(Delivery.TWICE),
    "accept_then_timeout": _accept_then_timeout,
    "cancel_unacked": _cancel_unacked,
    "reject_then_timeout": _reject_then_timeout,
    "late": _late,
    "answer_late": _answer_late,
    "hold_before": _held(_BEFORE),
    "hold_after": _held(_AFTER),
    "unknown_code": _unknown_code,
    "answer": _answer,
    "banned": _banned,
}
