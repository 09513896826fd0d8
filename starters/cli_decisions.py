"""What the commands of operators have in common: read what was typed, ask, and say no.

Exit codes: 0 done, 1 it cannot be decided so now, or something does not answer, 2 wrong input.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from activities.ledger.views import InvalidCursorError
from starters import cli_show
from starters.cli_actions import at_once, connected, invalid_cursor
from starters.cli_input import InvalidInputError, exit_code_of_denial, given, user
from starters.connections import Connections
from starters.decisions import DecisionT, validate_decision
from starters.errors import Refused
from workers.settings import load_settings
from workflows.domain.denials import Denied

AnswerT = TypeVar("AnswerT")


class DecisionDenied(Exception):  # noqa: N818 - named as the state that it is
    """It cannot be decided so; `denied` says why."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(str(denied))
        self.denied = denied


def read(kind: type[DecisionT], fields: Mapping[str, str | bool | None]) -> DecisionT:
    """The decision that the options describe, by whoever runs this; raises InvalidInputError."""
    decided = validate_decision(kind, {"requested_by": f"cli:{user()}"} | given(fields))
    if isinstance(decided, Denied):
        raise InvalidInputError(decided)
    return decided


def ask(question: Callable[[Connections], Awaitable[AnswerT | Denied]]) -> AnswerT:
    """The answer. Raises DecisionDenied, InvalidInputError for a cursor, Unavailable."""

    async def run() -> AnswerT | Denied:
        async with connected(load_settings()) as connections:
            try:
                return await question(connections)
            except InvalidCursorError:
                raise invalid_cursor() from None
            except Refused as error:
                return error.denied

    answer = at_once(run)
    if isinstance(answer, Denied):
        raise DecisionDenied(answer)
    return answer


def exit_code_of(error: DecisionDenied) -> int:
    """Say why not, in one line; the exit code."""
    denied = error.denied
    cli_show.complain(cli_show.denial(denied.code, denied.field, denied.detail))
    return exit_code_of_denial(denied.code)
