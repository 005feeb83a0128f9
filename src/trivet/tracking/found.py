"""What a search for runs found: as rows, as columns, as a data frame or a file of any library."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from trivet.core.catalog import Position
from trivet.core.clock import from_micros
from trivet.core.disk import put_file
from trivet.core.errors import Invalid, Unsupported

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a search finds it."""

    id: str
    name: str
    """Of a flow's run, the flow."""
    experiment: str
    """The experiment's name; empty for the run of a flow."""
    status: str
    user: str
    began_ms: int
    ended_ms: int | None
    parameters: dict[str, str]
    metrics: dict[str, float]
    """The latest values."""
    tags: dict[str, str]

    @property
    def flow(self) -> str | None:
        """The flow whose run it is, None for a run that reported itself."""
        return None if self.experiment else self.name

    @property
    def seconds(self) -> float | None:
        """How long it took, None while it runs."""
        return None if self.ended_ms is None else (self.ended_ms - self.began_ms) / 1000

    @property
    def row(self) -> dict[str, Any]:
        """What is known of the run, by the names that filters use."""
        return {
            **{name: read(self) for name, read in _READ.items()},
            **{f"params.{name}": value for name, value in self.parameters.items()},
            **{f"metrics.{name}": value for name, value in self.metrics.items()},
            **{f"tags.{name}": value for name, value in self.tags.items()},
        }


_READ: Final[dict[str, Callable[[FoundRun], Any]]] = {
    "id": lambda run: run.id,
    "name": lambda run: run.name,
    "flow": lambda run: run.flow,
    "experiment": lambda run: run.experiment,
    "status": lambda run: run.status,
    "user": lambda run: run.user,
    "began": lambda run: time_of_ms(run.began_ms),
    "ended": lambda run: None if run.ended_ms is None else time_of_ms(run.ended_ms),
    "seconds": lambda run: run.seconds,
}
_HELD: Final[dict[str, Callable[[FoundRun], dict[str, Any]]]] = {
    "params": lambda run: run.parameters,
    "metrics": lambda run: run.metrics,
    "tags": lambda run: run.tags,
}


class FoundRuns(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs. It is iterated over, or becomes a data frame.

    In columns, a parameter whose values are all numbers is a column of numbers.
    """

    runs: tuple[FoundRun, ...]
    after: Position | None = None
    """Continues the search; None when it is over."""
    wanted: dict[str, str] | None = None
    """The columns that were asked for, and what a row calls them; None: everything."""

    def __iter__(self) -> Iterator[FoundRun]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def rows(self) -> list[dict[str, Any]]:
        """Return the runs as rows, with what was asked for; None where a run has nothing."""
        rows = [run.row for run in self.runs]
        if self.wanted is None:
            return rows
        return [{name: row.get(own) for name, own in self.wanted.items()} for row in rows]

    def columns(self) -> dict[str, list[Any]]:
        """Return the runs as columns.

        Example:
            >>> FoundRuns(runs=(), wanted={"id": "id", "loss": "metrics.loss"}).columns()
            {'id': [], 'loss': []}
        """
        wanted = self._everything() if self.wanted is None else self.wanted
        return {name: _typed(own, self._values(own)) for name, own in wanted.items()}

    def to_pandas(self) -> Any:  # noqa: ANN401  # no library's type is named here
        """Return a `pandas.DataFrame`, a row for each run.

        Raises:
            Unsupported: pandas is not installed.
        """
        pandas = _library("pandas", "pip install pandas")
        columns = {
            name: _pandas_values(pandas, self._own(name), values)
            for name, values in self.columns().items()
        }
        return pandas.DataFrame(columns, columns=list(columns))

    def to_polars(self) -> Any:  # noqa: ANN401  # no library's type is named here
        """Return a `polars.DataFrame`, a row for each run.

        Raises:
            Unsupported: Polars is not installed.
        """
        polars = _library("polars", "pip install 'trivet[local]'")
        columns = self.columns()
        schema = {name: _polars_type(polars, self._own(name), v) for name, v in columns.items()}
        return polars.DataFrame(columns, schema=schema)

    def to_parquet(self, path: Path | str) -> Path:
        """Write a Parquet file, a row for each run; what stood there is replaced at once.

        Raises:
            Unsupported: Neither Polars nor PyArrow is installed.
        """
        place = Path(path)
        content = io.BytesIO()
        try:
            self.to_polars().write_parquet(content)
        except Unsupported:
            arrow = _library("pyarrow", "pip install 'trivet[local]'")
            parquet = import_module("pyarrow.parquet")
            parquet.write_table(arrow.table(self.columns()), content)
        put_file(place, content.getvalue())
        return place

    def to_csv(self, path: Path | str) -> Path:
        """Write a CSV file with a heading, a row for each run; what stood there is replaced."""
        content = io.StringIO(newline="")
        columns = self.columns()
        writer = csv.writer(content)
        writer.writerow(columns)
        writer.writerows(
            [value.isoformat() if isinstance(value, datetime) else value for value in row]
            for row in zip(*columns.values(), strict=True)
        )
        place = Path(path)
        put_file(place, content.getvalue().encode())
        return place

    def write(self, path: Path | str) -> Path:
        """Write a file of the kind that its name ends in: `.parquet` or `.csv`.

        Raises:
            Invalid: It ends in something else.
            Unsupported: What writes it is not installed.
        """
        writers = {".parquet": self.to_parquet, ".csv": self.to_csv}
        writer = writers.get(Path(path).suffix.lower())
        if writer is None:
            raise Invalid(
                f"{str(path)!r} ends in {Path(path).suffix!r}; expected .parquet or .csv",
                code="bad-file-name",
            )
        return writer(path)

    def _everything(self) -> dict[str, str]:
        names = dict.fromkeys(_READ)
        for prefix, held in _HELD.items():
            found = {key for run in self.runs for key in held(run)}
            names |= dict.fromkeys(f"{prefix}.{key}" for key in sorted(found))
        return {name: name for name in names}

    def _values(self, own: str) -> list[Any]:
        if own in _READ:
            read = _READ[own]
            return [read(run) for run in self.runs]
        prefix, _, key = own.partition(".")
        held = _HELD.get(prefix)
        return [None if held is None else held(run).get(key) for run in self.runs]

    def _own(self, name: str) -> str:
        return (self.wanted or {}).get(name, name)


class RunFinder(Protocol):
    """Searches runs: those of a folder, or those that a server has."""

    def find(
        self,
        text: str = "",
        *,
        also: Iterable[str] = (),
        order: Iterable[str] = (),
        columns: Sequence[str] | None = None,
        experiment: str | None = None,
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundRuns:
        """Return a page of runs, the newest first unless an order is given."""
        ...

    def get(self, ids: Sequence[str]) -> list[FoundRun]:
        """Return those runs that have one of these identifiers, in their order."""
        ...


def time_of_ms(milliseconds: int) -> datetime | None:
    """Return a time that a client sent; None for what no calendar has."""
    try:
        return from_micros(milliseconds * 1000)
    except (OverflowError, ValueError):
        return None


def _typed(own: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of a column; a parameter's as numbers when all of them are."""
    there = [value for value in values if value is not None]
    if not own.startswith("params.") or not there or not all(map(_NUMBER.fullmatch, there)):
        return list(values)
    as_number = int if all(map(_WHOLE.fullmatch, there)) else float
    return [None if value is None else as_number(value) for value in values]


def _is_time(own: str) -> bool:
    return own in {"began", "ended"}


def _pandas_values(pandas: Any, own: str, values: list[Any]) -> Any:  # noqa: ANN401
    if _is_time(own):
        return pandas.Series(values, dtype="datetime64[ms, UTC]")
    if _is_number(own) or any(isinstance(one, int | float) for one in values):
        return [math.nan if one is None else one for one in values]
    return values


def _is_number(own: str) -> bool:
    return own == "seconds" or own.startswith("metrics.")


def _polars_type(polars: Any, own: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    if _is_time(own):
        return polars.Datetime("ms", "UTC")
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, int) for value in there):
        return polars.Int64
    is_number = _is_number(own) or any(isinstance(value, float) for value in there)
    return polars.Float64 if is_number else polars.String


def _library(name: str, how: str) -> Any:  # noqa: ANN401  # a library that may not be there
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"this needs the library {name!r}, which is not installed",
            code="no-library",
            hint=f"Install it: `{how}`.",
        ) from error
