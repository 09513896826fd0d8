"""Path and query parameters, as strict as the body: nothing is trimmed, guessed or ignored."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.requests import HTTPConnection

from activities.ledger.views import MAX_PAGE, InvalidCursorError
from starters.api.bodies import refuse
from starters.api.errors import ApiError
from starters.connections import Connections
from workers.settings import Settings
from workflows import fields
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import Identifier, Text
from workflows.messages import CancelRequest

AnswerT = TypeVar("AnswerT")

DEFAULT_LIMIT = 50
_WHOLE_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def _limit(value: Any) -> int:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise PydanticCustomError(DenialCode.INVALID_TYPE.value, "must be a whole number")
    number = int(value)
    if not 1 <= number <= MAX_PAGE:
        message = f"must be between 1 and {MAX_PAGE}"
        raise PydanticCustomError(DenialCode.OUT_OF_RANGE.value, "{message}", {"message": message})
    return number


def _whole_id(value: Any) -> int:
    if not isinstance(value, str) or not _WHOLE_ID.fullmatch(value):
        raise PydanticCustomError(DenialCode.INVALID_TYPE.value, "must be a whole number")
    return int(value)


def _true_or_false(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if isinstance(value, bool):
        return value
    raise PydanticCustomError(DenialCode.INVALID_TYPE.value, "must be true or false")


def _symbol(value: Any) -> Any:
    """`BTC-USDT` stands for `BTC/USDT` wherever a symbol is part of an address."""
    return value.replace("-", "/") if isinstance(value, str) else value


def _connections(connection: HTTPConnection) -> Connections:
    connections: Connections = connection.app.state.connections
    return connections


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Connected = Annotated[Connections, Depends(_connections)]
Configured = Annotated[Settings, Depends(_settings)]

OrderId = Annotated[
    fields.OrderId, Path(description="the order's id; of a leg such as arb-1:buy too")
]
WholeId = Annotated[
    int,
    BeforeValidator(_whole_id),
    WithJsonSchema({"type": "integer", "minimum": 0}),
    Path(description="its number"),
]
ExecutionId = Annotated[Identifier, Path(description="the execution's id")]
StrategyFilter = Annotated[Identifier | None, Query(description="only this strategy's")]
ExchangeFilter = Annotated[Identifier | None, Query(description="only orders at this exchange")]
SymbolFilter = Annotated[
    Annotated[Text, BeforeValidator(_symbol)] | None,
    Query(description="only this symbol, as BTC/USDT or BTC-USDT"),
]
StatusFilter = Annotated[OrderStatus | None, Query(description="only orders in this state")]
TrueOrFalse = Annotated[bool, BeforeValidator(_true_or_false), WithJsonSchema({"type": "boolean"})]
OrderFilter = Annotated[fields.OrderId | None, Query(description="only of this order")]
ExecutionFilter = Annotated[Identifier | None, Query(description="only of this execution")]
Since = Annotated[
    Annotated[int, BeforeValidator(_whole_id), WithJsonSchema({"type": "integer", "minimum": 0})]
    | None,
    Query(description="the last number that was seen"),
]
AccountFilter = Annotated[Identifier, Query(description="account at the exchange")]
GivenStrategy = Annotated[Identifier, Path(description="whose")]
GivenExchange = Annotated[Identifier, Path(description="a configured exchange")]
GivenSymbol = Annotated[
    Annotated[Text, BeforeValidator(_symbol)],
    Path(description="BTC-USDT, BTC%2FUSDT or BTC/USDT"),
]
ExecutionStatusFilter = Annotated[
    ExecutionStatus | None, Query(description="only those in this state")
]
Limit = Annotated[
    int,
    BeforeValidator(_limit),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE}),
    Query(description="entries on the page"),
]
Cursor = Annotated[Text | None, Query(description="`next_cursor` of the page before")]
Reason = Annotated[Text, Query(description="why; kept with it")]
DEFAULT_REASON = CancelRequest().reason


def only(*known: str) -> Callable[[HTTPConnection], None]:
    """A dependency that refuses parameters other than `known`, and any that is repeated."""

    def check(connection: HTTPConnection) -> None:
        seen: set[str] = set()
        for name, _value in connection.query_params.multi_items():
            if name not in known:
                raise ApiError(
                    DenialCode.UNKNOWN_FIELD, "the query has an unknown parameter", field="query"
                )
            if name in seen:
                raise ApiError(DenialCode.DUPLICATE_FIELD, f"{name} is given twice", field=name)
            seen.add(name)

    return check


@contextmanager
def checked_cursor() -> Iterator[None]:
    """A cursor that is not ours is the caller's mistake."""
    try:
        yield
    except InvalidCursorError as error:
        raise ApiError(
            DenialCode.INVALID_CURSOR, "the cursor is not one of ours", field="cursor"
        ) from error


def answered(answer: AnswerT | Denied) -> AnswerT:
    """The answer; raises ApiError for a denial."""
    if isinstance(answer, Denied):
        raise refuse(answer)
    return answer
