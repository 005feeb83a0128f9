"""A notebook's file: read cell by cell, and written back as a thin one.

Format 4 is read as it stands in the file; a cell's outputs are never looked at.
"""

import json
from typing import Any, Literal, cast

import msgspec

from trivet.core.errors import Invalid, Unsupported

Source = str | list[str]


class _Metadata(msgspec.Struct):
    tags: list[str] = []


class _Cell(msgspec.Struct):
    cell_type: str
    source: Source = ""
    execution_count: int | None = None
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Language(msgspec.Struct):
    language: str = "python"
    name: str = "python"


class _NotebookMetadata(msgspec.Struct):
    kernelspec: _Language = msgspec.field(default_factory=_Language)
    language_info: _Language = msgspec.field(default_factory=_Language)


class _Notebook(msgspec.Struct):
    cells: list[_Cell]
    nbformat: int
    metadata: _NotebookMetadata = msgspec.field(default_factory=_NotebookMetadata)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a notebook."""

    number: int
    """Its place among all cells, from 1."""
    kind: Literal["code", "markdown", "raw"]
    source: str
    tags: tuple[str, ...] = ()
    execution_count: int | None = None

    @property
    def first_line(self) -> str:
        """The first line that is not empty: how a person finds the cell."""
        return next((line.strip() for line in self.source.splitlines() if line.strip()), "")


class _Version(msgspec.Struct):
    nbformat: int | None = None
    worksheets: list[Any] | None = None


def read_notebook(content: bytes, name: str) -> tuple[Cell, ...]:
    """Return the cells of a notebook of format 4.

    Args:
        content: The file's bytes.
        name: What to call the file in an error.

    Raises:
        Invalid: It is no notebook, or one in another language than Python.
        Unsupported: It is of another format than 4.
    """
    _check_version(content, name)
    try:
        notebook = msgspec.json.decode(content, type=_Notebook)
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{name} is no notebook of format 4: {error}",
            code="bad-notebook",
            hint="Open it in Jupyter and save it again.",
        ) from error
    spoken = notebook.metadata.kernelspec.language.lower()
    if spoken not in {"python", "python3", ""}:
        raise Unsupported(
            f"{name} is a notebook in {spoken}; expected Python",
            code="notebook-language",
            hint="Only notebooks in Python become pipelines.",
        )
    return tuple(_cell(number, cell) for number, cell in enumerate(notebook.cells, 1))


def thin_notebook(content: bytes, cells: dict[int, str]) -> bytes:
    """Replace the source of code cells; everything else stays as it is, outputs are cleared.

    Args:
        content: The notebook's bytes.
        cells: The new source by the cell's number; an empty one removes the cell.
    """
    notebook = cast("dict[str, Any]", json.loads(content))
    kept: list[dict[str, Any]] = []
    for number, cell in enumerate(cast("list[dict[str, Any]]", notebook["cells"]), 1):
        if number in cells:
            if not cells[number]:
                continue
            source = cells[number].splitlines(keepends=True)
            cell |= {"source": source, "outputs": [], "execution_count": None}
        kept.append(cell)
    notebook["cells"] = kept
    return (json.dumps(notebook, ensure_ascii=False, indent=1) + "\n").encode()


def _check_version(content: bytes, name: str) -> None:
    try:
        version = msgspec.json.decode(content, type=_Version)
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{name} is no notebook: {error}",
            code="bad-notebook",
            hint="Pass an .ipynb file that Jupyter has saved.",
        ) from error
    if version.nbformat is None:
        raise Invalid(
            f"{name} is JSON without nbformat; expected a notebook",
            code="bad-notebook",
            hint="Pass an .ipynb file that Jupyter has saved.",
        )
    if version.nbformat != 4:
        raise Unsupported(
            f"{name} is of notebook format {version.nbformat}; expected 4",
            code="notebook-format",
            hint=f"Convert it: `jupyter nbconvert --to notebook --nbformat 4 {name}`.",
        )


def _cell(number: int, cell: _Cell) -> Cell:
    kinds: dict[str, Literal["code", "markdown"]] = {"code": "code", "markdown": "markdown"}
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    return Cell(
        number=number,
        kind=kinds.get(cell.cell_type, "raw"),
        source=source.replace("\r\n", "\n"),
        tags=tuple(cell.metadata.tags),
        execution_count=cell.execution_count,
    )
