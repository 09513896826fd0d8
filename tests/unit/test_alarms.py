"""Alarm codes: a closed set, each with a meaning and an advice, each raised somewhere."""

import re
from pathlib import Path

import pytest

from workflows.domain.alarms import AlarmCode, advice_on

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("code", list(AlarmCode))
def test_a_code_says_in_one_line_each_what_it_means_and_what_to_do(code: AlarmCode) -> None:
    advice = advice_on(code)
    assert code.name == code.value
    for text in (advice.meaning, advice.action):
        assert text
        assert "\n" not in text
        assert len(text) <= 100


def test_a_code_that_only_older_versions_knew_has_no_advice() -> None:
    assert advice_on("OF_AN_OLDER_VERSION").meaning == ""


def test_every_code_is_raised_somewhere_and_no_other_is() -> None:
    raised = set()
    for folder in ("workflows", "activities", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "alarms.py":
                text = path.read_text(encoding="utf-8")
                raised |= set(re.findall(r"\bAlarmCode\.([A-Z_]+)\b", text))
                assert not re.search(r"\b(?:raise_)?alarm\(\s*\"", text), path
    assert raised == {code.name for code in AlarmCode}
