"""The structure of the code: which packages may import which, no import circles, and files and functions of readable size."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP_FOLDERS = ("foundation", "optimizers", "models", "pipeline")

LAYERS = (
    ("foundation",),
    ("optimizers", "models", "pipeline/divergence", "pipeline/reporting", "pipeline/config"),
    ("pipeline/data", "pipeline/serving"),
    ("pipeline/training",),
    ("pipeline",),
)
"""From the bottom up. A package may import packages of lower layers only; ``pipeline`` stands for the commands in it."""

SIDEWAYS = {("pipeline/config", "optimizers/rules"): "the settings of a rule are the fields of its dataclass"}
"""Imports within a layer that are allowed: (package, what it may import) -> reason."""

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

LONG_FILES: Mapping[str, str] = {}
"""Files that may be longer: path -> reason."""

LONG_FUNCTIONS: Mapping[str, str] = {
    "pipeline/training/job.py: run_job": "titled sections that a newcomer reads from top to bottom; a split would pass a dozen locals",
}
"""Functions that may be longer: ``path: name`` -> reason."""


def list_files() -> list[Path]:
    return [path for folder in TOP_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def get_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def parse_file(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def find_module(parts: tuple[str, ...]) -> str | None:
    """Returns the file of a module or package, by the parts of its path."""
    path = ROOT.joinpath(*parts)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if parts and file.is_file():
            return get_name(file)
    return None


def list_imports(path: Path) -> set[str]:
    """Returns the project's files that a file imports, also inside functions and for type checking only."""
    imported = set()
    for node in ast.walk(parse_file(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.relative_to(ROOT).parts[: -node.level]
            base = (*folder, *(node.module or "").split(".")) if node.module else folder
            for alias in node.names:
                # A name is a module of the package, or defined in it.
                module = find_module((*base, alias.name)) or find_module(base)
                if module:
                    imported.add(module)
    return imported - {get_name(path)}


@functools.cache
def read_graph() -> Mapping[str, frozenset[str]]:
    """Returns what each file imports."""
    return {get_name(path): frozenset(list_imports(path)) for path in list_files()}


def find_package(file: str) -> str:
    """Returns the package of a file: ``pipeline/data/files/log.py`` is in ``pipeline/data``; ``pipeline/train.py`` in ``pipeline``."""
    packages = [package for layer in LAYERS for package in layer if file.startswith(f"{package}/")]
    return max(packages, key=len)


def find_circles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Returns the groups of nodes that reach each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for neighbor in sorted(graph.get(node, ())):
            if neighbor not in order:
                visit(neighbor)
            if neighbor in stack:
                lowest[node] = min(lowest[node], lowest[neighbor])
        if lowest[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                circles.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return circles


def list_folders() -> list[str]:
    return sorted({"", *(get_name(path.parent) for path in list_files())})


def make_folder_graph(folder: str) -> dict[str, frozenset[str]]:
    """Returns the imports among the files and subfolders of a folder, without its ``__init__.py``, which only names exports."""
    prefix = f"{folder}/" if folder else ""
    graph: dict[str, set[str]] = defaultdict(set)
    for file, imported in read_graph().items():
        child = get_child(file, prefix)
        for other in imported:
            other_child = get_child(other, prefix)
            if child and other_child and child != other_child:
                graph[child].add(other_child)
    return {child: frozenset(others) for child, others in graph.items()}


def get_child(file: str, prefix: str) -> str:
    """Returns the file or folder right below ``prefix`` that holds a file; empty for the folder's own ``__init__.py``."""
    child = file.removeprefix(prefix).split("/")[0] if file.startswith(prefix) else ""
    return "" if child == "__init__.py" else child


def list_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yields each function with its number of lines, the docstring not counted."""

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            name = f"{prefix}{getattr(child, 'name', '')}"
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, count_lines(child)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from visit(child, f"{name}." if inside else prefix)

    yield from visit(parse_file(path), "")


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def test_the_graph_sees_the_imports_of_every_form():
    graph = read_graph()
    # A name from a module, a module from a package, a name from a package, in a function, and for types only.
    assert "pipeline/data/columns.py" in graph["pipeline/data/source.py"]
    assert "pipeline/data/files/layout.py" in graph["pipeline/data/schema_inference/proposal.py"]
    assert "pipeline/config/__init__.py" in graph["pipeline/evaluate.py"]
    assert "pipeline/training/restore.py" in graph["pipeline/evaluate.py"]
    assert "pipeline/data/checks/checked_day.py" in graph["pipeline/data/source.py"]


def test_circles_are_found():
    graph = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b"), "d": frozenset("a")}
    assert find_circles(graph) == [["b", "c"]]


def test_no_files_import_each_other_in_a_circle():
    assert find_circles(read_graph()) == []


@pytest.mark.parametrize("folder", list_folders())
def test_no_files_or_folders_of_a_folder_import_each_other_in_a_circle(folder):
    assert find_circles(make_folder_graph(folder)) == []


def test_every_package_imports_only_lower_layers():
    layers = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
    wrong = []
    for file, imported in read_graph().items():
        package = find_package(file)
        for other in imported:
            other_package = find_package(other)
            is_allowed = any(package == one and other.startswith(f"{into}/") for one, into in SIDEWAYS)
            if other_package != package and layers[other_package] >= layers[package] and not is_allowed:
                wrong.append(f"{file} imports {other}")
    assert wrong == []


def test_the_commands_do_not_import_each_other():
    commands = {file for file in read_graph() if find_package(file) == "pipeline"}
    assert [(file, other) for file in commands for other in read_graph()[file] if other in commands] == []


def test_foundation_does_not_import_tensorflow():
    for path in (ROOT / "foundation").glob("*.py"):
        for node in ast.walk(parse_file(path)):
            if isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if "tensorflow" in alias.name or "keras" in alias.name]
            if isinstance(node, ast.ImportFrom):
                assert "tensorflow" not in (node.module or "")


def test_the_package_imports_itself_relatively():
    """An absolute import would find another copy of the package, or none."""
    absolute = []
    for path in list_files():
        for node in ast.walk(parse_file(path)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules.append(node.module or "")
            absolute += [f"{get_name(path)}: {module}" for module in modules if module.split(".")[0] == "steadyrank"]
    assert absolute == []


def test_files_are_short():
    lengths = {get_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in list_files()}
    long = {file: lines for file, lines in lengths.items() if lines > MAX_FILE_LINES}
    assert {file: lines for file, lines in long.items() if file not in LONG_FILES} == {}
    assert LONG_FILES.keys() <= long.keys(), "remove the entries of files that are short now"


def test_functions_are_short():
    lengths = {f"{get_name(path)}: {name}": lines for path in list_files() for name, lines in list_functions(path)}
    long = {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert LONG_FUNCTIONS.keys() <= long.keys(), "remove the entries of functions that are short now"
