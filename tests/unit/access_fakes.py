"""Stand-ins for the ledger's keys and audit trail: one good key, and rows that are remembered."""

from datetime import UTC, datetime, timedelta

from activities.ledger.key_text import new_key
from activities.ledger.view_keys import KeyCheck
from starters import trail
from workflows.domain.access import Caller, Scope

KEY = new_key()
KEY_NAME = "desk-2"
BEARER = {"Authorization": f"Bearer {KEY.text}"}
EVERYTHING = Caller(key_id=KEY.key_id, name=KEY_NAME, scopes=frozenset(Scope))


class FakeKeys:
    """One good key, KEY, and nobody else's."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def key_check(self, key_id: str) -> KeyCheck | None:
        if key_id != KEY.key_id:
            return None
        end = datetime.now(UTC) + timedelta(days=1)
        return KeyCheck(caller=self._caller, secret_hash=KEY.hash, expires_at=end, is_good=True)

    async def session_caller(self, _token_hash: bytes) -> Caller | None:
        return None


class FakeTrail:
    """Remembers what was told, each time."""

    def __init__(self, told: list[trail.Told]) -> None:
        self._told = told

    async def tell(self, told: trail.Told) -> None:
        self._told.append(told)

    async def tell_once(self, told: trail.Told, _about: str) -> None:
        self._told.append(told)

    async def close(self) -> None:
        return None
