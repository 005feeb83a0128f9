"""pyarrow tables, batches and arrays as Arrow IPC; they come back as what they were."""

from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any, BinaryIO, Final

from trivet.core.errors import Corrupt
from trivet.core.trees import Content
from trivet.pipelines.materialisers import (
    Files,
    Materialiser,
    digest_files,
    is_instance,
    open_file,
    write_out,
)

Foreign = Any  # pyarrow is loaded only once one of its values is at hand

_SAFE_VERSION: Final = 15
"""Earlier ones unpickle a kind of extension type that a file may name (CVE-2023-47248)."""
_KINDS: Final = ("Table", "RecordBatch", "ChunkedArray", "Array")


def _kind_of(value: object) -> str | None:
    return next((name for name in _KINDS if is_instance(value, "pyarrow", name)), None)


def _as_table(value: Foreign) -> Foreign:
    """Return a table with as few chunks as possible: how a value is chunked is not its content."""
    pyarrow = import_module("pyarrow")
    kind = _kind_of(value)
    if kind == "RecordBatch":
        return pyarrow.Table.from_batches([value])
    if kind in {"Array", "ChunkedArray"}:
        return pyarrow.table({"": value}).combine_chunks()
    return value.combine_chunks()


def _save(value: Foreign) -> Mapping[str, Content]:
    pyarrow = import_module("pyarrow")
    table = _as_table(value)

    def write(stream: BinaryIO) -> None:
        with pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)

    return {f"{_kind_of(value)}.arrows": write_out(write, value.nbytes)}


def _load(files: Files) -> object:
    if int(import_module("pyarrow").__version__.partition(".")[0]) < _SAFE_VERSION:
        raise ImportError(f"pyarrow {_SAFE_VERSION} or newer", name="pyarrow")
    ipc = import_module("pyarrow.ipc")
    errors = import_module("pyarrow").ArrowException
    name = next(iter(files))
    try:
        with open_file(files, name) as stream, ipc.open_stream(stream) as reader:
            table = reader.read_all()
    except errors as error:
        raise Corrupt(
            f"stored Arrow data does not read back: {error}", hint="Run `trivet fsck`."
        ) from error
    return _from_table(table, name.removesuffix(".arrows"))


def _from_table(table: Foreign, kind: str) -> object:
    pyarrow = import_module("pyarrow")
    if kind == "Table":
        return table
    if kind == "RecordBatch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pyarrow.RecordBatch.from_pylist([], schema=table.schema)
    column = table.column(0)
    if kind == "ChunkedArray":
        return column
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pyarrow.ChunkedArray) else whole


def _digest(value: Foreign) -> str:
    files = _save(_compact(value))
    return sha256(f"{_kind_of(value)}:{digest_files(files)}".encode()).hexdigest()


def _compact(value: Foreign) -> Foreign:
    """Return a value's rows without what lies under its nulls."""
    table = _as_table(value)
    if not any(column.null_count for column in table.columns):
        return table
    try:
        return table.take(import_module("numpy").arange(len(table)))
    except import_module("pyarrow").ArrowNotImplementedError:
        return table


ARROW = Materialiser(
    format="arrow",
    library="pyarrow",
    accepts=lambda value: _kind_of(value) is not None,
    save=_save,
    load=_load,
    digest=_digest,
)
