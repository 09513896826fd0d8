"""The JSON Schemas of the public messages: inputs, results, queries, signals, updates, events.

They are committed under `schemas/`, one file per message beside `contract.json`, which says what
goes where; their fingerprint stands in CHANGELOG.md beside what changed. Tests hold all of it
together, so that no message changes without a word to those who rely on it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from activities.ledger.view_events import EventKind
from starters.api.errors import ApiCode, ErrorBody, status_of
from starters.api.stream import StreamEvent
from starters.contract import WORKFLOWS, Handler, HandlerKind
from workflows import names
from workflows.domain.denials import DenialCode, Denied

CONTRACT = "contract"
"""The name of the file that says which message goes where."""
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One public message. The schema of what a caller sends tells what is read, else what is told:
    of those every field is always there.
    """

    model: type
    is_sent: bool

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        adapter: TypeAdapter[Any] = TypeAdapter(self.model)
        if self.is_sent:
            return adapter.json_schema(mode="validation", schema_generator=_WithoutTitles)
        told = adapter.json_schema(mode="serialization", schema_generator=_WithoutTitles)
        return _left_open(told)


class _WithoutTitles(GenerateJsonSchema):
    """Pydantic's titles of fields repeat their names, and generators of code name types by them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own signature
        return False


def _left_open(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its bans on further fields: what we tell may gain some."""
    models = [schema, *schema.get("$defs", {}).values()]
    for model in models:
        if model.get("additionalProperties") is False:
            del model["additionalProperties"]
    return schema


def _messages() -> Iterator[Message]:
    for workflow in WORKFLOWS:
        for model, is_sent in workflow.messages():
            yield Message(model=model, is_sent=is_sent)
    for model in (Denied, ErrorBody, StreamEvent):
        yield Message(model=model, is_sent=False)


MESSAGES: Mapping[str, Message] = {each.model.__name__: each for each in _messages()}
"""Each public message by its name. `Denied` is the detail of a refused update's failure,
`ErrorBody` the body of every HTTP answer from 400 up, `StreamEvent` one event of the live stream.
"""


def contract() -> dict[str, Any]:
    """What goes where: workflow types, handlers and their messages, queue, attributes, codes."""
    return {
        "task_queue": names.ORDERS_QUEUE,
        "workflows": {
            kind: {
                "input": workflow.takes.__name__,
                "result": workflow.answers.__name__,
                "queries": _handlers(workflow.handlers, HandlerKind.QUERY),
                "signals": _handlers(workflow.handlers, HandlerKind.SIGNAL),
                "updates": _handlers(workflow.handlers, HandlerKind.UPDATE),
            }
            for workflow in WORKFLOWS
            for kind in workflow.types
        },
        "search_attributes": [key.name for key in names.SEARCH_ATTRIBUTES],
        "event_kinds": [kind.value for kind in EventKind],
        "codes": {code.value: status_of(code) for code in (*DenialCode, *ApiCode)},
    }


def _handlers(handlers: tuple[Handler, ...], kind: HandlerKind) -> dict[str, Any]:
    return {
        each.name: {
            "input": each.takes and each.takes.__name__,
            "answer": each.answers and each.answers.__name__,
        }
        for each in handlers
        if each.kind is kind
    }


def schema_text(name: str) -> str:
    """The schema of one message as it is printed and committed. KeyError for an unknown name."""
    return _text(MESSAGES[name].schema())


def contract_text() -> str:
    """The contract as it is committed."""
    return _text(contract())


def all_text() -> str:
    """All schemas as one object, by the messages' names."""
    return _text({name: message.schema() for name, message in MESSAGES.items()})


def fingerprint() -> str:
    """Twelve hex digits that change with any of the schemas, or with what goes where."""
    return hashlib.sha256((all_text() + contract_text()).encode()).hexdigest()[:_DIGITS]


def files() -> dict[str, str]:
    """Each file of the folder by its name without ending."""
    return {name: schema_text(name) for name in MESSAGES} | {CONTRACT: contract_text()}


def write(folder: Path) -> None:
    """Write each schema to a file of its own; files of messages that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = files()
    for path in folder.glob("*.json"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def _text(schema: object) -> str:
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
