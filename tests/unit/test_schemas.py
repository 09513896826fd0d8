"""The committed schemas are those of the code, and the changelog knows of each change."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from temporalio import workflow

from starters import schemas
from starters.cli import main
from tests.unit.order_bodies import KINDS, accepted, raw
from tests.unit.starters_fakes import iceberg_snapshot, stop_snapshot, twap_snapshot
from workers.workflow_code import WORKFLOWS as WORKFLOW_CLASSES
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.messages import OrderSnapshot
from workflows.refusals import refused

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "schemas"
AGAIN = "run: python -m starters schema --write schemas, and say in CHANGELOG.md what changed"


def test_the_committed_schemas_are_those_of_the_messages() -> None:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    current = schemas.files()
    assert set(committed) == set(current), AGAIN
    for name, text in committed.items():
        assert text == current[name], f"{name}: {AGAIN}"


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
    assert {path.stem for path in tmp_path.iterdir()} == {*schemas.MESSAGES, schemas.CONTRACT}
    assert (tmp_path / "OrderRequest.json").read_text() == schemas.schema_text("OrderRequest")


def test_one_schema_or_the_fingerprint_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "AmendRequest"]) == 0
    assert capsys.readouterr().out == schemas.schema_text("AmendRequest")
    assert main(["schema", "--fingerprint"]) == 0
    assert capsys.readouterr().out.strip() == schemas.fingerprint()


def test_the_fingerprint_changes_with_any_message(monkeypatch: pytest.MonkeyPatch) -> None:
    before = schemas.fingerprint()
    fewer = {name: each for name, each in schemas.MESSAGES.items() if name != "CancelRequest"}
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
    said = json.loads(told.model_dump_json())
    validator.validate(said)
    without_status = {name: value for name, value in said.items() if name != "status"}
    assert not validator.is_valid(without_status), "each field of what is told is promised"
    validator.validate({**said, "a_later_field": 1})


@pytest.mark.parametrize("name", schemas.MESSAGES)
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(schemas.schema_text(name)))


# --- the contract: what goes where ----------------------------------------------------------------

ENGINES_OWN = {"AccountFeed", "PriceWatch", "ReadSymbols", "ReadWindow", "SettleOrder"}
"""Workflows that the engine starts for itself."""
FROM_THE_ENGINE = {names.EXECUTION_REPORT, names.PRICE_TRIGGER}
"""Signals that the engine sends to itself."""


def definitions() -> dict[str, Any]:
    """What Temporal knows of each workflow that the workers serve."""
    found = [workflow._Definition.must_from_class(each) for each in WORKFLOW_CLASSES]
    return {str(each.name): each for each in found}


def test_the_contract_has_every_workflow_that_the_workers_serve_and_each_of_its_handlers() -> None:
    told = schemas.contract()["workflows"]
    assert set(told) == set(definitions()) - ENGINES_OWN
    for name, contract in told.items():
        real = definitions()[name]
        assert set(contract["queries"]) == set(real.queries)
        assert set(contract["signals"]) == set(real.signals) - FROM_THE_ENGINE
        assert set(contract["updates"]) == set(real.updates)


def test_what_the_contract_says_is_answered_is_what_the_code_returns() -> None:
    for name, contract in schemas.contract()["workflows"].items():
        real = definitions()[name]
        assert contract["result"] == real.ret_type.__name__
        answers = {handler: each["answer"] for handler, each in contract["updates"].items()}
        for handler, answer in answers.items():
            returned = real.updates[handler].ret_type
            assert returned is Any or returned.__name__ == answer, (name, handler)
        for handler, each in contract["queries"].items():
            returned = real.queries[handler].ret_type
            assert returned is Any or returned.__name__ == each["answer"], (name, handler)


def test_each_message_of_the_contract_has_a_schema() -> None:
    for contract in schemas.contract()["workflows"].values():
        handlers = [*contract["queries"].values(), *contract["signals"].values()]
        handlers += contract["updates"].values()
        named = {contract["input"], contract["result"]}
        named |= {each[side] for each in handlers for side in ("input", "answer")}
        assert named - {None} <= set(schemas.MESSAGES)


def test_a_refusal_of_the_engine_is_valid_by_its_schema() -> None:
    denied = refused(Denied(code=DenialCode.NOT_PAUSED, detail="the order is working now"))
    Draft202012Validator(json.loads(schemas.schema_text("Denied"))).validate(denied.details[0])
