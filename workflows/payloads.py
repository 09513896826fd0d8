"""The one way in which JSON enters or leaves the engine: HTTP bodies and Temporal payloads alike.

The loader is strict and exact: numbers keep their digits (Decimal, never float), and NaN,
Infinity, duplicate keys, deep nesting and lone surrogates are refused. The data converter is
Temporal's pydantic converter on that loader; what it cannot decode fails for good with the type
INVALID_INPUT, where a plain decode error would retry the workflow task for ever.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.exceptions import ApplicationError

from workflows.domain.denials import DenialCode

MAX_DEPTH = 16
MAX_INTEGER_DIGITS = 18
# Never fails after its first quote and never backtracks, or a crafted text would take for ever.
_STRING = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class InvalidJsonError(ValueError):
    """The text is not JSON as this engine reads it; `code` says which rule it broke."""

    def __init__(self, code: DenialCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def strict_loads(raw: bytes) -> Any:
    """Parse UTF-8 JSON exactly.

    Integers of up to 18 digits become int, every other number Decimal. Raises InvalidJsonError
    with INVALID_JSON, DUPLICATE_FIELD or TOO_DEEP.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJsonError(DenialCode.INVALID_JSON, "the body is not UTF-8") from None
    _check_depth(text)
    try:
        value = json.loads(
            text,
            parse_float=Decimal,
            parse_int=_exact_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_object,
        )
    except InvalidJsonError:
        raise
    except (ValueError, ArithmeticError):
        raise InvalidJsonError(DenialCode.INVALID_JSON, "the body is not valid JSON") from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the recursive parser sees it."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidJsonError(DenialCode.TOO_DEEP, f"nesting is deeper than {MAX_DEPTH}")
        elif character in "]}":
            depth -= 1


def _exact_integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits.lstrip("-")) <= MAX_INTEGER_DIGITS else Decimal(digits)


def _refuse_constant(name: str) -> Any:
    raise InvalidJsonError(DenialCode.INVALID_JSON, f"{name} is not a JSON number")


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidJsonError(DenialCode.DUPLICATE_FIELD, "a field is given twice")
    return found


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidJsonError(DenialCode.INVALID_JSON, "a lone surrogate in a string") from None


class ExactJsonPayloadConverter(PydanticJSONPlainPayloadConverter):
    """Pydantic's JSON payloads, read by `strict_loads`."""

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Decode into `type_hint`; raises a non-retryable ApplicationError INVALID_INPUT."""
        try:
            value = strict_loads(payload.data)
            return _adapter_of(type_hint).validate_python(value)
        except InvalidJsonError as error:
            raise _invalid_input(str(error)) from error
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _invalid_input(f"{where}: {first['msg']}" if where else first["msg"]) from None


@lru_cache(maxsize=1024)
def _adapter_of(type_hint: type | None) -> TypeAdapter[Any]:
    """Building one costs more than all else that a message costs."""
    return TypeAdapter(Any if type_hint is None else type_hint)


def _invalid_input(message: str) -> ApplicationError:
    return ApplicationError(message, type=DenialCode.INVALID_INPUT, non_retryable=True)


class ExactPayloadConverter(CompositePayloadConverter):
    """Temporal's default encodings with exact JSON in the place of plain JSON."""

    def __init__(self) -> None:
        exact = ExactJsonPayloadConverter()
        super().__init__(
            *(
                exact if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Decode; `RawValue | None` is a raw value too, which Temporal's converter overlooks.

        Every message of ours has one argument. With more of them Temporal drops the type hints
        and the call would raise TypeError for ever, so the first one is taken and kept raw.
        """
        if type_hints is None and len(payloads) > 1:
            return [RawValue(payloads[0])]
        hints = type_hints and [RawValue if _is_raw(hint) else hint for hint in type_hints]
        wanted: list[object] = list(hints) if hints else [None] * len(payloads)
        for payload, hint in zip(payloads, wanted, strict=False):
            if hint is not RawValue and payload.metadata.get("encoding") not in self.converters:
                raise _invalid_input("the payload's encoding is unknown")
        return super().from_payloads(payloads, hints)


def _is_raw(hint: object) -> bool:
    return RawValue in get_args(hint)


DATA_CONVERTER: DataConverter = dataclasses.replace(
    DataConverter.default, payload_converter_class=ExactPayloadConverter
)
"""Given to every client, worker and replayer."""
