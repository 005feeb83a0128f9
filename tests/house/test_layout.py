"""The shape of the building: sizes, names, door plates, and what may never be imported."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.core import catalog, ports, work

MAX_LINES = 600
# path below the repository's root: why one file is the better house for so many lines
LONG_FILES: dict[str, str] = {}

DRAWERS = {
    *("base", "common", "misc", "shared", "stuff"),
    *("handler", "handlers", "helper", "helpers", "manager", "managers"),
    *("util", "utilities", "utils"),
}


# Reading one of these formats runs whatever program its author put in.
UNPICKLERS = {"_pickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}

# Values of steps that say pickle=True, and only where the reader says so, too.
BY_CONSENT = {"pipelines/materialising/pickling.py: pickle"}

OWN_CODE = ("src", "tests", "benchmarks", "examples", "tools")


def python_files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.rglob("*.py"))


def test_no_file_is_longer_than_a_person_reads_at_once(root: Path) -> None:
    long = {
        str(path.relative_to(root)): count
        for path in python_files(*(root / name for name in OWN_CODE))
        if (count := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert {name: count for name, count in long.items() if name not in LONG_FILES} == {}
    assert set(LONG_FILES) <= set(long), "a file on the allow-list has become short: strike it out"


def test_no_name_is_a_drawer(root: Path) -> None:
    names = {
        str(path.relative_to(root))
        for folder in OWN_CODE
        for path in (root / folder).rglob("*")
        if set(path.stem.lower().split("_")) & DRAWERS
    }
    assert names == set()


def test_no_class_is_named_like_a_drawer(source: Path) -> None:
    endings = tuple(word.capitalize() for word in DRAWERS)
    classes = {
        f"{path.relative_to(source)}: {node.name}"
        for path in python_files(source)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith(endings)
    }
    assert classes == set()


def test_modules_have_no_second_door(source: Path) -> None:
    private = {str(path) for path in python_files(source) if path.stem.startswith("_")}
    dunder = {name for name in private if Path(name).stem in {"__init__", "__main__"}}
    assert private == dunder


def test_a_room_s_init_is_only_a_door_plate(source: Path) -> None:
    for path in python_files(source):
        if path.name != "__init__.py" or path.parent == source or "templates" in path.parts:
            continue
        where = str(path.relative_to(source))
        body = ast.parse(path.read_text("utf-8")).body
        assert len(body) == 1, f"{where} holds more than a docstring"
        (only,) = body
        assert isinstance(only, ast.Expr), where
        assert isinstance(only.value, ast.Constant), where
        assert isinstance(only.value.value, str), where


def test_nothing_unpickles_but_by_consent(source: Path) -> None:
    unpicklers = {
        f"{path.relative_to(source)}: {module}"
        for path in python_files(source)
        for module in imported_modules(path)
        if module.split(".")[0] in UNPICKLERS
    }
    assert unpicklers == BY_CONSENT


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


PORTS = [
    value
    for module in (catalog, ports, work)
    for value in vars(module).values()
    if inspect.isclass(value)
    and value.__module__ == module.__name__
    and getattr(value, "_is_protocol", False)
]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_a_port_has_at_most_seven_methods(port: type) -> None:
    methods = [name for name in vars(port) if not name.startswith("_")]
    assert len(methods) <= 7, methods
