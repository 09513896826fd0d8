"""Who sent a request, and whether it is still valid.

Rule: the headers that must be there, then key, timestamp, passphrase and signature over the raw
bytes. A timestamp lives for 30 s; an order may name an earlier end of its life (`expTime`). Both
are checked again just before the book acts, because a request may have waited in between. Never
logs a secret.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.venues.simulator.config import PaperAccount
from activities.venues.simulator.okx import errors

TIMESTAMP_LIFE_MS = 30_000
LOGIN_PATH = "/users/self/verify"
_ISO_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_NEEDED = (
    ("OK-ACCESS-KEY", 50103),
    ("OK-ACCESS-SIGN", 50106),
    ("OK-ACCESS-TIMESTAMP", 50107),
    ("OK-ACCESS-PASSPHRASE", 50104),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How long a signed request is valid. `expires_ms` is what it says of itself, None: nothing."""

    timestamp_ms: int
    expires_ms: int | None = None

    def check_arrival(self, now_ms: int) -> None:
        """Raises ApiError 50102 or 50036 for a request that came too late."""
        self._check_timestamp(now_ms)
        if self.expires_ms is not None and now_ms > self.expires_ms:
            raise errors.expiry_passed()

    def check_again(self, now_ms: int) -> None:
        """Raises ApiError 50102 or 50037 for a request that became too old on its way."""
        self._check_timestamp(now_ms)
        if self.expires_ms is not None and now_ms > self.expires_ms:
            raise errors.expired_on_the_way()

    def _check_timestamp(self, now_ms: int) -> None:
        if abs(now_ms - self.timestamp_ms) > TIMESTAMP_LIFE_MS:
            raise errors.timestamp_expired()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a client says of itself; `timestamp` is the text that it signed."""

    key: str
    passphrase: str
    timestamp: str
    signature: str


class Authenticator:
    """The keys of all accounts."""

    def __init__(self, accounts: Mapping[str, PaperAccount]) -> None:
        self._by_key = {each.api_key: (name, each) for name, each in accounts.items()}

    def account(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> str:
        """The account that signed the request. `path` as sent, with its query.

        Raises ApiError 50103 to 50107, 50111 or 50113.
        """
        for name, code in _NEEDED:
            if not headers.get(name):
                raise errors.missing_header(name, code)
        key, signature, timestamp, passphrase = (headers[name] for name, _ in _NEEDED)
        claim = Claim(key=key, passphrase=passphrase, timestamp=timestamp, signature=signature)
        return self.verified(claim, method, path, body)

    def verified(self, claim: Claim, method: str, path: str, body: bytes = b"") -> str:
        """The account whose key, passphrase and signature these are.

        Raises ApiError 50111, 50105 or 50113.
        """
        known = self._by_key.get(claim.key)
        if known is None:
            raise errors.unknown_key()
        name, account = known
        if not _same(account.passphrase, claim.passphrase):
            raise errors.wrong_passphrase()
        payload = f"{claim.timestamp}{method}{path}".encode("utf-8", "surrogateescape") + body
        digest = hmac.new(account.secret.encode(), payload, hashlib.sha256).digest()
        if not _same(base64.b64encode(digest).decode(), claim.signature):
            raise errors.bad_signature()
        return name


def life(headers: Mapping[str, str], *, may_expire: bool) -> Life:
    """The life of a request by its headers. Raises ApiError 50112 or 51000.

    Without `may_expire` an `expTime` says nothing: only orders to be placed have one.
    """
    expires = headers.get("expTime") if may_expire else None
    if expires is not None and not re.fullmatch(r"[0-9]{1,15}", expires, re.ASCII):
        raise errors.bad_expiry()
    return Life(
        timestamp_ms=_milliseconds(headers.get("OK-ACCESS-TIMESTAMP", "")),
        expires_ms=None if expires is None else int(expires),
    )


def _milliseconds(timestamp: str) -> int:
    if not _ISO_MS.fullmatch(timestamp):
        raise errors.bad_timestamp()
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        raise errors.bad_timestamp() from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def _same(first: str, second: str) -> bool:
    return hmac.compare_digest(
        first.encode("utf-8", "surrogateescape"), second.encode("utf-8", "surrogateescape")
    )
