"""API keys and session tokens as text: made, taken apart, hashed. Nothing is stored here.

Rule: a key is `ek_<8 letters or digits>_<43 base64url>`: the part before the second underscore may
be told to anyone, the rest is 256 random bits and told once. Whatever does not look so has no id.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

KEY_ID_CHARACTERS = 8
SECRET_BYTES = 32
_ID_ALPHABET = string.ascii_lowercase + string.digits
_FORM = re.compile(r"ek_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
_LIKELY = re.compile(r"ek_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{8,}")
_NOBODY = hashlib.sha256(secrets.token_bytes(SECRET_BYTES)).digest()
"""What the secret of an unknown key is compared with: it takes as long, and never equals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """A key taken apart."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole key."""
        return f"ek_{self.key_id}_{self.secret}"

    @property
    def hash(self) -> bytes:
        """What the ledger keeps of it."""
        return hash_of(self.secret)

    def is_of(self, stored: bytes | None) -> bool:
        """True if the stored hash is its own; as slow for None, which is nobody's."""
        return hmac.compare_digest(self.hash, stored or _NOBODY)


def new_key() -> KeyText:
    """A key that nobody has seen."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(KEY_ID_CHARACTERS))
    return KeyText(key_id=key_id, secret=secrets.token_urlsafe(SECRET_BYTES))


def parse_key(text: str) -> KeyText | None:
    """The key that a text is; None for what has not its form."""
    found = _FORM.fullmatch(text)
    return None if found is None else KeyText(key_id=found[1], secret=found[2])


def holds_key(text: str) -> bool:
    """True if a text has something in it that may be a key, and so must be shown nowhere."""
    return _LIKELY.search(text) is not None


def new_token() -> str:
    """A session's token: 256 random bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_of(secret: str) -> bytes:
    """SHA-256: a secret of 256 random bits needs neither salt nor stretching."""
    return hashlib.sha256(secret.encode("utf-8")).digest()
