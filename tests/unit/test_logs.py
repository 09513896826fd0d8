"""What the log shows of an error: where it was raised, and never the values there."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from workers import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The set-up is of the whole process: the other tests keep theirs."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_names_the_place_and_shows_no_variable(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails_beside_a_secret() -> None:
        api_secret = "-".join(("never", "to", "be", "seen"))
        raise ValueError(len(api_secret))

    logs.configure(log_format, "INFO")
    try:
        fails_beside_a_secret()
    except ValueError:
        logging.getLogger("test").exception("it failed")
    told = capsys.readouterr().err
    assert "it failed" in told
    assert "fails_beside_a_secret" in told
    assert "never-to-be-seen" not in told
