"""Signing in to the dashboard: a key buys a cookie, which stands for it for twelve hours.

Rule: the cookie's token is 256 random bits that only the browser keeps; it dies with its key. A
page on this machine may sign in by itself only where nothing real can be traded.
"""

from http.cookies import SimpleCookie

from activities.ledger.key_store import SESSION_HOURS, KeyStore
from activities.ledger.key_text import new_token
from starters.callers import LockedOut, NotAuthenticated
from starters.connections import Connections
from starters.trail import NOBODY, Told
from workers.edge_settings import is_loopback
from workers.settings import Settings
from workflows.domain.access import Caller

COOKIE = "delta_session"


async def sign_in(connections: Connections, key: str, peer: str) -> str:
    """A new session's token for the holder of a good key, who asks from address `peer`.

    Raises NotAuthenticated, LockedOut, Unavailable; a wrong key is told in the audit trail.
    """
    caller = await authenticate(connections, key, peer)
    token = new_token()
    async with connections.writing() as engine:
        await KeyStore(engine).sign_in(caller.key_id, caller.name, token, peer=peer)
    return token


async def caller_of_token(connections: Connections, token: str) -> Caller | None:
    """Who is signed in with the token; None for nobody. Raises Unavailable."""
    return await connections.callers.of_token(token)


async def sign_out(connections: Connections, token: str, peer: str) -> None:
    """End the session, at once here and within a second elsewhere. Raises Unavailable."""
    async with connections.writing() as engine:
        await KeyStore(engine).sign_out(token, peer=peer)
    connections.callers.forget(token)


def local_sign_in(settings: Settings, peer: str) -> bool:
    """True where a page may sign in by itself with the local key: its browser is on this machine,
    the API listens only there, behind no proxy, Temporal is this machine's, all venues are paper.

    The local key is made on the embedded ledger alone, so no other ledger takes it.
    """
    return (
        settings.home.api_key() is not None
        and is_loopback(peer)
        and is_loopback(settings.api_host)
        and is_loopback(settings.temporal_target.rpartition(":")[0])
        and not settings.api_trusted_proxies
        and not any(_is_live(settings, exchange) for exchange in settings.exchanges)
    )


def cookie_of(token: str, *, secure: bool) -> str:
    """The Set-Cookie header that keeps a token; `secure` under TLS. An empty token deletes it."""
    cookie: SimpleCookie = SimpleCookie()
    cookie[COOKIE] = token
    morsel = cookie[COOKIE]
    morsel["path"], morsel["httponly"], morsel["samesite"] = "/", True, "Strict"
    morsel["max-age"] = SESSION_HOURS * 3600 if token else 0
    if secure:
        morsel["secure"] = True
    return morsel.OutputString()


async def authenticate(connections: Connections, key: str, peer: str) -> Caller:
    """Who presents the key; a wrong one is told in the audit trail, once a minute.

    Raises NotAuthenticated, LockedOut, Unavailable.
    """
    try:
        return await connections.callers.of_key(key, peer)
    except NotAuthenticated as error:
        await _tell_of_failure(connections, error, peer)
        raise


async def _tell_of_failure(connections: Connections, error: NotAuthenticated, peer: str) -> None:
    about = f"key:{error.key_id or '?'}"
    after = {"peer": peer}
    if error.locks:
        # whoever tries a new id each time locks each of them: told once a minute, with the count
        locked = Told(who=NOBODY, action="lock_out", about=about, after=after)
        await connections.trail.tell_once(locked, peer)
    elif not isinstance(error, LockedOut):
        failed = Told(who=NOBODY, action="authentication_failed", about=about, after=after)
        await connections.trail.tell_once(failed, f"{peer} {about}")


def _is_live(settings: Settings, exchange: str) -> bool:
    accounts = settings.accounts(exchange)
    return any(settings.venue(exchange, account).is_live for account in accounts)
