"""Our order ids in the writing of each venue, and back.

The canonical id is 128 bits as 32 hex digits. Every writing holds all of them, so that parsing
gives the same id again; text of any other form is not ours. It must not know any venue.
"""

import base64
import re
from uuid import UUID

_HEX = re.compile(r"[0-9a-f]{32}")
_LEG = re.compile(r"[0-9a-f]{32}[ab]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BASE32 = re.compile(r"t-[a-z2-7]{26}")
_BASE32_PADDING = "======"


def hex_id(client_order_id: str) -> str:
    """The canonical id as it is: 32 hex digits."""
    return client_order_id


def parse_hex_id(text: str | None) -> str | None:
    """The canonical id of a text that `hex_id` could have written, else None."""
    return text if text is not None and _HEX.fullmatch(text) else None


def parse_leg_id(text: str | None) -> str | None:
    """As `parse_hex_id`; also for an order of a list of ours, which adds one letter to our id."""
    return parse_hex_id(text[:-1] if text is not None and _LEG.fullmatch(text) else text)


def uuid_id(client_order_id: str) -> str:
    """The canonical id as a UUID with dashes (36 characters)."""
    return str(UUID(hex=client_order_id))


def parse_uuid_id(text: str | None) -> str | None:
    """The canonical id of a text that `uuid_id` could have written, else None."""
    return text.replace("-", "") if text is not None and _UUID.fullmatch(text) else None


def base32_id(client_order_id: str) -> str:
    """`t-` and the canonical id in base 32: 28 characters.

    ccxt adds a `t-` of its own to every text that does not begin with a t, so it is here already.
    """
    digits = base64.b32encode(bytes.fromhex(client_order_id)).decode("ascii")
    return f"t-{digits.rstrip('=').lower()}"


def parse_base32_id(text: str | None) -> str | None:
    """The canonical id of a text that `base32_id` could have written, else None."""
    if text is None or not _BASE32.fullmatch(text):
        return None
    parsed = base64.b32decode(text[2:].upper() + _BASE32_PADDING).hex()
    return parsed if base32_id(parsed) == text else None
