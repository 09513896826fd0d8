"""Life cycles as tables: (state, event) -> state. A pair that is not in its table raises.

Two machines. A *parent* is what the user follows. A *child* is worked by `child_order`; its
states name what is known, so `UNKNOWN` (sent, no trustworthy answer) is a state of its own and
leaves only by the venue's word: adopted, or proven absent and then new again: priced, checked
and reserved once more, under the same client order id.
"""

from enum import StrEnum


class OrderStatus(StrEnum):
    """States of a parent order."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    WORKING = "working"
    PAUSED = "paused"
    WAITING_PRICE = "waiting_price"
    CANCELLING = "cancelling"
    SETTLING = "settling"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DENIED = "denied"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """True when nothing can change the order any more."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.EXPIRED,
        OrderStatus.DENIED,
        OrderStatus.REJECTED,
        OrderStatus.FAILED,
    }
)
_LIVE = (OrderStatus.WORKING, OrderStatus.WAITING_PRICE, OrderStatus.PAUSED)
_ENDS = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED)

PARENT_TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.ACCEPTED, OrderStatus.DENIED, OrderStatus.FAILED}),
    OrderStatus.ACCEPTED: frozenset(
        # denied after acceptance: the child's own risk check said no
        {*_LIVE, OrderStatus.CANCELLING, OrderStatus.DENIED, OrderStatus.REJECTED, *_ENDS}
    ),
    OrderStatus.WORKING: frozenset(
        {
            OrderStatus.PAUSED,
            OrderStatus.WAITING_PRICE,
            OrderStatus.CANCELLING,
            OrderStatus.SETTLING,
            OrderStatus.REJECTED,
            OrderStatus.DENIED,
            *_ENDS,
        }
    ),
    OrderStatus.PAUSED: frozenset(
        {
            OrderStatus.WORKING,
            OrderStatus.WAITING_PRICE,
            OrderStatus.CANCELLING,
            OrderStatus.SETTLING,
            *_ENDS,
        }
    ),
    # rejected, denied: the order that a trigger fired was refused
    OrderStatus.WAITING_PRICE: frozenset(
        {
            OrderStatus.WORKING,
            OrderStatus.PAUSED,
            OrderStatus.CANCELLING,
            OrderStatus.SETTLING,
            OrderStatus.REJECTED,
            OrderStatus.DENIED,
            *_ENDS,
        }
    ),
    # filled out of cancelling: the fill won the race against the cancel
    OrderStatus.CANCELLING: frozenset(
        {OrderStatus.SETTLING, OrderStatus.REJECTED, OrderStatus.DENIED, *_ENDS}
    ),
    OrderStatus.SETTLING: frozenset({*_LIVE, OrderStatus.CANCELLING, *_ENDS}),
    **{status: frozenset() for status in _TERMINAL},
}


class IllegalTransitionError(Exception):
    """A state machine was asked for a move that its table does not hold: our bug."""


def move_parent(current: OrderStatus, target: OrderStatus) -> OrderStatus:
    """The parent's next state; staying where it is is always legal."""
    if target is current or target in PARENT_TRANSITIONS[current]:
        return target
    raise IllegalTransitionError(f"parent order: {current} -> {target}")


class ChildStatus(StrEnum):
    """States of a child order, as its workflow and the ledger know it."""

    NEW = "new"
    """Named, not reserved."""
    READY = "ready"
    """Reserved; an attempt may be sent."""
    SENDING = "sending"
    UNKNOWN = "unknown"
    WORKING = "working"
    CANCELLING = "cancelling"
    SETTLING = "settling"
    """Terminal at the venue, its fills not yet complete."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DENIED = "denied"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    """Given up before anything was sent; the reservation is released."""

    @property
    def is_final(self) -> bool:
        """True when the child is settled and holds no reservation."""
        return self in _CHILD_FINAL


_CHILD_FINAL = frozenset(
    {
        ChildStatus.FILLED,
        ChildStatus.CANCELLED,
        ChildStatus.EXPIRED,
        ChildStatus.DENIED,
        ChildStatus.REJECTED,
        ChildStatus.NOT_SENT,
    }
)


class ChildEvent(StrEnum):
    """What can happen to a child order."""

    RESERVED = "reserved"
    DENIED = "denied"
    SUBMIT = "submit"
    ACKED = "acked"
    REJECTED = "rejected"
    ANSWER_UNKNOWN = "answer_unknown"
    PROVEN_UNSENT = "proven_unsent"
    ADOPTED = "adopted"
    PROVEN_ABSENT = "proven_absent"
    GIVE_UP = "give_up"
    CANCEL = "cancel"
    TERMINAL = "terminal"
    SETTLED_FILLED = "settled_filled"
    SETTLED_CANCELLED = "settled_cancelled"
    SETTLED_EXPIRED = "settled_expired"
    SETTLED_REJECTED = "settled_rejected"


_S, _E = ChildStatus, ChildEvent
CHILD_TRANSITIONS: dict[tuple[ChildStatus, ChildEvent], ChildStatus] = {
    (_S.NEW, _E.RESERVED): _S.READY,
    (_S.NEW, _E.DENIED): _S.DENIED,
    (_S.NEW, _E.GIVE_UP): _S.NOT_SENT,
    # the feed, or an older memory of the ledger, knows of an attempt that we thought absent
    (_S.NEW, _E.ADOPTED): _S.WORKING,
    (_S.NEW, _E.ANSWER_UNKNOWN): _S.UNKNOWN,
    (_S.READY, _E.ADOPTED): _S.WORKING,
    (_S.READY, _E.ANSWER_UNKNOWN): _S.UNKNOWN,
    # the price grew old before it was sent
    (_S.READY, _E.PROVEN_UNSENT): _S.NEW,
    (_S.READY, _E.SUBMIT): _S.SENDING,
    (_S.READY, _E.GIVE_UP): _S.NOT_SENT,
    (_S.READY, _E.DENIED): _S.DENIED,
    (_S.SENDING, _E.ACKED): _S.WORKING,
    (_S.SENDING, _E.REJECTED): _S.REJECTED,
    (_S.SENDING, _E.DENIED): _S.DENIED,
    (_S.SENDING, _E.ANSWER_UNKNOWN): _S.UNKNOWN,
    (_S.SENDING, _E.PROVEN_UNSENT): _S.NEW,
    (_S.UNKNOWN, _E.ADOPTED): _S.WORKING,
    (_S.UNKNOWN, _E.REJECTED): _S.REJECTED,
    (_S.UNKNOWN, _E.PROVEN_ABSENT): _S.NEW,
    (_S.WORKING, _E.CANCEL): _S.CANCELLING,
    (_S.WORKING, _E.TERMINAL): _S.SETTLING,
    (_S.CANCELLING, _E.TERMINAL): _S.SETTLING,
    (_S.SETTLING, _E.SETTLED_FILLED): _S.FILLED,
    (_S.SETTLING, _E.SETTLED_CANCELLED): _S.CANCELLED,
    (_S.SETTLING, _E.SETTLED_EXPIRED): _S.EXPIRED,
    # some venues accept first and reject afterwards; what executed before still counts
    (_S.SETTLING, _E.SETTLED_REJECTED): _S.REJECTED,
}


def apply(status: ChildStatus, event: ChildEvent) -> ChildStatus:
    """The child's next state."""
    try:
        return CHILD_TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransitionError(f"child order: {event} in {status}") from None
