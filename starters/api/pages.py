"""The API's own pages, /docs and its assets: Swagger UI out of an installed package, no network.

Rule: only a server that this machine alone reaches has them, and /openapi.json. They hold no data
and need no key: whoever tries a call there gives one.
"""

from functools import partial
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

DOCS_PATH = "/docs"
_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_SCRIPT, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"


def add_pages(app: FastAPI) -> frozenset[str]:
    """Add the pages where the app has an OpenAPI document; the addresses that anyone may ask."""
    if app.openapi_url is None:
        return frozenset()
    app.add_route(DOCS_PATH, _page, include_in_schema=False)
    for name in (_SCRIPT, _STYLE, _ICON):
        app.add_route(_asset(name), partial(_file, name), include_in_schema=False)
    return frozenset({app.openapi_url, DOCS_PATH, *map(_asset, (_SCRIPT, _STYLE, _ICON))})


def _asset(name: str) -> str:
    return f"{DOCS_PATH}/{name}"


async def _page(request: Request) -> Response:
    return get_swagger_ui_html(
        openapi_url=request.app.openapi_url,
        title=request.app.title,
        swagger_js_url=_asset(_SCRIPT),
        swagger_css_url=_asset(_STYLE),
        swagger_favicon_url=_asset(_ICON),
    )


async def _file(name: str, _request: Request) -> Response:
    return FileResponse(_ASSETS / name)
