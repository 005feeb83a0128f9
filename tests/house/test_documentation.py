"""The documentation names everything a person can use, and its code is code."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from trivet.cli.main import COMMANDS, ROOMS
from trivet.core import catalog, errors, ports, work
from trivet.workspace.settings import Settings

ERRORS = [
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.TrivetError)
]
PORTS = [
    name
    for module in (catalog, ports, work)
    for name, value in vars(module).items()
    if inspect.isclass(value)
    and value.__module__ == module.__name__
    and getattr(value, "_is_protocol", False)
]
FENCE = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)|!\[[^\]\n]*\]\(([^)\s]+)\)")


def pages(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob("*.md"))
    yield from sorted((root / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def documentation(root: Path) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted((root / "docs").rglob("*.md")))


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_documented(documentation: str, name: str) -> None:
    assert re.search(rf"\b{name}\b", documentation)


@pytest.mark.parametrize("name", PORTS)
def test_every_port_is_documented(documentation: str, name: str) -> None:
    assert re.search(rf"\b{name}\b", documentation)


def test_python_in_the_documentation_compiles(root: Path) -> None:
    for page in pages(root):
        for snippet in FENCE.findall(page.read_text("utf-8")):
            compile(snippet, str(page.relative_to(root)), "exec", dont_inherit=True)


def test_every_link_between_pages_leads_somewhere(root: Path) -> None:
    dead = {
        f"{page.relative_to(root)} -> {target}"
        for page in pages(root)
        for pair in LINK.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL))
        for target in filter(None, pair)
        if "://" not in target
        and not target.startswith("mailto:")
        and not (page.parent / target).exists()
    }
    assert dead == set()


def verbs() -> Iterator[str]:
    """Every command line that `trivet` knows, without its arguments."""
    yield from COMMANDS
    for room, (home, _) in ROOMS.items():
        for verb in importlib.import_module(home).VERBS:
            yield f"{room} {verb}"


def test_every_command_is_documented(documentation: str) -> None:
    assert {verb for verb in verbs() if f"trivet {verb}" not in documentation} == set()


def settings_of(struct: type[msgspec.Struct]) -> Iterator[str]:
    """The names of all settings, those of nested tables too."""
    for field in msgspec.structs.fields(struct):
        yield field.name
        if inspect.isclass(field.type) and issubclass(field.type, msgspec.Struct):
            yield from settings_of(field.type)


@pytest.mark.parametrize("name", sorted(set(settings_of(Settings))))
def test_every_setting_is_documented(root: Path, name: str) -> None:
    page = (root / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert re.search(rf"\b{name}\b", page)
