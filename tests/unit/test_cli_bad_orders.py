"""The catalogue of bad orders at the command line: exit 2, and one line with the code and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from starters.cli import main
from tests.contract.bad_input import ROWS, Row

TYPES = ("market", "limit", "twap", "iceberg", "oco", "trailing_stop")
NO_OPTIONS = {"admin", "account_id"}
"""Fields that no command has: the command line refuses them as usage."""
USAGE = "No such option"
"""A field that does not go with the type is no option of its command."""
NOT_TYPED = "\0"
"""What no shell can hand over."""


def order_of(row: Row) -> dict[str, Any]:
    """The body, if a user could type it: an order whose values are texts or numbers."""
    try:
        body = json.loads(row[1].decode(), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(body, dict) or body.get("order_type") not in TYPES or NO_OPTIONS & set(body):
        return {}
    whole = json.dumps(body, ensure_ascii=False)
    typed = all(isinstance(value, str) for value in body.values())
    return body if typed and NOT_TYPED not in "".join(body.values()) and len(whole) < 1e5 else {}


TYPED = [(row, order_of(row)) for row in ROWS if order_of(row)]


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with no stack: nothing answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("DELTA_HOME", str(tmp_path / "home"))


def test_every_bad_order_that_can_be_typed_is_refused_with_the_code_that_http_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = []
    for (name, _, _, code, field), order in TYPED:
        options = [
            f"--{key.replace('_', '-')}={value}"
            for key, value in order.items()
            if key not in ("order_type", "order_id")
        ]
        command = order["order_type"].replace("_", "-")
        exit_code = main(["order", command, *options, f"--id={order.get('order_id', 'a')}"])
        said = capsys.readouterr().err.strip()
        named = said.startswith(f"{code}: ") and (field or "") in said
        if exit_code != 2 or not (named or USAGE in said):
            wrong.append((name, exit_code, said))
    assert wrong == []
    assert len(TYPED) > len(ROWS) / 3
