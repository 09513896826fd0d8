"""The catalogue of bad orders: what is sent, and how it is refused by whichever door it comes in.

Data only. A row is the text of a body, so that it can be no JSON at all; its name begins with the
number that the catalogue gives it.
"""

import json
from typing import Any

Row = tuple[str, bytes, int, str, str | None]
"""Name, body, HTTP status, code, and the field that is named."""
ORDER = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "0.1",
}
TWAP = {**ORDER, "order_type": "twap"}
LIMIT = {**ORDER, "order_type": "limit", "price": "50000"}
ICEBERG = {**LIMIT, "order_type": "iceberg"}
RATIO = "iceberg_visible_ratio"
OCO = {**ORDER, "side": "sell", "order_type": "oco"}
OCO |= {"oco_limit_price": "51500", "stop_price": "49000"}
OVER = {"start_at": "2030-01-31T12:00:00Z", "end_at": "2030-01-31T11:00:00Z"}


def raw_quantity(text: str) -> bytes:
    """An order whose quantity is this JSON text, whatever it is."""
    return json.dumps({**ORDER, "quantity": "Q"}).replace('"Q"', text).encode()


def body(base: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**base, **changes}).encode()


NUMBERS: list[Row] = [
    ("B1", raw_quantity("NaN"), 400, "INVALID_JSON", None),
    ("B2", raw_quantity('"NaN"'), 422, "INVALID_DECIMAL", "quantity"),
    ("B3", raw_quantity("Infinity"), 400, "INVALID_JSON", None),
    ("B3-minus", raw_quantity("-Infinity"), 400, "INVALID_JSON", None),
    ("B4", raw_quantity("1e400"), 422, "INVALID_DECIMAL", "quantity"),
    ("B5-a", raw_quantity('"1e400"'), 422, "INVALID_DECIMAL", "quantity"),
    ("B5-b", raw_quantity('"1e-400"'), 422, "INVALID_DECIMAL", "quantity"),
    ("B5-c", raw_quantity('"1E5"'), 422, "INVALID_DECIMAL", "quantity"),
    ("B6-text", raw_quantity('"-1"'), 422, "NOT_POSITIVE", "quantity"),
    ("B6-number", raw_quantity("-1"), 422, "NOT_POSITIVE", "quantity"),
    *(
        (f"B7-{text}", raw_quantity(text), 422, "NOT_POSITIVE", "quantity")
        for text in ('"0"', '"0.000"', '"-0"', "0")
    ),
    *(
        (f"B8-{text}", raw_quantity(f'"{text}"'), 422, "INVALID_DECIMAL", "quantity")
        for text in ("1_000", "1,000", "1 000", " 1 ")
    ),
    *(
        (f"B9-{text}", raw_quantity(f'"{text}"'), 422, "INVALID_DECIMAL", "quantity")
        for text in ("0x10", "½", "")
    ),
    *(
        (f"B11-{text}", raw_quantity(text), 422, "INVALID_TYPE", "quantity")
        for text in ("true", "[1]", "{}", "null")
    ),
    ("B12-19", raw_quantity('"0.1234567890123456789"'), 422, "PRECISION", "quantity"),
    ("B12-25", raw_quantity("0.1234567890123456789012345"), 422, "PRECISION", "quantity"),
    ("B13-text", raw_quantity('"1000000000000000001"'), 422, "INVALID_DECIMAL", "quantity"),
    ("B13-number", raw_quantity("1000000000000000001"), 422, "INVALID_DECIMAL", "quantity"),
]
ORDERS: list[Row] = [
    ("B16-zero", body(LIMIT, price=0), 422, "NOT_POSITIVE", "price"),
    ("B16-minus", body(LIMIT, price="-1"), 422, "NOT_POSITIVE", "price"),
    ("B18-market", body(ORDER, price="50000"), 422, "FIELD_NOT_ALLOWED", "price"),
    ("B18-limit", body(ORDER, order_type="limit"), 422, "MISSING_FIELD", "price"),
    *(
        (f"B19-{count}", body(TWAP, twap_slices=count), 422, "OUT_OF_RANGE", "twap_slices")
        for count in (1_000_000, 0, -1)
    ),
    *(
        (f"B20-{pause}", body(TWAP, twap_interval=pause), 422, "OUT_OF_RANGE", "twap_interval")
        for pause in (0, -5, 1_000_000_000)
    ),
    ("B20-timeout", body(ORDER, timeout_s=3_155_760_000), 422, "OUT_OF_RANGE", "timeout_s"),
    ("B22-space", body(ORDER, side="BUY "), 422, "UNKNOWN_ENUM", "side"),
    ("B22-cyrillic", body(ORDER, side="bu\u0443"), 422, "UNKNOWN_ENUM", "side"),
    ("B22-hold", body(ORDER, side="hold"), 422, "UNKNOWN_ENUM", "side"),
    *(
        (f"B21-{time}", body(TWAP, start_at=time), 422, "INVALID_TIME", "start_at")
        for time in (
            "2030-01-31T12:00:00",
            "2030-01-31T12:00:00+25:00",
            "2030-01-31T12:00:60Z",
            "2030-01-31",
            "1900000000",
            "1999-12-31T23:59:59Z",
        )
    ),
    ("B23-gtd", body(ORDER, time_in_force="GTD"), 422, "UNKNOWN_ENUM", "time_in_force"),
    (
        "B23-post",
        body(LIMIT, time_in_force="IOC", post_only=True),
        422,
        "FIELD_NOT_ALLOWED",
        "post_only",
    ),
    ("type", body(ORDER, order_type="sniper"), 422, "UNKNOWN_ENUM", "order_type"),
    ("ratio-0", body(ICEBERG, iceberg_visible_ratio=0), 422, "OUT_OF_RANGE", RATIO),
    ("ratio-2", body(ICEBERG, iceberg_visible_ratio="1.1"), 422, "OUT_OF_RANGE", RATIO),
    ("ratio-text", body(ICEBERG, iceberg_visible_ratio="NaN"), 422, "INVALID_DECIMAL", RATIO),
    ("oco-prices", body(OCO, oco_limit_price="48000"), 422, "OCO_PRICES", "oco_limit_price"),
    ("delta", body(OCO, order_type="trailing_stop"), 422, "MISSING_FIELD", "trailing_delta_bps"),
    ("end", body(TWAP, **OVER), 422, "END_BEFORE_START", "end_at"),
    ("missing", b'{"strategy_id":"s1"}', 422, "MISSING_FIELD", "exchange"),
]
TEXTS: list[Row] = [
    ("B29", b'{"strategy_id":"\\ud800"}', 400, "INVALID_JSON", None),
    ("B30-symbol", body(ORDER, symbol="BTC\0USDT"), 422, "ILLEGAL_CHARS", "symbol"),
    ("B30-strategy", body(ORDER, strategy_id="a\0"), 422, "ILLEGAL_CHARS", "strategy_id"),
    ("B31", body(ORDER, strategy_id="x" * 10_000), 422, "TOO_LONG", "strategy_id"),
    (
        "B32",
        body(ORDER, strategy_id="'; DROP TABLE orders;--"),
        422,
        "ILLEGAL_CHARS",
        "strategy_id",
    ),
    ("id-dots", body(ORDER, order_id=".."), 422, "ILLEGAL_CHARS", "order_id"),
]
BODIES: list[Row] = [
    ("B34", b" " * 10_000_000, 413, "BODY_TOO_LARGE", None),
    ("B57", b" " * 3_000_000, 413, "BODY_TOO_LARGE", None),
    ("B35", b"[" * 30_000, 400, "TOO_DEEP", None),
    ("B36", b'{"quantity":"1","quantity":"9"}', 400, "DUPLICATE_FIELD", None),
    ("B37-admin", body(ORDER, admin=True), 422, "UNKNOWN_FIELD", "admin"),
    ("B37-account", body(ORDER, account_id="other"), 422, "UNKNOWN_FIELD", "account_id"),
    ("B38-empty", b"", 400, "INVALID_JSON", None),
    *((f"B38-{text}", text.encode(), 422, "INVALID_TYPE", None) for text in ("null", "[]", '"x"')),
    ("B39-cut", body(ORDER)[:-5], 400, "INVALID_JSON", None),
    ("B39-comma", b'{"side":"buy",}', 400, "INVALID_JSON", None),
    ("B39-comment", b'{"side":"buy"} // now', 400, "INVALID_JSON", None),
    ("B39-bom", b"\xef\xbb\xbf" + body(ORDER), 400, "INVALID_JSON", None),
    ("B39-utf16", body(ORDER).decode().encode("utf-16"), 400, "INVALID_JSON", None),
]
ROWS: list[Row] = [*NUMBERS, *ORDERS, *TEXTS, *BODIES]
