"""Reading an order, a plan or an amendment: bounded, exact, and refused before any effect.

Rule: only `application/json`, at most 64 KB counted while it arrives, read within 10 s, parsed by
the engine's own strict loader. It must not know what is done with it.
"""

import asyncio
import hashlib
import re
import time
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from fastapi import Header, Request
from pydantic import BaseModel

from starters.api.access import caller_of, check_account
from starters.api.errors import ApiCode, ApiError
from starters.decisions import DecisionT, validate_decision
from workflows.domain.access import Caller
from workflows.domain.denials import DenialCode, Denied
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import MAX_BODY_BYTES, OrderRequest, validate_order
from workflows.names import made_order_id
from workflows.payloads import InvalidJsonError, strict_loads
from workflows.plans import validate_plan
from workflows.steering_messages import (
    AmendRequest,
    SteeringT,
    SteerRequest,
    parse_amend,
    parse_steer,
)

READ_WAIT_S = 10.0
DRAIN_BYTES = 32 * 1024 * 1024
DRAIN_WAIT_S = 0.5
MAX_KEY_CHARACTERS = 255
KEY_HEADER = "Idempotency-Key"
_JSON_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_OF_A_KEY = re.compile(r"k-[0-9a-f]{32}")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")

PlanT = TypeVar("PlanT", ArbitragePlan, RebalancePlan)
AskedT = TypeVar("AskedT", bound=BaseModel)


def refuse(denied: Denied, headers: dict[str, str] | None = None) -> ApiError:
    """A denial as an HTTP error."""
    return ApiError(denied.code, denied.detail or denied.code, field=denied.field, headers=headers)


def single_header(request: Request, name: str) -> str | None:
    """The header's value; a repeated one is refused, since two readers could differ."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise ApiError(ApiCode.BAD_REQUEST, f"the header {name} is given twice", field=name)
    return values[0] if values else None


async def read_json(request: Request, raw: bytes | None = None) -> Any:
    """The body as parsed JSON (numbers exact); `raw` if it was read before. Raises ApiError."""
    if raw is None:
        _check_type(request)
        raw = await _read_body(request)
    try:
        return strict_loads(raw)
    except InvalidJsonError as error:
        raise ApiError(error.code, str(error)) from error


async def read_steer(request: Request) -> SteerRequest:
    """The body of a pause or resume; there may be none. Raises ApiError."""
    return _steered_by(caller_of(request), parse_steer(await _read_optional(request)))


async def _read_optional(request: Request) -> bytes:
    """The body, where there may be none."""
    content_type = single_header(request, "Content-Type")
    if content_type is not None:
        _check_type(request)
    raw = await _read_body(request)
    if raw and content_type is None:
        _check_type(request)
    return raw


async def read_decision(
    request: Request, kind: type[DecisionT], *, is_optional: bool = False, **known: object
) -> DecisionT:
    """What an operator decides; `known` is what the address says of it. Raises ApiError."""
    raw = await _read_optional(request) if is_optional else None
    value = {} if raw == b"" else await read_json(request, raw)
    caller = caller_of(request)
    if isinstance(value, dict):  # of two who must decide each one has to be named
        value = {"requested_by": caller.name, **value}
    decided = validate_decision(kind, value, known)
    if isinstance(decided, Denied):
        raise refuse(decided)
    return asked_by(caller, decided)


async def read_amend(request: Request) -> AmendRequest:
    """The body of an amendment. Raises ApiError."""
    _check_type(request)
    raw = await _read_body(request)
    return _steered_by(caller_of(request), parse_amend(raw))


def _steered_by(caller: Caller, asked: SteeringT | Denied) -> SteeringT:
    if isinstance(asked, Denied):
        raise refuse(asked)
    return asked_by(caller, asked)


def asked_by(caller: Caller, asked: AskedT) -> AskedT:
    """What is asked, under the name of the caller's key: nobody decides in another's name.

    Raises ApiError FIELD_NOT_ALLOWED for a body that says so.
    """
    said = getattr(asked, "requested_by", caller.name)
    if "requested_by" in asked.model_fields_set and said != caller.name:
        raise ApiError(
            DenialCode.FIELD_NOT_ALLOWED,
            "requested_by is the name of the API key; leave it out",
            field="requested_by",
        )
    return asked.model_copy(update={"requested_by": caller.name})


def _check_type(request: Request) -> None:
    content_type = single_header(request, "Content-Type")
    if content_type is None or not _JSON_TYPE.fullmatch(content_type.strip()):
        raise ApiError(
            ApiCode.UNSUPPORTED_MEDIA_TYPE, "only application/json is read", field="Content-Type"
        )
    if request.headers.get("Content-Encoding") is not None:
        raise ApiError(
            ApiCode.UNSUPPORTED_MEDIA_TYPE, "an encoded body is not read", field="Content-Encoding"
        )


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WAIT_S):
            stream = request.stream()
            async for chunk in stream:
                if len(body) + len(chunk) > MAX_BODY_BYTES:
                    body.clear()
                    await _drain(request)
                    raise ApiError(
                        ApiCode.BODY_TOO_LARGE,
                        f"the body has more than {MAX_BODY_BYTES} bytes",
                        headers={"Connection": "close"},
                    )
                body += chunk
    except TimeoutError:
        raise ApiError(
            ApiCode.TIMEOUT,
            f"the body did not arrive within {READ_WAIT_S:g} s",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


async def _drain(request: Request) -> None:
    """Let a client that is still sending finish, within bounds, so that it reads our answer."""
    seen, until = 0, time.monotonic() + DRAIN_WAIT_S
    while seen < DRAIN_BYTES and time.monotonic() < until:
        message = await request.receive()
        seen += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


async def idempotency_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            description="at most 255 visible ASCII characters; the same key and body get the same "
            "answer, another body gets 409",
        ),
    ] = None,
) -> str | None:
    """The Idempotency-Key; raises ApiError for one that we do not read."""
    key = single_header(request, KEY_HEADER)
    if key is None:
        return None
    if len(key) > MAX_KEY_CHARACTERS:
        raise ApiError(
            DenialCode.TOO_LONG,
            f"{KEY_HEADER} must have at most {MAX_KEY_CHARACTERS} characters",
            field=KEY_HEADER,
        )
    if not _VISIBLE_ASCII.fullmatch(key):
        raise ApiError(
            DenialCode.ILLEGAL_CHARS,
            f"{KEY_HEADER} may contain visible ASCII characters only",
            field=KEY_HEADER,
        )
    return key


def id_of_key(key: str, owner: str) -> str:
    """The id that an Idempotency-Key stands for: a pure function of it and of who uses it.

    `owner` is the name of the API key, which stays when its secret is changed.
    """
    owned = f"{owner}\n{key}".encode("ascii")
    return f"k-{hashlib.sha256(owned).hexdigest()[:32]}"


async def read_unnamed_order(request: Request) -> OrderRequest:
    """The order in the body, with an id only if it has one of its own."""
    order = validate_order(await read_json(request))
    if isinstance(order, Denied):
        raise refuse(order)
    check_account(caller_of(request), order.account)
    return order


async def read_order(request: Request, key: str | None) -> OrderRequest:
    """The order in the body, with its id: its own, else the key's, else a new one."""
    order = await read_unnamed_order(request)
    owner = caller_of(request).name
    order_id = _id_of(order.order_id, key, owner, "order_id")
    return order.model_copy(update={"order_id": order_id})


async def read_plan(request: Request, key: str | None, kind: type[PlanT]) -> PlanT:
    """The plan in the body, with its id: its own, else the key's, else a new one."""
    plan = validate_plan(await read_json(request), kind)
    if isinstance(plan, Denied):
        raise refuse(plan)
    caller = caller_of(request)
    check_account(caller, plan.account)
    return plan.model_copy(update={"id": _id_of(plan.id, key, caller.name, "id")})


def _id_of(own: str | None, key: str | None, owner: str, field: str) -> str:
    if own is None:
        return made_order_id(uuid4().hex) if key is None else id_of_key(key, owner)
    if key is None and _OF_A_KEY.fullmatch(own):
        raise ApiError(
            DenialCode.FIELD_NOT_ALLOWED,
            f"such an id stands for an {KEY_HEADER}: give that too",
            field=field,
        )
    if key is not None and own not in (key, id_of_key(key, owner)):
        raise ApiError(
            DenialCode.FIELD_NOT_ALLOWED,
            f"{field} and {KEY_HEADER} have different ids",
            field=field,
        )
    return own
