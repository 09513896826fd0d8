"""Who looks at a page: the session behind its cookie, asked again before each action.

Rule: a page that is open proves nothing. What a visitor may do is read from the session at the
moment of the action, and every action is a row of the audit trail, as it is over HTTP. It must not
know elements or pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from starters.api.sessions import COOKIE, caller_of_token
from starters.connections import Connections
from starters.trail import Told
from workflows.domain.access import Caller, Scope

_STATE = "visitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who is signed in: their session's token, and who they were when the page came."""

    token: str
    caller: Caller
    peer: str

    @property
    def accounts(self) -> frozenset[str] | None:
        """Whose orders they see; None: all."""
        return self.caller.accounts


class SignedOutError(Exception):
    """The session has ended, or its key was revoked."""


def token_of(scope: AsgiScope) -> str:
    """The session's token in a connection's cookie, or nothing."""
    # as the gate reads it: two readers could differ over what other sites' cookies do to ours
    return HTTPConnection(scope).cookies.get(COOKIE, "")


def peer_of(scope: AsgiScope) -> str:
    """The address at the other end, or nothing."""
    return scope["client"][0] if scope.get("client") else ""


async def visitor_of(connections: Connections, scope: AsgiScope) -> Visitor | None:
    """Who connects; None for nobody. Raises Unavailable."""
    token = token_of(scope)
    caller = await caller_of_token(connections, token) if token else None
    if caller is None:
        return None
    return Visitor(token=token, caller=caller, peer=peer_of(scope))


def remember(scope: AsgiScope, visitor: Visitor) -> None:
    """Let the page that answers know who asks."""
    scope.setdefault("state", {})[_STATE] = visitor


def visitor_of_page(request: HTTPConnection) -> Visitor:
    """Who asked for the page."""
    visitor: Visitor = getattr(request.state, _STATE)
    return visitor


async def again(connections: Connections, visitor: Visitor) -> Caller:
    """Who the visitor is now. Raises SignedOutError, Unavailable."""
    caller = await caller_of_token(connections, visitor.token)
    if caller is None:
        raise SignedOutError("you are signed out: sign in again")
    return caller


def missing(caller: Caller, *scopes: Scope) -> str:
    """Why the caller may not do what needs one of the scopes; empty where they may."""
    if any(caller.may(scope) for scope in scopes):
        return ""
    return f"Your key “{caller.name}” has no scope {' or '.join(sorted(scopes))}."


async def tell(
    connections: Connections, caller: Caller, action: str, about: str, after: Mapping[str, str]
) -> None:
    """Write an action to the audit trail; never raises for a ledger that is away."""
    row = Told(who=caller.name, action=action, about=about, after={"by": "dashboard", **after})
    await connections.trail.tell(row)
