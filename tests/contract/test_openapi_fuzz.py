"""Schemathesis over the whole OpenAPI, with a key and without: no request breaks the API.

It draws requests from the document, good ones and bad ones, and judges each answer by the document.
FUZZ_CASES says how many at least; from 5,000 on it also walks through every boundary that the
document names. CRASH_SEED is the seed. What it starts trades on the stack's paper exchanges.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api_client import bearer
from workers.local_stack import LocalStack

pytest_plugins = ["tests.integration.starters_stack_fixtures"]
CASES = int(os.environ.get("FUZZ_CASES", "150"))
MANY = 5_000
IN_COVERAGE = 2_300
"""At least as many cases come of the boundaries alone."""
FULL_OPERATIONS = 40
"""There are more operations, but of some only few different requests can be drawn."""
WORKERS = 1
"""Several are threads, in which Python 3.11's `ast.parse`, which the tool uses, fails at times."""
WITHIN_S = 150 if CASES < MANY else 3_600
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(WITHIN_S + 60)]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not its check of wrong keys, which takes our lock-out of whoever tries many for a mistake, nor
that good data are accepted: that an order is well formed does not mean that it may trade."""
BEFORE_ANY_ROUTE = {400, 401, 422, 431}
PUBLIC = {"GET /health/live", "GET /health/ready"}


@pytest.fixture(scope="module")
def exchanges() -> str:
    return "binance,okx"


@dataclass(frozen=True)
class Run:
    code: int
    text: str
    cases: int
    statuses: dict[str, set[int]]
    """Of the answers, by operation."""


async def run(stack: LocalStack, folder: Path, cases: int, header: str | None) -> Run:
    """One run of the tool, as its users run it."""
    folder.mkdir()
    phases, left = ["examples", "fuzzing"], cases
    if cases >= MANY // 2:
        phases, left = (
            ["examples", "coverage", "fuzzing"],
            max(cases - IN_COVERAGE, FULL_OPERATIONS),
        )
    command = [
        *("run", f"{stack.api_url}/openapi.json", "--no-color", "--continue-on-failure"),
        *("--checks", ",".join(CHECKS), "--phases", ",".join(phases)),
        *("--max-examples", str(-(-left // FULL_OPERATIONS)), "--workers", str(WORKERS)),
        *("--seed", os.environ["CRASH_SEED"], "--generation-database", "none"),
        *("--generation-with-security-parameters", "false", "--request-timeout", "60"),
        *("--report", "ndjson", "--report-ndjson-path", "events", "--suppress-health-check", "all"),
        *(() if header is None else ("-H", header)),
    ]
    tool = "from schemathesis.cli import schemathesis; schemathesis()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", tool, *command),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    statuses, asked = answers_in(folder / "events")
    return Run(process.returncode, out.decode(), asked, statuses)


def answers_in(events: Path) -> tuple[dict[str, set[int]], int]:
    """The statuses of all answers, by operation, and how many there were."""
    statuses: dict[str, set[int]] = defaultdict(set)
    count = 0
    with events.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            finished = json.loads(line).get("ScenarioFinished")
            if finished is None:
                continue
            recorder = finished["recorder"]
            for interaction in recorder.get("interactions", {}).values():
                if interaction["response"] is not None:
                    statuses[recorder["label"]].add(interaction["response"]["status_code"])
                    count += 1
    return statuses, count


async def test_no_drawn_request_breaks_the_api_and_without_a_key_none_gets_through(
    stack: LocalStack, tmp_path: Path
) -> None:
    authorization = f"Authorization: {bearer(stack.settings)['Authorization']}"
    known, unknown = await asyncio.gather(
        run(stack, tmp_path / "key", CASES * 3 // 4, authorization),
        run(stack, tmp_path / "none", CASES // 4, None),
    )
    for each in (known, unknown):
        assert each.code == 0, each.text[-20_000:]
    told = f"{known.cases} with a key, {unknown.cases} without"
    print(told)
    assert known.cases + unknown.cases >= CASES, told
    assert set(known.statuses) == set(unknown.statuses)
    assert any(status < 300 for found in known.statuses.values() for status in found)
    for operation, found in unknown.statuses.items():
        if operation not in PUBLIC:
            assert found <= BEFORE_ANY_ROUTE, (operation, found)
