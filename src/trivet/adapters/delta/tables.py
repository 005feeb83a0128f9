"""Tables in Delta Lake folders, one per name, in its oldest protocol (reader 1, writer 2).

Files first, then Delta's commit, then our record of the version, each durable before the next: a
version without a record was cut short and does not exist. The next writer takes it back.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake.transaction import AddAction

from trivet.adapters.delta import commits, parquet, types, versions
from trivet.adapters.delta.versions import CHAIN, DataFile, Record
from trivet.core import disk
from trivet.core.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from trivet.core.ids import check_name
from trivet.core.ports import ArrowStream, Damage, TableVersion

_Written = list[tuple[DataFile, AddAction]]


class DeltaTables:
    """Tables under `folder`; any number of processes and threads may share it.

    Writers of one table take turns. Other engines may read a table at any time; when one of them
    has written to it, `write` refuses to go on.

    Args:
        folder: Made when missing, readable by its owner alone.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).absolute()
        self._reader = parquet.Reader()
        self._failure: Unavailable | None = None
        disk.make_folder(self._folder)

    def write(
        self, name: str, data: ArrowStream, *, mode: Literal["append", "overwrite"] = "overwrite"
    ) -> TableVersion:
        folder = self._folder / check_name(name, "table")
        if self._failure:
            raise copy.copy(self._failure)
        kept, frames = parquet.schema_of(data)
        before = self._newest(folder) if mode == "append" else None
        if before:
            kept = _in_order_of(before.described, kept)
        try:
            return self._write(folder, frames, kept, mode)
        except Unavailable as error:
            if error.code == "sync-failed":
                self._failure = error  # what the disk has confirmed before may be gone, too
            raise

    def read(self, name: str, version: int, *, columns: Sequence[str] | None = None) -> ArrowStream:
        folder = self._folder / check_name(name, "table")
        record = versions.read(folder, version)
        if record is None:
            raise NotFound(
                f"table {name} has no version {version}",
                code="no-version",
                hint="Ask `version` which is the newest.",
            )
        words = record.described.columns
        wanted = list(words if columns is None else columns)
        for column in wanted:
            if column not in words:
                raise Invalid(
                    f"table {name} has no column {column!r} in version {version}",
                    code="no-column",
                    hint=f"It has: {', '.join(words)}.",
                )
        files = versions.files(folder, record)
        return types.restore(self._reader.read(folder, files, wanted), words)

    def version(self, name: str, version: int | None = None) -> TableVersion | None:
        folder = self._folder / check_name(name, "table")
        record = self._newest(folder) if version is None else versions.read(folder, version)
        return record.described if record else None

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(p.name for p in self._folder.iterdir() if versions.numbers(p)))

    def location(self, name: str) -> str:
        return str(self._folder / check_name(name, "table"))

    def verify(self) -> Iterator[Damage]:
        for name in self.names():
            for file, problem in _problems(self._folder / name):
                yield Damage(
                    store="tables",
                    name=f"{name}/{file}",
                    problem=problem,
                    hint="Restore the table from a backup.",
                )

    def remove_leftovers(self, older_than_s: float = 86_400.0) -> int:
        """Remove data files that writers left behind when they died; return how many."""
        return sum(_remove_leftovers(self._folder / name, older_than_s) for name in self.names())

    def _newest(self, folder: Path) -> Record | None:
        numbers = versions.numbers(folder)
        return versions.read(folder, numbers[-1]) if numbers else None

    def _write(
        self,
        folder: Path,
        frames: Iterator[pl.DataFrame],
        kept: dict[str, pl.DataType],
        mode: Literal["append", "overwrite"],
    ) -> TableVersion:
        disk.make_folder(folder / versions.FOLDER)
        written = parquet.write(folder, frames, kept)
        is_named = False
        try:
            with versions.locked(folder):
                before = self._newest(folder)
                base = _base_of(folder, before, kept) if mode == "append" else None
                version = before.described.version + 1 if before else 0
                commits.prepare(folder, version)
                is_named = True  # from now on Delta's log may name the files
                actions = [added for _, added in written]
                log = commits.commit(folder, version, actions, kept, mode)
                return _record(folder, version, [file for file, _ in written], kept, base, log)
        except BaseException:
            if not is_named:
                with suppress(Unavailable):
                    parquet.remove(folder, [file.path for file, _ in written])
            raise


def _record(
    folder: Path,
    version: int,
    files: list[DataFile],
    kept: dict[str, pl.DataType],
    base: Record | None,
    log: dict[str, str],
) -> TableVersion:
    """Record a version that Delta's log has; with this it exists."""
    held = (versions.files(folder, base) if base else []) + files
    described = TableVersion(
        name=folder.name,
        version=version,
        digest=versions.digest_over(held),
        rows=sum(file.rows for file in held),
        size_bytes=sum(file.size_bytes for file in held),
        columns={name: types.type_word(kind) for name, kind in kept.items()},
    )
    parent = None if base is None or version % CHAIN == 0 else base.described.version
    added = held if parent is None else files
    versions.write(folder, Record(described=described, files=added, base=parent, log=log))
    return described


def _base_of(folder: Path, before: Record | None, kept: dict[str, pl.DataType]) -> Record | None:
    """Return the version to append to.

    Raises:
        Invalid: Its columns are others.
        Conflict: Its columns have another order than the files that were written for it.
    """
    if before and list(_in_order_of(before.described, kept)) != list(kept):
        raise Conflict(
            f"table {folder.name} was made by another writer meanwhile",
            code="busy-table",
            hint="Append again.",
        )
    return before


def _in_order_of(described: TableVersion, kept: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the types in the order of a table's columns.

    Raises:
        Invalid: The columns differ from the table's.
    """
    words = {name: types.type_word(kind) for name, kind in kept.items()}
    if words != described.columns:
        raise Invalid(
            f"the appended columns of table {described.name} differ from its own",
            code="other-columns",
            hint="Append the same columns with the same types, or overwrite the table.",
            detail={"table": described.columns, "appended": words},
        )
    return {name: kept[name] for name in described.columns}


def _remove_leftovers(folder: Path, older_than_s: float) -> int:
    with versions.locked(folder):
        named: set[str] = set()
        for number in versions.numbers(folder):
            record = versions.read(folder, number)
            named.update(file.path for file in (record.files if record else ()))
        oldest = time.time() - older_than_s
        gone = [
            place.name
            for place in folder.glob("part-*.parquet")
            if place.name not in named and place.stat().st_mtime < oldest
        ]
        parquet.remove(folder, gone)
    return len(gone)


def _problems(folder: Path) -> Iterator[tuple[str, str]]:
    """Check every file of every version; yield (file, what is wrong with it)."""
    recorded: dict[str, set[str]] = {}
    numbers = versions.numbers(folder)
    for number in range(numbers[-1] + 1):
        name = str(versions.place_of(folder, number).relative_to(folder))
        try:
            record = versions.read(folder, number)
            if record is None:
                yield name, "it is missing"
                continue
            files = versions.files(folder, record)
        except Corrupt as error:
            yield name, error.message
            continue
        if versions.digest_over(files) != record.described.digest:
            yield name, "its digest does not fit its files"
        named = {file.path: file.digest for file in record.files} | record.log
        for path, digest in named.items():
            # Delta rewrites one file, its hint at the last checkpoint; a backup may hold any of it.
            recorded.setdefault(path, set()).add(digest)
    for name, digests in recorded.items():
        problem = _compare(folder / name, digests)
        if problem:
            yield name, problem


def _compare(place: Path, digests: set[str]) -> str | None:
    try:
        found = versions.digest_of(place)
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if found in digests else "its bytes do not match"
