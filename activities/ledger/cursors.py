"""Cursors of list pages: opaque to the caller, a place in (created_at, order_id) for us."""

import base64
import binascii
import json
from datetime import datetime

MAX_CURSOR = 512
YEARS = range(2000, 3000)


class InvalidCursorError(ValueError):
    """The text is not a cursor that a list page gave out."""


def encode_cursor(created_at: datetime, order_id: str) -> str:
    """The cursor of the page after this order; safe in a URL."""
    place = json.dumps([created_at.isoformat(), order_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode()


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """The order that the page before ended with. Raises InvalidCursorError."""
    if len(cursor) > MAX_CURSOR:
        raise InvalidCursorError("cursor is too long")
    try:
        place = json.loads(base64.b64decode(cursor.encode("ascii"), b"-_", validate=True))
        created_at, order_id = place
        moment = datetime.fromisoformat(created_at)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise InvalidCursorError("not a cursor") from error
    is_ours = isinstance(order_id, str) and order_id.isascii() and order_id.isprintable()
    if not is_ours or moment.utcoffset() is None or moment.year not in YEARS:
        raise InvalidCursorError("not a cursor")
    return moment, order_id
