"""The rules of ARCHITECTURE.md that hold over the source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "hundredweight"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 80
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "stuff"}
READS_ENVIRONMENT = {"api.py", "cli/env.py", "hub/settings.py", "git/run.py"}
OPENS_FOR_WRITING = {"base/files.py"}
LAZY_IMPORT_REASON = "noqa: PLC0415 - "


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_source_to_check() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_is_small_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE_LINES
    assert path.stem not in VAGUE_NAMES
    assert ast.get_docstring(tree(path)), "a module opens with what it owns"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_are_small(path: Path) -> None:
    long = [
        f"{node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in functions(tree(path))
        if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_the_edge_reads_the_environment(path: Path) -> None:
    if relative(path) in READS_ENVIRONMENT:
        return
    found = [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("environ", "environb", "getenv")
    ]
    assert not found


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_cli_prints(path: Path) -> None:
    if relative(path).startswith(("cli/", "hub/logs.py")):
        return
    found = [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
            and node.attr in ("stdout", "stderr")
        )
    ]
    assert not found


def opens_for_writing(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    if name == "os.open":
        return "os.devnull" not in ast.unparse(node) and any(
            flag in ast.unparse(node) for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")
        )
    if name.endswith((".write_text", ".write_bytes")):
        return True
    if name not in ("open", "io.open", "os.fdopen"):
        return False
    modes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
    return any(isinstance(m, ast.Constant) and isinstance(m.value, str) and set(m.value) & set("wax+") for m in modes)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_base_files_opens_for_writing(path: Path) -> None:
    if relative(path) in OPENS_FOR_WRITING:
        return
    assert not [ast.unparse(node) for node in ast.walk(tree(path)) if opens_for_writing(node)]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_inside_functions_give_a_reason(path: Path) -> None:
    """Below the dispatcher a lazy import stands only where its line says why (start-up time, an absent platform)."""
    if relative(path).startswith("cli/"):
        return
    text = path.read_text(encoding="utf-8").splitlines()
    bare = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for function in functions(tree(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and LAZY_IMPORT_REASON not in text[node.lineno - 1]
    ]
    assert not bare


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_exception_is_swallowed(path: Path) -> None:
    bad = [
        f"line {node.lineno}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
    ]
    assert not bad
