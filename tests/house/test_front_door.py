"""What `import trivet` costs, and what it offers."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import trivet

PUBLIC_NAMES = {
    *("open", "Workspace"),
    *("step", "flow", "map", "effect", "until", "File", "Data"),
    *("check", "Gate"),
    *("Dataset", "Run", "Model", "Release"),
    *("Endpoint", "Alert", "Trigger"),
    *("TrivetError", "__version__"),
}

REPORT = "json.dump(sorted(set(sys.modules) - before), sys.stderr)"


def modules_loaded_by(statements: str) -> list[str]:
    """Run statements in a fresh interpreter; return the modules that they loaded."""
    code = f"import json, sys\nbefore = set(sys.modules)\n{statements}\n{REPORT}\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr)


def ours(modules: list[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "trivet"}


def foreign(modules: list[str]) -> set[str]:
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names - {"trivet"}


def test_importing_trivet_loads_one_of_our_modules_and_nothing_foreign() -> None:
    loaded = modules_loaded_by("import trivet")
    assert ours(loaded) == {"trivet"}
    assert foreign(loaded) == set()


def test_the_help_page_loads_the_command_line_alone_and_nothing_foreign() -> None:
    loaded = modules_loaded_by(
        "from trivet.cli.main import main\n"
        "sys.argv = ['trivet', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
    )
    rooms = {name for name in ours(loaded) if not name.startswith("trivet.cli")}
    assert rooms <= {"trivet"}
    assert foreign(loaded) == set()


# Extras: NumPy is the client's own, the rest may not even be installed.
EXTRAS = {"deltalake", "duckdb", "lightgbm", "onnx", "onnxruntime", "polars", "scipy", "sklearn"}


def test_what_rooms_record_and_the_workspace_load_no_library_of_an_extra(source: Path) -> None:
    facts = sorted(f"trivet.{path.parent.name}.facts" for path in source.glob("*/facts.py"))
    loaded = modules_loaded_by(f"import {', '.join([*facts, 'trivet.workspace.workspace'])}")
    assert foreign(loaded) & EXTRAS == set()


def test_public_names_are_those_that_were_promised() -> None:
    assert set(trivet.__all__) == PUBLIC_NAMES
    assert len(trivet.__all__) == len(PUBLIC_NAMES) == 20


def test_a_type_checker_is_told_the_same_names_from_the_same_homes(source: Path) -> None:
    tree = ast.parse((source / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.asname or alias.name: str(node.module).removeprefix("trivet.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == trivet._HOME_OF
    assert set(told) == PUBLIC_NAMES - {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(trivet, name) is not None


def test_a_completion_offers_the_public_names() -> None:
    assert dir(trivet) == sorted(trivet.__all__)


def test_a_name_that_does_not_exist_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        trivet.nonsense  # noqa: B018
