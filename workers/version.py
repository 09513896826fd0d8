"""Which version this is, as pyproject.toml says it: the application runs from its checkout."""

from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """Such as `0.1.0`."""
    import tomllib  # a start that is not asked for the version need not load it

    project: dict[str, str] = tomllib.loads(_PROJECT.read_text())["project"]
    return project["version"]
