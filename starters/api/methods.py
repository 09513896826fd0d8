"""405: the method is unknown there, and `Allow` says which ones are not.

Rule: an address may be that of several routes, one for each method; all of their methods count,
but a route with that very address hides those that would take it for a parameter.
"""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from starters.api.access import routes_of
from starters.api.errors import ApiCode, ApiError, error_response


def install_methods(app: FastAPI) -> None:
    """Answer a wrong method in our form."""

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def _wrong_method(request: Request, error: HTTPException) -> JSONResponse:
        methods = _allowed(request)
        headers = {"Allow": ", ".join(sorted(methods))} if methods else error.headers
        refusal = ApiError(
            ApiCode.METHOD_NOT_ALLOWED, "the address does not know this method", headers=headers
        )
        request.state.code = refusal.code
        return error_response(request.state.request_id, refusal)


def _allowed(request: Request) -> set[str]:
    found: dict[str, set[str]] = {}
    for route in routes_of(request.app):
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE:
            found.setdefault(route.path_format, set()).update(route.methods or ())
    exact = min(found, key=lambda path: path.count("{"), default="")
    return found.get(exact, set())
