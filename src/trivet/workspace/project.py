"""Making projects: a template rendered around the user's own table, or nothing left behind."""

import getpass
import json
import re
import shutil
from collections.abc import Collection, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from trivet.core.errors import Conflict, Invalid, NotFound, TrivetError
from trivet.core.ids import check_name
from trivet.data.facts import Dataset
from trivet.data.targets import Target
from trivet.workspace import wiring
from trivet.workspace.settings import FILE, name_from
from trivet.workspace.workspace import open as open_workspace

_TEMPLATES = "trivet.templates"
_WORD = re.compile(r"@([a-z_]+)@")
_SUFFIX = ".tmpl"  # keeps tools from reading Python that is not rendered yet
_RENAMED = {"gitignore": ".gitignore", "ci.yml": ".github/workflows/ci.yml"}


class ColumnUse(msgspec.Struct, frozen=True, kw_only=True):
    """How a column of the table will be used."""

    name: str
    read_as: str
    use: str
    """`target`, `input`, or why it is left out."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new project."""

    name: str
    folder: str
    files: tuple[str, ...]
    dataset: Dataset
    task: str
    columns: tuple[ColumnUse, ...]


def template_names() -> tuple[str, ...]:
    """Return the names of the templates, sorted."""
    return tuple(sorted(item.name for item in files(_TEMPLATES).iterdir() if _is_template(item)))


def make_project(name: str, template: str, data: Path, target: str, parent: Path) -> Made:
    """Make a project from a template and a table.

    The table is read and its target examined before anything is written; the project appears under
    its name only when it is whole.

    Args:
        name: The project's name and folder.
        template: One of `template_names()`.
        data: A CSV or Parquet file.
        target: The column to predict.
        parent: Where the folder is made.

    Raises:
        Invalid: The name, the table or the target will not do; the message says why.
        NotFound: There is no such template or file.
        Conflict: The folder exists.
    """
    check_name(name, "project name")
    folder = parent / name
    if folder.exists():
        raise Conflict(
            f"{folder} exists", code="folder-exists", hint="Choose another name, or remove it."
        )
    source = _template(template)
    facts, uses = wiring.examine_table(data, target)
    columns = tuple(ColumnUse(name=n, read_as=kind, use=use) for n, kind, use in uses)
    dataset_name = wiring.name_of_file(data)
    words = {
        "name": name,
        "data": dataset_name,
        # A column may bear any name: it enters code and TOML as a quoted literal, never as text.
        "target": json.dumps(target, ensure_ascii=False),
        "target_text": "".join(c if c.isprintable() and c != "`" else " " for c in target),
        "task": facts.task,
        "rows": str(facts.rows),
        "owner": json.dumps(_owner()),
        **_task_words(facts),
    }
    scratch = parent / f".{name}.making"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        written = render(source, scratch, words)
        with open_workspace(scratch) as workspace:
            dataset = workspace.data.import_file(data, dataset_name)
        scratch.rename(folder)
    except (TrivetError, OSError):
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return Made(
        name=name,
        folder=str(folder),
        files=written,
        dataset=dataset,
        task=facts.task,
        columns=columns,
    )


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A project that began without a table."""

    name: str
    folder: str
    files: tuple[str, ...]
    """What was written; files that were there already are not among them."""


def begin_project(name: str, parent: Path) -> Begun:
    """Make a project of steps and a flow, in a new folder or in the one that is there.

    Args:
        name: The project's name and folder; `.` makes `parent` itself a project, under its own
            name, and leaves the files that lie there as they are.
        parent: Where the folder is made.

    Raises:
        Invalid: The name will not do.
        Conflict: The folder exists, or is a project already.
    """
    is_here = name == "."
    folder = parent if is_here else parent / check_name(name, "project name")
    if (folder / FILE).exists() if is_here else folder.exists():
        raise Conflict(
            f"{folder} is a project already" if is_here else f"{folder} exists",
            code="folder-exists",
            hint="Choose another name, or begin inside of it with `trivet init .`.",
        )
    title = name_from(folder.name) if is_here else name
    there = {path.name for path in folder.iterdir()} if is_here else frozenset[str]()
    files = render(_template("steps"), folder, {"name": title}, keep=there)
    return Begun(name=title, folder=str(folder), files=files)


def render(
    template: Traversable,
    folder: Path,
    words: Mapping[str, str],
    keep: Collection[str] = (),
) -> tuple[str, ...]:
    """Write a template's files with each `@word@` replaced; return their paths.

    Files whose paths are in `keep` are left as they are.

    Raises:
        Invalid: A file asks for a word that is not given.
    """

    def word_of(found: re.Match[str]) -> str:
        if found[1] not in words:
            raise Invalid(f"a template asks for the word {found[1]!r}", code="bad-template")
        return words[found[1]]

    written: list[str] = []
    for path, item in sorted(_walk(template, "")):
        # In one pass: a value may look like a word of its own.
        text = _WORD.sub(word_of, item.read_text(encoding="utf-8"))
        place = _RENAMED.get(path, path.removesuffix(_SUFFIX))
        if place in keep:
            continue
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(place)
    return tuple(written)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        if item.name == "__pycache__":
            continue
        if item.is_dir():
            found += _walk(item, f"{prefix}{item.name}/")
        else:
            found.append((prefix + item.name, item))
    return found


def _template(name: str) -> Traversable:
    found = files(_TEMPLATES) / name
    if "/" in name or not _is_template(found):
        raise NotFound(
            f"there is no template {name!r}",
            code="no-template",
            hint=f"Choose one of: {', '.join(template_names())}.",
        )
    return found


def _is_template(item: Traversable) -> bool:
    return item.is_dir() and (item / "trivet.toml").is_file()


def _task_words(target: Target) -> dict[str, str]:
    classes = len(target.classes)
    extra = f'\n        "num_class": {classes},' if target.task == "multiclass" else ""
    positive = "None"
    if target.task == "binary" and not target.classes[1].replace(".", "").isdigit():
        # Text classes do not say which one is the event; numbers do: the greater one.
        positive = json.dumps(target.classes[1], ensure_ascii=False)
        positive = "True" if target.classes[1] == "true" else positive
    return {"objective": target.task, "classes": extra, "positive": positive}


def _owner() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "nobody yet"
