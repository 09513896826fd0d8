"""The documents are true: what they name exists, and their tables equal the code.

Commands are parsed by the command line's own parsers, orders by the engine's own rules.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer

from activities.ledger.view_events import EventKind
from starters import contract_page
from starters.api.access import routes_of, scopes_of
from starters.api.app import create_app
from starters.api.errors import ApiCode, status_of
from starters.cli import app as starters_app
from starters.decisions import LimitRequest, validate_decision
from starters.kinds import EXECUTION_TYPES, PREVIEW_TYPE, WORKFLOW_TYPES
from starters.trading_state import validate_switch
from tests.unit.order_bodies import KINDS, OPTIONS
from workers.__main__ import app as workers_app
from workers.settings import Settings, is_setting, load_settings
from workflows import names
from workflows.domain.access import Scope
from workflows.domain.alarms import AlarmCode, advice_on
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionKind, ExecutionStatus, Outcome
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.limits import RULES, LimitName
from workflows.domain.orders import OrderType
from workflows.domain.triggers import Flag
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import OrderRequest, parse_order
from workflows.plans import parse_plan
from workflows.steering_messages import parse_amend, parse_steer

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/contract.md")
APPS = {"starters": starters_app, "workers": workers_app}
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD"}
FOLDERS = (
    *("workflows", "activities", "workers", "starters"),
    *("tests", "deploy", "docs", "examples", "schemas", ".ci"),
)
PUBLIC = ("/health/live", "/health/ready")
KEY_HEADER = re.compile(r"@[\w./-]*header")
"""How a command hands a key over without showing it to who lists processes."""
TYPES: dict[str, tuple[OrderType, ...]] = {
    PREVIEW_TYPE: tuple(OrderType),
    **{
        workflow: tuple(kind for kind in OrderType if WORKFLOW_TYPES[kind] == workflow)
        for workflow in WORKFLOW_TYPES.values()
    },
}
UPDATES = {names.PAUSE: parse_steer, names.RESUME: parse_steer, names.AMEND: parse_amend}
BODIES = {"pause": parse_steer, "resume": parse_steer}
PLANS = {ExecutionKind.ARBITRAGE: ArbitragePlan, ExecutionKind.REBALANCE: RebalancePlan}
EXECUTIONS = {EXECUTION_TYPES[kind]: plan for kind, plan in PLANS.items()}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


README = text_of("README.md")
VALUES = OPTIONS | {
    "time_in_force": "IOC",
    "end_at": "2030-01-31T13:00:00Z",
    "price": "48900",
    "stop_price": "49000",
    "take_profit_price": "51500",
    "oco_limit_price": "51500",
}


def code_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, without prompt and comment, continued ones joined."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip()


def spans(text: str) -> list[str]:
    """What stands between single back quotes."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def invocations(program: str) -> list[str]:
    """Every use of the program in the documents, in code blocks and in prose, without what the
    shell does with it.
    """
    found = [
        re.split(r" \| | > |\)$", found.group(0))[0]
        for document in DOCUMENTS
        for line in [*code_lines(text_of(document)), *spans(text_of(document))]
        if (found := re.search(rf"\b{program} .*", line))
    ]
    assert found
    return sorted(set(found))


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below the heading or comment, without its head."""
    below = README[README.index(heading) :]
    rows = re.search(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", below, flags=re.MULTILINE)
    assert rows is not None
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")]
        for row in rows.group(1).strip().splitlines()
    ]


def column(heading: str, index: int = 0) -> list[str]:
    return [row[index].strip("` |") for row in table(heading)]


# --- tables ---------------------------------------------------------------------------------------


def test_the_second_line_says_who_does_what():
    said = "Workflows decide, activities act, workers wire, starters ask."
    assert README.splitlines()[1] == said


@pytest.mark.parametrize(
    ("heading", "codes"), [("<!-- denial codes", DenialCode), ("<!-- HTTP codes", ApiCode)]
)
def test_the_table_of_codes_is_the_enum(heading, codes):
    told = [row[:2] for row in table(heading)]
    assert told == [[f"`{code}`", str(status_of(code))] for code in codes]
    assert all(len(row) == 3 and row[2].strip("| ") for row in table(heading))


def test_the_table_of_alarms_is_the_enum_with_its_advice():
    advice = {code: advice_on(code) for code in AlarmCode}
    assert table("<!-- alarm codes") == [
        [f"`{code}`", told.meaning, told.action] for code, told in advice.items()
    ]


def test_the_table_of_limits_is_the_enum_with_its_rules():
    rules = {name: RULES[name] for name in LimitName}
    assert table("<!-- limits") == [
        [f"`{name}`", rule.meaning, rule.unit, rule.default] for name, rule in rules.items()
    ]


def test_the_table_of_fields_is_the_order_request():
    assert column("| field | types |") == list(OrderRequest.model_fields)


@pytest.mark.parametrize(("name", "types"), [row[:2] for row in table("| field | types |")])
def test_a_field_is_refused_by_the_types_that_lack_it(name, types):
    field = name.strip("`")
    if types == "all":
        return
    for kind in OrderType:
        order = {**KINDS[kind], field: VALUES.get(field, KINDS[kind].get(field, 2))}
        if field == "post_trigger_timeout_s" and kind in types.split(", "):
            order["price"] = "48900"
        answer = parse_order(json.dumps(order).encode())
        is_refused = isinstance(answer, Denied) and answer.field == field
        assert is_refused == (kind not in types.split(", ")), kind


def test_the_made_tables_of_the_contract_are_as_they_are_made():
    page = text_of("docs/contract.md")
    assert contract_page.remade(page) == page, (
        "run: python -m starters schema --page docs/contract.md"
    )


def test_the_kinds_of_events_are_all_told():
    page = text_of("docs/contract.md")
    told = re.findall(r"^\| `(\w+)` \|.*\| `.* \|$", page[page.index("| kind | about |") :], re.M)
    assert told == [kind.value for kind in EventKind]


def test_the_tables_of_types_and_states_are_the_enums():
    assert column("| type | what it does |") == [kind.value for kind in OrderType]
    assert column("| state | meaning |") == [status.value for status in OrderStatus]
    told = column("| status of an execution | meaning |")
    assert told == [status.value for status in ExecutionStatus]


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", invocations("python -m (?:starters|workers)"))
def test_every_command_is_understood_by_its_parser(line):
    _python, _m, package, *arguments = shlex.split(line)
    command = typer.main.get_command(APPS[package])
    while arguments and hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    with command.make_context(package, arguments):
        pass  # parsed, not run


@pytest.mark.parametrize("line", invocations("make"))
def test_every_make_target_exists(line):
    target = line.split()[1]
    assert re.search(rf"^{re.escape(target)}:", text_of("Makefile"), flags=re.MULTILINE)


@pytest.mark.parametrize("line", invocations("temporal workflow"))
def test_every_temporal_command_uses_names_of_ours(line):
    words = shlex.split(line)
    options = words[4:] if words[2] == "update" else words[3:]
    given = dict(zip(options[::2], options[1::2], strict=True))
    if words[2] == "update":
        assert words[3] == "execute"
        assert not isinstance(UPDATES[given["--name"]](given["--input"].encode()), Denied)
    elif words[2] == "start":
        assert given["--task-queue"] == names.ORDERS_QUEUE
        raw, kind = given["--input"].encode(), given["--type"]
        if kind in EXECUTIONS:
            assert isinstance(parse_plan(raw, EXECUTIONS[kind]), EXECUTIONS[kind])
        else:
            assert isinstance(parse_order(raw, order_types=TYPES[kind]), OrderRequest)
    elif words[2] == "query":
        assert given["--type"] == names.PROGRESS
    elif words[2] == "signal":
        assert given["--name"] == names.CANCEL
    elif words[2] == "list":
        known = {key.name for key in names.SEARCH_ATTRIBUTES}
        assert set(re.findall(r"(\w+)=", given["--query"])) <= known
    else:
        assert words[2] in ("result", "cancel")


def test_the_workflow_types_and_search_attributes_are_all_named():
    told = set(spans(README))
    assert told >= {*TYPES, *EXECUTIONS}
    assert told >= {key.name for key in names.SEARCH_ATTRIBUTES}


@pytest.fixture(scope="module")
def routes() -> dict[tuple[str, str], frozenset[Scope]]:
    """Each route with the scopes of which it needs one."""
    return {
        (method, route.path.replace(":path", "")): scopes_of(route) or frozenset()
        for route in routes_of(create_app(load_settings({})))
        for method in getattr(route, "methods", ["WS"])
    }


def test_the_table_of_routes_is_the_api_with_its_scopes(routes):
    rows = re.findall(
        r"^\| `([A-Z]+) (/[^`]*)` \| ([^|]*) \|", text_of("docs/http.md"), re.MULTILINE
    )
    told = {(method, path): frozenset(spans(scopes)) for method, path, scopes in rows}
    assert told == routes


@pytest.mark.parametrize("line", invocations("curl"))
def test_every_request_by_curl_is_one_that_the_api_knows(line, routes):
    words = shlex.split(line)
    address = urlsplit(next(word for word in words if word.startswith("http")))
    assert address.port == Settings().api_port
    body = words[words.index("-d") + 1] if "-d" in words else None
    named = words[words.index("-X") + 1] if "-X" in words else None
    method = named or ("POST" if body else "GET")
    has_key = any(KEY_HEADER.fullmatch(word) for word in words)
    assert address.path in PUBLIC or has_key, "a request needs a key"
    matching = [
        path
        for known, path in routes
        if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), address.path)
    ]
    assert matching
    if body is not None:
        assert not isinstance(read_body(method, address.path, body.encode()), Denied)


def read_body(method: str, path: str, body: bytes) -> object:
    """The body as its route reads it."""
    kind = path.rsplit("/", 1)[1]
    if method == "PATCH":
        return parse_amend(body)
    if kind == "trading-state":
        return validate_switch(json.loads(body))
    if path.endswith("/risk/limits"):
        return validate_decision(LimitRequest, json.loads(body))
    if kind in BODIES:
        return BODIES[kind](body)
    return parse_plan(body, PLANS[ExecutionKind(kind)]) if kind in PLANS else parse_order(body)


# --- settings, links, paths -----------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_that_is_named_exists(document):
    text = text_of(document)
    others = {
        *DenialCode,
        *AlarmCode,
        *ApiCode,
        *Outcome,
        *Flag,
        *COMPOSE_ONLY,
        "CHILD_TRANSITIONS",
    }
    for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text):
        assert name in others or is_setting(name), name
        if is_setting(name) and not name.startswith("EXCHANGE_"):
            assert name in text_of(".env.example"), name


def test_every_setting_is_read_somewhere():
    read = {
        node.attr
        for folder in FOLDERS[:4]
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert {name for name in Settings.model_fields if name not in read} == set()


def test_the_defaults_that_are_told_are_the_settings_own():
    for variables, values, _meaning in table("| setting | default |"):
        told = values.replace("`", "").split(", ")
        assert [default_of(variable) for variable in spans(variables)] == told


def test_the_numbers_that_are_told_are_the_settings_own():
    rows = re.findall(
        r"^\|[^|]*\| (\w+) s \| `([A-Z_]+)` \|$", text_of("ARCHITECTURE.md"), re.MULTILINE
    )
    assert len(rows) == 6
    assert [default_of(variable) for _value, variable in rows] == [value for value, _ in rows]


def default_of(variable: str) -> str:
    value = getattr(load_settings({}), variable.lower())
    if value is None:
        return "unset"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def anchors(path: Path) -> set[str]:
    """What a link may name in the document."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    here = ROOT / document
    for target in re.findall(r"\]\(([^)]+)\)", text_of(document)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = here.parent / file if file else here
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document):
    for span in spans(text_of(document)):
        is_file = re.fullmatch(r"[\w./-]+\.(?:py|md|yml|toml|example)", span)
        if is_file or span.split("/")[0] in FOLDERS:
            assert (ROOT / span).exists(), span
