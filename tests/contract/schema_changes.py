"""What changed between two versions of a message's schema that a caller could notice to its cost.

Rule: of what a caller sends, nothing that was taken may be refused now; of what it is told, nothing
that was promised may be missing or of another kind. More may be taken, and more may be told. Each
break is one line in words, which the changelog can repeat.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_FORMS = ("pattern", "format")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaks(name: str, old: Schema, new: Schema, *, is_sent: bool) -> list[str]:
    """The breaks of the message `name`; `is_sent` when callers send it."""
    compare = _Sent(old, new) if is_sent else _Told(old, new)
    return sorted(set(compare.at(name, old, new)))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old.get("$defs", {}), new.get("$defs", {})
        self._seen: set[tuple[str, str]] = set()

    def at(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Breaks at this place and below it."""
        references = (old.get("$ref", ""), new.get("$ref", ""))
        if all(references):
            if references in self._seen:
                return
            self._seen.add(references)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        yield from self.kinds(where, _kinds(old, self._old), _kinds(new, self._new))
        yield from self.own(where, old, new)
        for name, before in old.get("properties", {}).items():
            after = new.get("properties", {}).get(name)
            if after is None:
                yield f"{where}.{name} is gone"
            else:
                yield from self.at(f"{where}.{name}", before, after)
        for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                yield from self.at(where + mark, old[key], new[key])
        yield from self.options(where, old, new)

    def options(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Breaks inside alternatives, matched by their kind of value."""
        after = {_kind(each): each for each in _options(new, self._new)}
        if "anyOf" in old or "anyOf" in new:
            for before in _options(old, self._old):
                if _kind(before) in after:
                    yield from self.at(where, before, after[_kind(before)])

    def kinds(self, where: str, old: set[str], new: set[str]) -> Iterator[str]:
        raise AssertionError("each direction has its own")

    def own(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        raise AssertionError("each direction has its own")


class _Sent(_Comparison):
    def kinds(self, where: str, old: set[str], new: set[str]) -> Iterator[str]:
        for kind in sorted(old - new):
            yield f"{where} no longer takes {kind}"

    def own(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield f"{where}.{name} is required now"
        for name in _values(old, new):
            yield f"{where} no longer takes {name}"
        for key in _FORMS:
            if key in new and new[key] != old.get(key):
                yield f"{where} has another {key}"
        for key in _LOWER:
            if key in new and (key not in old or new[key] > old[key]):
                yield f"{where} has a narrower {key}"
        for key in _UPPER:
            if key in new and (key not in old or new[key] < old[key]):
                yield f"{where} has a narrower {key}"
        if "default" in old and old.get("default") != new.get("default"):
            yield f"{where} has another default"
        was_open = "properties" in old and old.get("additionalProperties") is not False
        if was_open and new.get("additionalProperties") is False:
            yield f"{where} no longer takes further fields"


class _Told(_Comparison):
    def kinds(self, where: str, old: set[str], new: set[str]) -> Iterator[str]:
        for kind in sorted(new - old):
            yield f"{where} may be {kind} now"

    def own(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        kept = set(new.get("properties", ()))
        for name in sorted((set(old.get("required", ())) & kept) - set(new.get("required", ()))):
            yield f"{where}.{name} may be left out now"
        for key in _FORMS:
            if key in old and old[key] != new.get(key):
                yield f"{where} has another {key}"


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    while "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions[schema["$ref"].rsplit("/", 1)[1]], **rest}
    return schema


def _options(schema: Schema, definitions: Schema) -> list[Schema]:
    resolved = _resolved(schema, definitions)
    if "anyOf" not in resolved:
        return [resolved]
    return [found for each in resolved["anyOf"] for found in _options(each, definitions)]


def _kinds(schema: Schema, definitions: Schema) -> set[str]:
    return {_kind(each) for each in _options(schema, definitions)}


def _kind(schema: Schema) -> str:
    if "const" in schema or "enum" in schema:
        return str(schema.get("type", "string"))
    return str(schema.get("type", "anything"))


def _values(old: Schema, new: Schema) -> list[str]:
    """Values of an enumeration that are not taken any more."""
    before, after = _listed(old), _listed(new)
    if after is None:
        return []
    if before is None:
        return ["other values than those listed"] if _kind(old) == _kind(new) else []
    return sorted(repr(value) for value in before if value not in after)


def _listed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")
