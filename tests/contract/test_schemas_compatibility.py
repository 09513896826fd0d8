"""Who relied on the messages of the last release can rely on those of now, or was told.

`schemas/released` are the schemas as of the last release. A change that could cost a caller
something is found in them, and each is a line of the changelog in the same words.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starters import schemas
from tests.contract.schema_changes import Schema, breaks

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "schemas" / "released"
TOLD = "name it under `### Broken` in CHANGELOG.md, in these words"

SENT: Schema = {
    "$defs": {"Side": {"enum": ["buy", "sell"], "type": "string"}},
    "additionalProperties": False,
    "properties": {
        "side": {"$ref": "#/$defs/Side"},
        "quantity": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+$"}]},
        "note": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}], "default": None},
        "legs": {"type": "array", "items": {"$ref": "#/$defs/Side"}, "maxItems": 2},
    },
    "required": ["side"],
    "type": "object",
}


def set_at(*path: str, to: object) -> Callable[[Schema], None]:
    def change(schema: Schema) -> None:
        inner: Any = schema
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to

    return change


def drop(*path: str) -> Callable[[Schema], None]:
    def change(schema: Schema) -> None:
        inner: Any = schema
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return change


def changed(change: Callable[[Schema], None]) -> Schema:
    schema = copy.deepcopy(SENT)
    change(schema)
    return schema


FIELDS = "properties"
NARROWER = [
    (set_at("required", to=["side", "quantity"]), "M.quantity is required now"),
    (drop(FIELDS, "note"), "M.note is gone"),
    (set_at("$defs", "Side", "enum", to=["buy"]), "M.side no longer takes 'sell'"),
    (set_at(FIELDS, "quantity", to={"type": "number"}), "M.quantity no longer takes string"),
    (set_at(FIELDS, "note", "anyOf", to=[{"type": "string"}]), "M.note no longer takes null"),
    (set_at(FIELDS, "note", "default", to="none"), "M.note has another default"),
    (set_at(FIELDS, "legs", "maxItems", to=1), "M.legs has a narrower maxItems"),
    (set_at(FIELDS, "legs", "minItems", to=1), "M.legs has a narrower minItems"),
    (
        set_at(
            FIELDS, "quantity", "anyOf", to=[{"type": "number"}, {"type": "string", "enum": []}]
        ),
        "M.quantity no longer takes other values than those listed",
    ),
    (
        set_at(
            FIELDS, "quantity", "anyOf", to=[{"type": "number"}, {"type": "string", "pattern": "x"}]
        ),
        "M.quantity has another pattern",
    ),
]
WIDER = [
    set_at("$defs", "Side", "enum", to=["buy", "sell", "short"]),
    set_at(FIELDS, "colour", to={"type": "string", "default": "red"}),
    set_at(FIELDS, "legs", "maxItems", to=3),
    set_at("required", to=[]),
]
LESS = [
    (drop(FIELDS, "quantity"), "M.quantity is gone"),
    (set_at("required", to=[]), "M.side may be left out now"),
    (set_at(FIELDS, "side", to={"type": "null"}), "M.side may be null now"),
    (set_at(FIELDS, "legs", "items", to={"type": "integer"}), "M.legs[] may be integer now"),
]


@pytest.mark.parametrize(("change", "words"), NARROWER)
def test_what_was_taken_from_a_caller_and_is_no_longer_is_a_break(change, words):
    assert words in breaks("M", SENT, changed(change), is_sent=True)


@pytest.mark.parametrize("change", WIDER)
def test_to_take_more_from_a_caller_breaks_nobody(change):
    assert breaks("M", SENT, changed(change), is_sent=True) == []


@pytest.mark.parametrize(("change", "words"), LESS)
def test_what_was_promised_to_a_caller_and_is_no_longer_is_a_break(change, words):
    assert words in breaks("M", SENT, changed(change), is_sent=False)


@pytest.mark.parametrize("change", [WIDER[0], WIDER[1], NARROWER[0][0], NARROWER[2][0]])
def test_to_tell_a_caller_more_breaks_nobody(change):
    assert breaks("M", SENT, changed(change), is_sent=False) == []


def test_a_message_that_holds_itself_is_compared_to_its_end():
    tree: Schema = {
        "$defs": {
            "Node": {"properties": {"next": {"$ref": "#/$defs/Node"}, "side": {"enum": ["a"]}}}
        },
        "$ref": "#/$defs/Node",
    }
    less = copy.deepcopy(tree)
    less["$defs"]["Node"]["properties"]["side"] = {"enum": []}
    assert breaks("M", tree, less, is_sent=True) == ["M.side no longer takes 'a'"]


# --- the messages ---------------------------------------------------------------------------------


def released() -> dict[str, Schema]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in RELEASED.glob("*.json")}


def told() -> set[str]:
    """The breaks that the changelog names for what is not released yet."""
    newest = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    section = re.search(r"^### Broken\n(.*?)(?=^###|\Z)", newest, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^- (.+?):", section.group(1), re.MULTILINE)) if section else set()


def test_each_break_of_a_released_message_is_named_in_the_changelog():
    found = []
    for name, old in released().items():
        if name == schemas.CONTRACT:
            continue
        message = schemas.MESSAGES.get(name)
        if message is None:
            found.append(f"{name} is gone")
        else:
            found += breaks(name, old, message.schema(), is_sent=message.is_sent)
    assert set(found) - told() == set(), TOLD


def test_each_name_that_was_released_is_there_with_its_messages_or_named_as_gone():
    found = list(missing(released()[schemas.CONTRACT], schemas.contract(), "contract"))
    assert set(found) - told() == set(), TOLD


def missing(old: Any, new: Any, where: str) -> list[str]:
    """Names of the old contract that the new one lacks, or that mean another message."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = [f"{where}.{name} is gone" for name in old if name not in new]
        return gone + [
            found
            for name in old
            if name in new
            for found in missing(old[name], new[name], f"{where}.{name}")
        ]
    if isinstance(old, list) and isinstance(new, list):
        return [f"{where}.{each} is gone" for each in old if each not in new]
    return [] if old == new else [f"{where} is {new} now"]


def test_a_name_that_is_gone_or_means_another_message_is_found():
    old = {"workflows": {"A": {"input": "X"}, "B": {"input": "Y"}}, "codes": ["C", "D"]}
    new = {"workflows": {"A": {"input": "Z"}}, "codes": ["C"]}
    assert missing(old, new, "contract") == [
        "contract.workflows.B is gone",
        "contract.workflows.A.input is Z now",
        "contract.codes.D is gone",
    ]
