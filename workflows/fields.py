"""Field types of the public messages: exact, strict, and each error with the code users see.

A validator raises PydanticCustomError whose type *is* the denial code; `denial_of` turns the
first error of a validation into a Denied, pydantic's own types included.
"""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from workflows.domain.denials import DenialCode, Denied

MAX_DECIMAL_CHARACTERS = 64
MAX_INTEGER_DIGITS = 18
MAX_DECIMALS = 18
MAX_TEXT = 500
MAX_FIELD_NAME = 64
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MAX_ID = 64
_UTC = "+00:00"
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)
OLD_TIMES = {"times": "any"}
"""Context of a validation that takes every time that a run of before took when it began."""
_A_TIME = "must be a time such as 2030-01-31T12:00:00Z"
_NOT_TEXT = ("Cc", "Cs")  # Unicode's control characters and lone surrogates


def _refuse(code: DenialCode, message: str) -> NoReturn:
    # the message is a template for pydantic: braces of user text must not be read as fields
    raise PydanticCustomError(code.value, "{message}", {"message": message})


def exact_decimal(value: Any) -> Decimal:
    """A decimal from a JSON number (already exact) or a plain decimal string; never rounded."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        _refuse(DenialCode.INVALID_TYPE, "must be a number or a decimal string")
    if isinstance(value, str) and not _is_plain(value):
        _refuse(DenialCode.INVALID_DECIMAL, "is not a plain decimal such as 0.25")
    number = Decimal(value)
    if _is_too_large(number):
        _refuse(DenialCode.INVALID_DECIMAL, f"must be finite, at most {MAX_INTEGER_DIGITS} digits")
    if len(number.as_tuple().digits) > MAX_DECIMAL_CHARACTERS:
        _refuse(DenialCode.INVALID_DECIMAL, f"has more than {MAX_DECIMAL_CHARACTERS} digits")
    if number and _decimals(number) > MAX_DECIMALS:
        _refuse(DenialCode.PRECISION, f"has more than {MAX_DECIMALS} decimals")
    return Decimal(plain(number)) if number else Decimal(0)


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_DECIMAL_CHARACTERS and _DECIMAL.fullmatch(text) is not None


def _is_too_large(number: Decimal) -> bool:
    return not number.is_finite() or number.adjusted() >= MAX_INTEGER_DIGITS


def _decimals(number: Decimal) -> int:
    """Decimals that carry digits; trailing zeros do not count."""
    digits, exponent = number.as_tuple().digits, int(number.as_tuple().exponent)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return -(exponent + zeros)


def plain(number: Decimal) -> str:
    """The decimal without exponent and without trailing zeros: '0.1', '50000'."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _positive(number: Decimal) -> Decimal:
    if number <= 0:
        _refuse(DenialCode.NOT_POSITIVE, "must be greater than 0")
    return number


def in_range(low: Decimal, high: Decimal) -> AfterValidator:
    """Inclusive bounds; OUT_OF_RANGE names them."""

    def check(number: Decimal | int) -> Decimal | int:
        if not low <= number <= high:
            _refuse(DenialCode.OUT_OF_RANGE, f"must be between {plain(low)} and {plain(high)}")
        return number

    return AfterValidator(check)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _refuse(DenialCode.INVALID_TYPE, "must be a string")
    if len(value) > MAX_TEXT:
        _refuse(DenialCode.TOO_LONG, f"must have at most {MAX_TEXT} characters")
    if any(unicodedata.category(character) in _NOT_TEXT for character in value):
        _refuse(DenialCode.ILLEGAL_CHARS, "must not contain control characters")
    return value


def _identifier(value: Any) -> str:
    text = value if isinstance(value, str) else _text(value)
    if len(text) > _MAX_ID:
        _refuse(DenialCode.TOO_LONG, f"must have at most {_MAX_ID} characters")
    if not _ID.fullmatch(text) or text in (".", ".."):
        _refuse(DenialCode.ILLEGAL_CHARS, "may contain letters, digits, '_', '.' and '-' only")
    return text


def id_refused(text: str, field: str) -> Denied | None:
    """Why a text cannot be an id; `field` is what it was given as."""
    try:
        _identifier(text)
    except PydanticCustomError as error:
        return Denied(code=DenialCode(error.type), field=field, detail=f"{field} {error.message()}")
    return None


def _order_id(value: Any) -> str:
    owner, colon, leg = value.partition(":") if isinstance(value, str) else (value, "", "")
    return f"{_identifier(owner)}:{_identifier(leg)}" if colon else _identifier(owner)


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        _refuse(DenialCode.INVALID_TYPE, "must be a whole number")
    if _is_too_large(Decimal(value)):  # before int() writes out the digits of 1e999999999
        _refuse(DenialCode.OUT_OF_RANGE, f"must have at most {MAX_INTEGER_DIGITS} digits")
    if value != int(value):
        _refuse(DenialCode.INVALID_TYPE, "must be a whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(DenialCode.INVALID_TYPE, "must be true or false")
    return value


def _moment(value: Any, info: ValidationInfo) -> datetime:
    if isinstance(value, datetime):  # our own message, read back
        return value.astimezone(UTC)
    text = _text(value)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        _refuse(DenialCode.INVALID_TIME, _A_TIME)
    if moment.tzinfo is None:
        _refuse(DenialCode.INVALID_TIME, "must name its offset, such as Z or +01:00")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        _refuse(DenialCode.INVALID_TIME, "is too far away")
    if info.context == OLD_TIMES:
        return moment
    if not _RFC_3339.fullmatch(text):
        _refuse(DenialCode.INVALID_TIME, _A_TIME)
    return moment


def utc_text(moment: datetime) -> str:
    """A moment as everything that we tell writes it: 2030-01-31T12:00:00.25Z."""
    return _with_z(moment.astimezone(UTC).isoformat())


def _with_z(text: str) -> str:
    return f"{text[: -len(_UTC)]}Z" if text.endswith(_UTC) else text


_AS_TEXT = PlainSerializer(plain, return_type=str, when_used="json")
_STRING = {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
_SCHEMA = WithJsonSchema({"anyOf": [{"type": "number"}, _STRING]})

ExactDecimal = Annotated[Decimal, BeforeValidator(exact_decimal), _AS_TEXT, _SCHEMA]
Amount = Annotated[Decimal, _AS_TEXT, WithJsonSchema(_STRING)]
"""A decimal that we write: exact, without the limits that hold for a caller's input."""
PositiveDecimal = Annotated[
    Decimal, BeforeValidator(exact_decimal), AfterValidator(_positive), _AS_TEXT, _SCHEMA
]
Identifier = Annotated[
    str,
    BeforeValidator(_identifier),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,64}$"}),
]
OrderId = Annotated[
    str,
    BeforeValidator(_order_id),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64})?$"}
    ),
]
"""An order to ask for: under a caller's own id, or a leg of an execution, such as arb-1:buy."""
Text = Annotated[str, BeforeValidator(_text)]
Stamp = Annotated[str, PlainSerializer(_with_z, return_type=str, when_used="json")]
"""A moment that we tell: UTC, RFC 3339; written with Z however it was stored."""
Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment in UTC, written as RFC 3339 with its offset."""
WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]

_PYDANTIC_CODES = {
    "missing": (DenialCode.MISSING_FIELD, "is required"),
    "extra_forbidden": (DenialCode.UNKNOWN_FIELD, "is not a field of this message"),
    "enum": (DenialCode.UNKNOWN_ENUM, "is not one of the allowed values"),
    "too_short": (DenialCode.MISSING_FIELD, "must not be empty"),
    "too_long": (DenialCode.TOO_LONG, "has too many entries"),
}


def denial_of(error: ValidationError) -> Denied:
    """The first error of a validation as a denial.

    The refused value is never echoed, and of an unknown field's name no more than a name's length.
    """
    first = error.errors(include_url=False)[0]
    kind = first["type"]
    name = str(first["loc"][0])[:MAX_FIELD_NAME] if first["loc"] else None
    if kind in DenialCode.__members__:
        return Denied(code=DenialCode(kind), field=name, detail=f"{name or 'body'} {first['msg']}")
    code, text = _PYDANTIC_CODES.get(kind, (DenialCode.INVALID_TYPE, "has the wrong type"))
    if code is DenialCode.UNKNOWN_ENUM:
        if not isinstance(first["input"], str):
            code, text = DenialCode.INVALID_TYPE, "must be a string"
        else:
            text = f"must be {first.get('ctx', {}).get('expected', 'an allowed value')}"
    return Denied(code=code, field=name, detail=f"{name or 'body'} {text}")
