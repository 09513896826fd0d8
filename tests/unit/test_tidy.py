"""The house rules that a linter does not know, checked on every file of the project."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

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
INDEX_HOSTS = re.compile(
    r"--(?:extra-)?index-url|pypi\."
    + r"org|files\.python"
    + "hosted|registry\\.np"
    + "mjs|registry\\.yar"
    + "npkg"
)
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
    folders = ("deploy", ".ci", "docs", "examples")
    deeper = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    built = {"node_modules", "dist", "__pycache__"}
    return [path for path in here + deeper if path.is_file() and not built & set(path.parts)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), filename=str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


@cache
def product() -> list[Path]:
    return python_files(*PACKAGES)


@cache
def everything() -> list[Path]:
    return product() + python_files("tests", "examples")


Rule = Callable[[Path], Iterator[str]]
"""What breaks it in a file, a line each."""


def broken(rule: Rule, paths: list[Path]) -> list[str]:
    """Every breach in any of the files; one test for all of them, or the tests are thousands."""
    return [f"{name_of(path)}: {breach}" for path in paths for breach in rule(path)]


def test_there_are_files_to_check():
    assert len(product()) > 10


def test_functions_and_modules_stay_short():
    assert broken(too_long, everything()) == []


def too_long(path: Path) -> Iterator[str]:
    lines = text_of(path).count("\n")
    if lines > MODULE_LINES_MAX:
        yield f"has {lines} lines"
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.name} has {length} lines"


def test_every_module_says_what_it_is_for():
    assert broken(unexplained, product()) == []


def unexplained(path: Path) -> Iterator[str]:
    tree = tree_of(path)
    if path.name == "__init__.py" and not tree.body:
        return
    if not ast.get_docstring(tree):
        yield "a module begins with a docstring"


def test_money_is_never_a_float():
    assert broken(floats, python_files(*NO_FLOAT)) == []


def floats(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"line {node.lineno}: the literal {node.value}"
        if isinstance(node, ast.Name) and node.id == "float":
            yield f"line {node.lineno}: float"
        if isinstance(node, ast.Attribute) and node.attr in ("Float", "DOUBLE", "REAL"):
            yield f"line {node.lineno}: {node.attr}"


def test_the_domain_knows_neither_clock_nor_chance():
    assert broken(clocks_and_chance, python_files(DOMAIN)) == []


def clocks_and_chance(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for known in CLOCKS_AND_CHANCE & set(imported(node)):
                yield f"line {node.lineno} imports {known}"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS_AND_CHANCE:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_the_domain_imports_only_the_standard_library_and_itself():
    assert broken(foreign_imports, python_files(DOMAIN)) == []


def foreign_imports(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows.domain"):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in imported(node):
                if name not in sys.stdlib_module_names:
                    yield f"line {node.lineno} imports {name}"


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]]


def test_sql_text_is_never_put_together_from_values():
    assert broken(sql_from_values, product()) == []


def sql_from_values(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        is_text = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "text"
        if is_text and any(isinstance(arg, ast.JoinedStr) for arg in node.args):
            yield f"line {node.lineno}: an f-string in text()"


def test_nothing_is_unfinished_and_no_machine_is_named():
    assert broken(unfinished, everything() + text_files()) == []


def unfinished(path: Path) -> Iterator[str]:
    for forbidden in (UNFINISHED, MACHINE_PATHS, INDEX_HOSTS):
        for found in forbidden.finditer(text_of(path)):
            line = text_of(path).count("\n", 0, found.start()) + 1
            yield f"line {line}: {found.group()}"


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
