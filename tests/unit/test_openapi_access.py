"""What the API says of itself: scopes and errors in OpenAPI, its pages, the methods it knows."""

import re

import pytest

from starters.api.access import routes_of, scopes_of
from starters.api.app import create_app
from starters.api.openapi_access import EDGE_CODES, KEY_CODES
from tests.unit.starters_fakes import FakeConnections, call, settings_of

OUTSIDE = {"API_HOST": "0.0.0.0", "ALLOW_REMOTE": "true", "API_TRUSTED_PROXIES": "10.0.0.1"}
APP = create_app(settings_of())
DOCUMENT = APP.openapi()
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_each_operation_says_which_scope_it_needs_as_its_route_does():
    needed = {
        (route.path_format, method.lower()): scopes_of(route)
        for route in routes_of(APP)
        for method in getattr(route, "methods", ()) or ()
    }
    for path, method, operation in OPERATIONS:
        scopes = needed[path, method]
        assert operation["security"] == ([{"key": []}] if scopes else [])
        assert all(f"`{scope}`" in operation["description"] for scope in scopes)
    assert DOCUMENT["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_each_operation_documents_what_the_edge_and_the_gate_answer():
    for path, method, operation in OPERATIONS:
        codes = {
            code
            for answer in operation["responses"].values()
            for code in answer.get("content", {}).get("application/json", {}).get("examples", {})
        }
        expected = set(EDGE_CODES) | (set(KEY_CODES) if operation["security"] else set())
        assert expected <= codes, (path, method, expected - codes)
        for status in ("429", "503"):
            answer = operation["responses"].get(status, {})
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            assert "anyOf" in schema or "Retry-After" in answer.get("headers", {}) or not answer


def test_every_example_of_an_error_has_the_whole_body():
    for _path, _method, operation in OPERATIONS:
        for status, answer in operation["responses"].items():
            examples = answer.get("content", {}).get("application/json", {}).get("examples", {})
            for example in examples.values() if int(status) >= 400 else ():
                assert set(example["value"]) == {"code", "message", "field", "request_id"}


def test_nobody_is_asked_by_http_to_say_who_they_are():
    for _path, _method, operation in OPERATIONS:
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if media is not None:
            name = media["schema"]["$ref"].rsplit("/", 1)[1]
            assert "requested_by" not in DOCUMENT["components"]["schemas"][name]["properties"]
            for example in media["examples"].values():
                assert "requested_by" not in example["value"]


async def test_the_pages_come_from_this_machine_alone_and_need_no_key():
    page = await call(FakeConnections(), "GET", "/docs", headers={"Authorization": ""})
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 3
    assert re.findall(r"https?://", page.text) == []
    for address in [*addresses, "/openapi.json"]:
        asset = await call(FakeConnections(), "GET", address, headers={"Authorization": ""})
        assert (asset.status_code, len(asset.content) > 100) == (200, True)


def test_where_other_machines_reach_the_api_it_has_no_pages():
    app = create_app(settings_of(**OUTSIDE))
    assert app.openapi_url is None
    paths = {getattr(route, "path", "") for route in app.routes}
    assert not {path for path in paths if path.startswith(("/docs", "/openapi", "/redoc"))}
    assert not {path for path in app.state.public_paths if path.startswith(("/docs", "/openapi"))}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/orders", "GET, POST"),
        ("PUT", "/api/v1/orders/a", "GET, PATCH"),
        ("DELETE", "/api/v1/orders/preview", "POST"),
        ("TRACE", "/api/v1/orders", "GET, POST"),
        ("TRACE", "/health/live", "GET"),
        ("OPTIONS", "/api/v1/trading-state", "GET, PUT"),
    ],
)
async def test_a_wrong_method_is_told_all_that_the_address_knows(method, path, allowed):
    answer = await call(FakeConnections(), method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == allowed
