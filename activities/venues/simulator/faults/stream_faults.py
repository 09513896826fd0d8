"""What can happen to single events of a stream, and the action that disturbs streams whole.

Rule: `STREAM_FAULTS` says which fault is made of what; the doing is the line's. Events are matched
by account, symbol and order as requests are, and by `kind`, their execution type: fills (TRADE)
unless said otherwise. The private stream is meant unless `stream` says that it is the public one,
where a kind is TRADE or TOUCH.
"""

from collections.abc import Callable, Mapping
from typing import Any

from activities.venues.simulator.delivery import until_gone
from activities.venues.simulator.faults.dialect import Purpose
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.faults.request_faults import RequestFault
from activities.venues.simulator.faults.rules import Facts, Fault
from activities.venues.simulator.faults.stream_line import EventFault, Mode, StreamLine
from activities.venues.simulator.public_feed import TOUCH
from activities.venues.simulator.seams import Answer, RequestContext
from activities.venues.simulator.stream_seam import Send, StreamEvent, StreamKind

_ANY = "any"
_KINDS = ("NEW", "TRADE", "CANCELED", "EXPIRED", TOUCH, _ANY)
Meant = tuple[str | None, StreamKind]
"""The kind of event (None: any), and on which stream."""
_ON_ITS_WAY_S = 0.2
"""What an answer or an event needs to be read at the other end."""


class Duplicated(EventFault):
    """The event is sent so many times."""

    def __init__(self, meant: Meant, copies: int) -> None:
        super().__init__(*meant)
        self._copies = copies

    async def act(self, _line: StreamLine, _event: StreamEvent, send: Send, /) -> None:
        """See EventFault."""
        for _ in range(self._copies):
            await send()


class Late(EventFault):
    """The event is sent later; those after it are not."""

    def __init__(self, meant: Meant, delay_s: float) -> None:
        super().__init__(*meant)
        self._delay_s = delay_s

    async def act(self, line: StreamLine, _event: StreamEvent, send: Send, /) -> None:
        """See EventFault."""
        line.send_after(send, self._delay_s)


class Lost(EventFault):
    """The event is never sent."""

    async def act(self, _line: StreamLine, _event: StreamEvent, _send: Send, /) -> None:
        """See EventFault."""


class Reordered(EventFault):
    """The event is sent behind so many that follow it."""

    def __init__(self, meant: Meant, depth: int) -> None:
        super().__init__(*meant)
        self._depth = depth

    async def act(self, line: StreamLine, event: StreamEvent, send: Send, /) -> None:
        """See EventFault."""
        line.send_behind(event, send, self._depth)


class AfterCancelAck(EventFault):
    """The event is sent only after a cancel of its order was answered."""

    def __init__(self, kind: str | None, delay_s: float) -> None:
        super().__init__(kind)
        self._delay_s = delay_s

    async def act(self, line: StreamLine, event: StreamEvent, send: Send, /) -> None:
        """See EventFault."""
        line.send_after_cancel(event, send, self._delay_s)


class BeforeAck(RequestFault):
    """The answer to an order leaves only after the events that the order caused."""

    def __init__(self, line: StreamLine, delay_s: float) -> None:
        self._line, self._delay_s = line, delay_s

    def applies(self, facts: Facts) -> bool:
        """See Fault."""
        return facts.purpose is Purpose.SUBMIT

    async def after(self, request: RequestContext, answer: Answer) -> Answer:
        """See RequestFault."""
        await self._line.left(request.account)
        await until_gone(request.wire, self._delay_s)
        return answer


Build = Callable[[Options, StreamLine], Fault]


def _kind(options: Options) -> str | None:
    kind = options.one_of("kind", _KINDS, "TRADE")
    return None if kind == _ANY else kind


def _meant(options: Options) -> Meant:
    return _kind(options), _stream(options)


def _stream(options: Options) -> StreamKind:
    return StreamKind(options.one_of("stream", list(StreamKind), StreamKind.PRIVATE))


def _duplicated(options: Options, _: StreamLine) -> Fault:
    return Duplicated(_meant(options), options.number("copies", 2, low=2, high=100))


def _late(options: Options, _: StreamLine) -> Fault:
    return Late(_meant(options), options.seconds("delay_s"))


def _lost(options: Options, _: StreamLine) -> Fault:
    return Lost(*_meant(options))


def _reordered(options: Options, _: StreamLine) -> Fault:
    return Reordered(_meant(options), options.number("depth", 1, low=1, high=1_000))


def _after_cancel_ack(options: Options, _: StreamLine) -> Fault:
    return AfterCancelAck(_kind(options), options.seconds("delay_s", _ON_ITS_WAY_S))


def _before_ack(options: Options, line: StreamLine) -> Fault:
    return BeforeAck(line, options.seconds("delay_s", _ON_ITS_WAY_S))


STREAM_FAULTS: Mapping[str, Build] = {
    "event_duplicate": _duplicated,
    "event_late": _late,
    "event_lost": _lost,
    "event_reorder": _reordered,
    "event_before_ack": _before_ack,
    "event_after_cancel_ack": _after_cancel_ack,
}


def stream_action(options: Options, line: StreamLine) -> dict[str, Any]:
    """The action `stream`: cut, silence or restore streams, or begin a reconnect storm."""
    mode = Mode(options.one_of("mode", [each.value for each in Mode], ""))
    stream, account = _stream(options), options.text("account")
    for_s = options.anything("for_s")
    lasts_s = None if for_s is None else options.seconds("for_s")
    dead = options.flag("dead", default=False)
    options.finish()
    if stream is StreamKind.PUBLIC and account is not None:
        raise options.error("a public stream has no account")
    hit = line.set_mode(mode, stream=stream, account=account, for_s=lasts_s, dead=dead)
    return {"connections": hit}
