"""The committed schemas are those of the code, and the changelog knows of each change."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from starters import schemas
from starters.cli import main
from tests.unit.order_bodies import KINDS, accepted, raw
from tests.unit.starters_fakes import iceberg_snapshot, stop_snapshot, twap_snapshot
from workflows.messages import OrderSnapshot

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "schemas"
AGAIN = "run: python -m starters schema --write schemas, and say in CHANGELOG.md what changed"


def test_the_committed_schemas_are_those_of_the_messages() -> None:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    assert set(committed) == set(schemas.MESSAGES), AGAIN
    for name, text in committed.items():
        assert text == schemas.schema_text(name), f"{name}: {AGAIN}"


def test_the_newest_entry_on_schemas_in_the_changelog_names_their_fingerprint() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(r"^### Schemas\n(.*?)(?=^##|\Z)", changelog, re.MULTILINE | re.DOTALL)
    assert section is not None
    entries = re.findall(r"^- `([0-9a-f]{12})` (.+)", section.group(1), re.MULTILINE)
    assert entries, AGAIN
    newest, _what_changed = entries[0]
    assert newest == schemas.fingerprint(), AGAIN


def test_writing_again_leaves_exactly_the_messages(tmp_path: Path) -> None:
    (tmp_path / "Gone.json").write_text("{}")
    assert main(["schema", "--write", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == set(schemas.MESSAGES)
    assert (tmp_path / "OrderRequest.json").read_text() == schemas.schema_text("OrderRequest")


def test_one_schema_or_the_fingerprint_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "AmendRequest"]) == 0
    assert capsys.readouterr().out == schemas.schema_text("AmendRequest")
    assert main(["schema", "--fingerprint"]) == 0
    assert capsys.readouterr().out.strip() == schemas.fingerprint()


def test_the_fingerprint_changes_with_any_message(monkeypatch: pytest.MonkeyPatch) -> None:
    before = schemas.fingerprint()
    fewer = {name: model for name, model in schemas.MESSAGES.items() if name != "CancelRequest"}
    monkeypatch.setattr(schemas, "MESSAGES", fewer)
    assert schemas.fingerprint() != before


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_of_each_type_is_valid_by_the_schema(kind: str) -> None:
    validator = Draft202012Validator(json.loads(schemas.schema_text("OrderRequest")))
    validator.validate(KINDS[kind])
    validator.validate(json.loads(accepted(raw(KINDS[kind])).model_dump_json()))
    assert not validator.is_valid({**KINDS[kind], "colour": "red"})
    assert not validator.is_valid({**KINDS[kind], "order_type": "sniper"})


@pytest.mark.parametrize("told", [twap_snapshot(), iceberg_snapshot(), stop_snapshot()])
def test_a_snapshot_with_progress_is_valid_by_the_schema(told: OrderSnapshot) -> None:
    validator = Draft202012Validator(json.loads(schemas.schema_text("OrderSnapshot")))
    validator.validate(json.loads(told.model_dump_json()))


@pytest.mark.parametrize("name", schemas.MESSAGES)
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(schemas.schema_text(name)))
