"""The reference pages say what the code says: every setting, and its default."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trivet.models.rules import CHECK_NAMES, ChecklistSpec
from trivet.workspace.project_files import MonitorFile, ReleaseFile, TriggerFile
from trivet.workspace.settings import Settings, setting_names

ROW = re.compile(r"^\| (.+?) \|(.*?)\| (.+?) \|$", re.MULTILINE)
REPLACED = {"project", "model", "endpoint"}  # their defaults are other settings


def page(root: Path, name: str) -> str:
    return (root / "docs" / "reference" / name).read_text("utf-8")


def is_struct(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, msgspec.Struct)


def shown(default: object) -> str:
    """A default as the pages write it."""
    if default in (None, "", (), {}):  # a table cannot be in a set
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float) and default.is_integer():
        return f"{default:g}" if default < 1e6 else str(int(default))
    return str(default)


def defaults_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(kind):
        if is_struct(field.type):
            yield from defaults_of(field.type, f"{prefix}{field.name}.")
        elif field.name != "triggers":
            yield prefix + field.name, None if field.required else default_of(field)


def default_of(field: Any) -> object:
    made = field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if made else field.default


def section(text: str, heading: str) -> dict[str, str]:
    """Settings and defaults of one table of the page."""
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = ROW.findall(part)
    return {name.strip("`"): default.strip(" `") for name, default, _ in rows if "`" in name}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [("trivet.toml", Settings), ("release.toml", ReleaseFile), ("monitor.toml", MonitorFile)],
)
def test_every_setting_of_a_file_is_documented_with_its_default(
    root: Path, heading: str, kind: type[msgspec.Struct]
) -> None:
    written = section(page(root, "settings.md"), heading)
    for name, default in defaults_of(kind):
        assert name in written, f"{heading}: {name}"
        if name not in REPLACED:
            assert as_number(written[name]) == as_number(shown(default)), name


def as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def test_no_setting_is_documented_that_does_not_exist(root: Path) -> None:
    text = page(root, "settings.md")
    known = {
        "trivet.toml": set(setting_names(Settings)),
        "release.toml": set(setting_names(ReleaseFile)),
        "monitor.toml": {name for name, _ in defaults_of(MonitorFile)}
        | {f"triggers.<name>.{name}" for name, _ in defaults_of(TriggerFile)},
    }
    for heading, names in known.items():
        assert set(section(text, heading)) <= names, heading
    assert {n for n in section(text, "monitor.toml") if n.startswith("triggers")} == {
        n for n in known["monitor.toml"] if n.startswith("triggers")
    }


def test_every_section_and_key_of_a_gate_is_documented(root: Path) -> None:
    text = page(root, "gate.md")
    for field in msgspec.structs.fields(ChecklistSpec):
        kinds = [k for k in inner_kinds(field.type) if is_struct(k)]
        if not kinds:
            assert f"`{field.name}`" in text, field.name
        for kind in kinds:
            rows = [line for line in text.splitlines() if re.search(rf"\[{field.name}\]", line)]
            assert rows, field.name
            for inner in msgspec.structs.fields(kind):
                assert any(f"{inner.name}`" in line for line in rows), f"{field.name}.{inner.name}"
    assert all(f"`{name}`" in text for name in CHECK_NAMES)


def inner_kinds(kind: Any) -> tuple[Any, ...]:
    return (kind, *(k for part in getattr(kind, "__args__", ()) for k in inner_kinds(part)))


def test_the_defaults_of_a_gate_are_those_of_the_page(root: Path) -> None:
    text = page(root, "gate.md")
    spec = ChecklistSpec()
    for line, value in {
        "[rows] refused": spec.rows.refused,
        "[leakage] single_input": spec.leakage.single_input,
        "[quality] level": spec.quality.level,
        "[champion] alpha": spec.champion.alpha,
        "[calibration] limit": spec.calibration.limit if spec.calibration else None,
        "[latency] p99_ms": spec.latency.p99_ms,
        "[size] mib": spec.size.mib,
    }.items():
        assert f"| `{line}` | {value} |" in text, line
