"""The local key: how this machine's own command line, dashboard and curl reach the HTTP API.

Rule: made on the embedded ledger only, good for everything, kept where only its owner may read it,
and made anew before it ends. What stands in the file is checked against the ledger at each start.
"""

from datetime import UTC, datetime, timedelta

from activities.ledger.engine import open_engine
from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import new_key, parse_key
from activities.ledger.view_keys import KeyViews
from workers.settings import Settings
from workflows.domain.access import Scope

NAME = "local"
RENEW_BEFORE = timedelta(days=7)
_BY = "workers up"


async def ensure_local_key(settings: Settings) -> None:
    """Make the local key where there is none that is good for a while. Raises what the database
    raises."""
    engine = open_engine(settings.dsn(), pool_size=1)
    try:
        if await _is_good_for_long(KeyViews(engine), settings.home.api_key()):
            return
        key = new_key()
        # first the file: a key that nobody can read would be in the ledger otherwise
        settings.home.keep_api_key(key.text)
        await KeyStore(engine).create(key, NAME, tuple(Scope), by=_BY, replace=True)
    finally:
        await engine.dispose()


async def _is_good_for_long(views: KeyViews, kept: str | None) -> bool:
    key = parse_key(kept or "")
    if key is None:
        return False
    stored = await views.key_check(key.key_id)
    if stored is None or not stored.is_good or not key.is_of(stored.secret_hash):
        return False
    return stored.expires_at - datetime.now(UTC) > RENEW_BEFORE
