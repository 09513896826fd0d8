"""Who decided what about an order, on its page: the risk checks' verdicts, people's actions.

Rule: newest first, as the ledger has them. It must not know what else the page shows.
"""

from dataclasses import dataclass
from datetime import datetime

from activities.ledger.view_checks import CheckView
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.order_story import Story, children_by_id
from starters.dashboard.parts import card, empty
from starters.dashboard.table import Column, Content, Table, Words
from starters.dashboard.words import Badge
from workflows.messages import OrderSnapshot
from workflows.steering_messages import ActionView

_APPROVED = Badge(word="approved", icon="verified_user", tone="good")
_DENIED = Badge(word="denied", icon="gpp_bad", tone="warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    check: CheckView
    of: str


class Verdicts:
    """Both lists."""

    def __init__(self, board: Board) -> None:
        self._board = board
        with card("Risk checks", "flush bounded"):
            self._checks = Table("Risk checks, newest first", self._verdicts(), key=_key)
            self._unchecked = empty(
                "shield", "Not checked by itself", "A leg passes with the rest."
            )
        with card("Actions", "flush bounded"):
            self._actions = Table(
                "Actions, newest first", self._deeds(), key=lambda each: str(each.index)
            )
            self._nobody = empty("touch_app", "Nobody has steered it")

    def show(self, order: OrderSnapshot, story: Story) -> None:
        """As they are now."""
        numbers = children_by_id(story)
        found = [_Verdict(check=each, of=_subject(each, numbers)) for each in story.checks]
        self._checks.show(found)
        self._checks.element.set_visibility(bool(found))
        self._unchecked.set_visibility(not found)
        self._actions.show(order.actions[::-1])
        self._actions.element.set_visibility(bool(order.actions))
        self._nobody.set_visibility(not order.actions)

    def _when(self, at: str | datetime) -> Content:
        return Words(text=words.clock(at, self._board.now()))

    def _verdicts(self) -> list[Column[_Verdict]]:
        return [
            Column(name="When", content=lambda each: self._when(each.check.checked_at)),
            Column(
                name="Verdict",
                content=lambda each: _DENIED if each.check.verdict == "denied" else _APPROVED,
            ),
            Column(name="Of", content=lambda each: Words(text=each.of)),
            Column(name="Why", content=_why, classes="long"),
        ]

    def _deeds(self) -> list[Column[ActionView]]:
        return [
            Column(name="When", content=lambda each: self._when(each.at)),
            Column(name="What", content=lambda each: Words(text=each.kind, under=each.detail)),
            Column(name="Who", content=lambda each: Words(text=each.requested_by)),
            Column(
                name="Why",
                content=lambda each: Words(text=each.reason or words.NONE),
                classes="long",
            ),
        ]


def _key(each: _Verdict) -> str:
    return f"{each.check.kind} {each.check.subject} {each.check.attempt}"


def _subject(check: CheckView, numbers: dict[str, int]) -> str:
    if check.kind == "parent":
        return "the order"
    number = numbers.get(check.subject)
    return f"child {check.subject if number is None else number}"


def _why(each: _Verdict) -> Content:
    told = (each.check.code, each.check.detail)
    return Words(text=" ".join(part for part in told if part) or words.NONE)
