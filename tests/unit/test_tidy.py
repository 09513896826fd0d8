"""The house rules that a linter does not know, checked on every file of the project."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("workflows", "activities", "workers", "starters")
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
NO_FLOAT = ("workflows", "activities/ledger")
DOMAIN = "workflows/domain"
CLOCKS_AND_CHANCE = {"time", "random", "secrets", "uuid", "datetime.now", "datetime.utcnow"}
UNFINISHED = re.compile("TO" + "DO|FIX" + "ME|NotImplemented" + "Error")
# Written in pieces, or this file would break its own rule.
MACHINE_PATHS = re.compile(
    r"(?<![\w.])/(?:" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + ")/"
)
INDEX_HOSTS = re.compile(r"--(?:extra-)?index-url|pypi\." + r"org|files\.python" + "hosted")
TEXT_FILES = (
    "*.md",
    "*.toml",
    "*.yml",
    "*.yaml",
    "*.ini",
    "Makefile",
    "Dockerfile",
    ".env.example",
)


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def text_files() -> list[Path]:
    here = [path for pattern in TEXT_FILES for path in ROOT.glob(pattern)]
    deeper = [path for folder in ("deploy", ".ci") for path in (ROOT / folder).rglob("*")]
    return [path for path in here + deeper if path.is_file()]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def product() -> list[Path]:
    return python_files(*PACKAGES)


def everything() -> list[Path]:
    return product() + python_files("tests")


def test_there_are_files_to_check():
    assert len(product()) > 10


@pytest.mark.parametrize("path", everything(), ids=name_of)
def test_functions_and_modules_stay_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MODULE_LINES_MAX
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", product(), ids=name_of)
def test_every_module_says_what_it_is_for(path):
    tree = tree_of(path)
    if path.name == "__init__.py" and not tree.body:
        return
    assert ast.get_docstring(tree), "a module begins with a docstring"


@pytest.mark.parametrize("path", python_files(*NO_FLOAT), ids=name_of)
def test_money_is_never_a_float(path):
    assert list(floats(tree_of(path))) == []


def floats(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"line {node.lineno}: the literal {node.value}"
        if isinstance(node, ast.Name) and node.id == "float":
            yield f"line {node.lineno}: float"
        if isinstance(node, ast.Attribute) and node.attr in ("Float", "DOUBLE", "REAL"):
            yield f"line {node.lineno}: {node.attr}"


@pytest.mark.parametrize("path", python_files(DOMAIN), ids=name_of)
def test_the_domain_knows_neither_clock_nor_chance(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert not CLOCKS_AND_CHANCE & set(imported(node)), f"line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in CLOCKS_AND_CHANCE, f"line {node.lineno}"


@pytest.mark.parametrize("path", python_files(DOMAIN), ids=name_of)
def test_the_domain_imports_only_the_standard_library_and_itself(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows.domain"):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in imported(node):
                assert name in sys.stdlib_module_names, f"line {node.lineno} imports {name}"


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]]


@pytest.mark.parametrize("path", product(), ids=name_of)
def test_sql_text_is_never_put_together_from_values(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "text":
            assert not any(isinstance(arg, ast.JoinedStr) for arg in node.args), (
                f"line {node.lineno}: an f-string in text()"
            )


@pytest.mark.parametrize("path", [*everything(), *text_files()], ids=name_of)
def test_nothing_is_unfinished_and_no_machine_is_named(path):
    text = path.read_text(encoding="utf-8")
    assert not UNFINISHED.search(text)
    assert not MACHINE_PATHS.search(text)
    assert not INDEX_HOSTS.search(text)


def test_the_lock_has_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9._-]+==", lock, flags=re.MULTILINE)
    hashed = re.findall(r"^[a-z0-9._-]+==.* \\\n\s+--hash=sha256:", lock, flags=re.MULTILINE)
    assert len(pinned) == len(hashed) > 0
    assert not INDEX_HOSTS.search(lock)
    assert "://" not in lock


def test_every_direct_dependency_is_in_the_lock():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    for requirement in named:
        name = re.split(r"[\[<>=!~ ;]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}(\[[^\]]*\])?==", lock, flags=re.MULTILINE), name
