"""What can be done to an order from its page: pause, resume, cancel.

Rule: as over HTTP: pausing and resuming need the scope trade, cancelling trade or kill. A leg is
its execution's to steer. It must not know what else the page shows.
"""

from starters import lookup
from starters.dashboard.actions import Action
from starters.dashboard.frame import Page
from workflows import names
from workflows.domain.access import Caller, Scope
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import CancelRequest, OrderSnapshot
from workflows.steering_messages import ActionKind, SteerRequest

_PAUSABLE = frozenset({OrderStatus.ACCEPTED, OrderStatus.WORKING, OrderStatus.WAITING_PRICE})


class OrderActions:
    """The buttons; those that make no sense now are not there."""

    def __init__(self, page: Page, order: OrderSnapshot) -> None:
        self._board, self._order = page.board, order
        self._pause = page.actions.button(self._to_pause)
        self._resume = page.actions.button(self._to_resume)
        self._cancel = page.actions.button(self._to_cancel)
        self.show(order)

    def show(self, order: OrderSnapshot) -> None:
        """What can be done now."""
        self._order = order
        is_own = names.owner_of(order.order_id) == order.order_id
        self._pause.show(is_there=is_own and order.status in _PAUSABLE)
        self._resume.show(is_there=is_own and order.status is OrderStatus.PAUSED)
        is_ending = order.status.is_terminal or order.status is OrderStatus.CANCELLING
        self._cancel.show(is_there=is_own and not is_ending)

    def _to_pause(self) -> Action:
        return self._steer(
            ActionKind.PAUSE,
            "Pause",
            "pause",
            "It sends nothing more, takes back what rests, and waits until it is resumed.",
        )

    def _to_resume(self) -> Action:
        return self._steer(ActionKind.RESUME, "Resume", "play_arrow", "It goes on where it was.")

    def _steer(self, kind: ActionKind, label: str, icon: str, text: str) -> Action:
        order_id, board = self._order.order_id, self._board

        async def do(caller: Caller, reason: str) -> str:
            asked = SteerRequest(requested_by=caller.name, reason=reason)
            told = await lookup.steer_order(board.connections, kind, order_id, asked)
            return f"The order is {_word(told)}."

        return Action(
            name=f"order_{kind}",
            about=f"order:{order_id}",
            label=label,
            icon=icon,
            title=f"{label} {_what(self._order)}?",
            text=text,
            scopes=(Scope.TRADE,),
            do=do,
            tone="first" if kind is ActionKind.RESUME else "plain",
            account=self._order.account,
        )

    def _to_cancel(self) -> Action:
        order_id, board = self._order.order_id, self._board

        async def do(_caller: Caller, reason: str) -> str:
            asked = CancelRequest(reason=reason)
            told = await lookup.cancel_order(board.connections, order_id, asked.reason)
            return f"The order is {_word(told)}."

        return Action(
            name="order_cancel",
            about=f"order:{order_id}",
            label="Cancel order",
            icon="cancel",
            title=f"Cancel {_what(self._order)}?",
            text="What is not filled is taken back. What is filled stays.",
            scopes=(Scope.TRADE, Scope.KILL),
            do=do,
            tone="danger",
            account=self._order.account,
        )


def _what(order: OrderSnapshot) -> str:
    kind = (order.order_type or "order").replace("_", " ")
    return f"the {kind} {order.side or ''} of {order.symbol}"


def _word(order: OrderSnapshot) -> str:
    return order.status.value.replace("_", " ")
