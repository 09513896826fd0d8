"""The kill switch on a page: what it is now, and the buttons that set it.

Rule: as over HTTP, halting and reducing need the scope kill or admin, the way back admin, and a key
that is bound to accounts does neither. It must not know where on the page it stands.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from starters.dashboard.actions import Action, RefusedError, settled
from starters.dashboard.board import Board
from starters.dashboard.who import missing
from starters.trading_state import (
    StateEntry,
    StatePage,
    SwitchAnswer,
    SwitchRequest,
    change,
    loosens,
    read_states,
    validate_switch,
)
from workflows.domain.access import Caller, Scope
from workflows.domain.denials import Denied

GLOBAL = "global"
WITHIN_S = Decimal(20)
_STOPPERS = (Scope.KILL, Scope.ADMIN)


async def states(board: Board) -> StatePage:
    """Every switch. Raises Unavailable."""
    return await board.answers.get("trading_states", lambda: read_states(board.connections))


def of_scope(page: StatePage, scope: str = GLOBAL) -> StateEntry:
    """The switch of one scope."""
    return next(each for each in page.states if each.scope == scope)


def halt(board: Board, scope: str = GLOBAL) -> Action:
    """Stop everything of the scope."""
    return Action(
        name="trading_state",
        about=scope,
        label="Halt trading" if scope == GLOBAL else "Halt",
        icon="front_hand",
        title=f"Halt trading: {scope}",
        text="No order of this scope is sent from then on, and what rests is taken off the"
        " exchanges. Orders are paused; each goes on only after trading is active again and it"
        " is resumed itself.",
        scopes=_STOPPERS,
        do=_setting(board, "halted", scope),
        tone="danger",
    )


def reduce(board: Board, scope: str = GLOBAL) -> Action:
    """Let orders only reduce positions."""
    return Action(
        name="trading_state",
        about=scope,
        label="Reduce only",
        icon="trending_down",
        title=f"Only reduce positions: {scope}",
        text="Only orders that make a position smaller pass from then on. What rests stays.",
        scopes=_STOPPERS,
        do=_setting(board, "reducing", scope),
    )


def resume(board: Board, scope: str = GLOBAL) -> Action:
    """Let it trade again."""
    return Action(
        name="trading_state",
        about=scope,
        label="Resume trading" if scope == GLOBAL else "Resume",
        icon="play_arrow",
        title=f"Let trading go on: {scope}",
        text="Orders of this scope pass again. Those that were paused stay paused until each is"
        " resumed.",
        scopes=(Scope.ADMIN,),
        do=_setting(board, "active", scope),
        tone="first",
    )


def _setting(board: Board, state: str, scope: str) -> Callable[[Caller, str], Awaitable[str]]:
    async def do(caller: Caller, reason: str) -> str:
        if caller.accounts is not None:
            raise RefusedError("Your key is bound to accounts, and this is about all of them.")
        asked = validate_switch(
            {"state": state, "scope": scope, "reason": reason, "requested_by": caller.name}
        )
        settled(asked)
        assert isinstance(asked, SwitchRequest)
        if not caller.may(Scope.ADMIN) and await loosens(board.connections, asked):
            raise RefusedError(f"It is halted: {missing(caller, Scope.ADMIN)}")
        answer = await change(board.connections, board.settings, asked, within_s=WITHIN_S)
        settled(answer)
        assert not isinstance(answer, Denied)
        return _told(answer)

    return do


def _told(answer: SwitchAnswer) -> str:
    words = [f"{answer.scope} is {answer.state}."]
    if answer.orders:
        words.append(f"{len(answer.orders)} orders were taken off the exchanges.")
    if answer.unproven:
        words.append(f"{len(answer.unproven)} may still be executed: set it again to look again.")
    if answer.unreachable:
        words.append(f"Not reached: {', '.join(answer.unreachable)}.")
    return " ".join(words)
