"""What OpenAPI says of access: keys, the scopes of each operation, and the answers of the edge.

Rule: made from the routes' own declarations, after everything else is in the document, so that no
route can forget it. It must not know how a key is checked.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from starters.api.access import routes_of, scopes_of
from starters.api.errors import ApiCode, Code, ErrorBody, status_of
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode

SCHEME = "key"
SECURITY_SCHEMES = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ek_<id>_<secret>",
        "description": "An API key: `python -m starters keys create`. A key has scopes, ends after"
        " at most 90 days, and may be bound to accounts.",
    }
}
EDGE_CODES: tuple[Code, ...] = (
    ApiCode.BAD_REQUEST,
    ApiCode.FORBIDDEN_ADDRESS,
    ApiCode.HEADERS_TOO_LARGE,
    DenialCode.UNAVAILABLE,
    ApiCode.INTERNAL,
)
"""What every request may meet."""
KEY_CODES: tuple[Code, ...] = (
    ApiCode.UNAUTHENTICATED,
    ApiCode.FORBIDDEN_SCOPE,
    DenialCode.RATE_LIMITED,
)
"""What a request may meet that needs a key."""
_ERROR = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "seconds until it is worth asking again",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    }
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {
        "WWW-Authenticate": {"schema": {"type": "string"}, "required": True},
    },
    HTTPStatus.TOO_MANY_REQUESTS: _RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: _RETRY_AFTER,
}


def add_access(app: FastAPI, document: dict[str, Any]) -> None:
    """Complete the document of the app's routes."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for route in routes_of(app):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                _complete(operation, scopes_of(route) or frozenset())


def _complete(operation: dict[str, Any], scopes: frozenset[Scope]) -> None:
    operation["security"] = [{SCHEME: []}] if scopes else []
    needed = f"Needs the scope {' or '.join(f'`{each}`' for each in sorted(scopes))}."
    told = [operation.get("description", ""), needed if scopes else "Needs no key."]
    operation["description"] = "\n\n".join(filter(None, told))
    answers = operation["responses"]
    for code in (*EDGE_CODES, *(KEY_CODES if scopes else ())):
        _add(answers.setdefault(str(status_of(code)), {}), code)
    for status, headers in _HEADERS.items():
        if (answer := answers.get(str(int(status)))) is not None and _has_errors_only(answer):
            answer.setdefault("headers", {}).update(headers)
    for answer in answers.values():
        for example in (
            answer.get("content", {}).get("application/json", {}).get("examples", {}).values()
        ):
            example["value"].setdefault("field", None)  # FastAPI leaves out what is null
    operation["responses"] = dict(sorted(answers.items()))


def _add(answer: dict[str, Any], code: Code) -> None:
    """Put the code into the documented answer of its status."""
    content = answer.setdefault("content", {}).setdefault("application/json", {})
    schema = content.get("schema", _ERROR)
    if _ERROR not in _choices(schema):
        schema = {"anyOf": [*_choices(schema), _ERROR]}
    content["schema"] = schema
    example = {"code": code, "message": "...", "field": None, "request_id": "5f1c"}
    examples = content.setdefault("examples", {})
    if code not in examples:
        examples[code] = {"value": example}
        phrase = HTTPStatus(status_of(code)).phrase
        told = answer.get("description")
        answer["description"] = f"{told.rstrip('.')}, {code}" if told else f"{phrase}: {code}"


def _choices(schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    choices: Iterable[dict[str, Any]] = schema.get("anyOf", [schema])
    return choices


def _has_errors_only(answer: dict[str, Any]) -> bool:
    return bool(answer["content"]["application/json"]["schema"] == _ERROR)
