"""What a run is given: data sets and files, pinned to exact versions before the first step.

The handles that a flow gets are known by the content behind them, so handing one to a step costs
no reading; the rows are read when the step asks for them.
"""

import inspect
import typing
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeGuard, cast

import msgspec

from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.core.ids import sha256_hex
from trivet.core.ports import ArrowStream
from trivet.data.facts import Dataset
from trivet.data.naming import is_identifier, name_from_file, suggest
from trivet.pipelines.facts import KnownAsset
from trivet.pipelines.scratch import scratch_folder

_TABLE_FILES = {".csv", ".tsv", ".parquet", ".pq"}
_FILE_TREE = "files"
ASSET = "asset:"
"""What a parameter begins with that names a result of another flow."""
_SHOWN = 40


class FileMark:
    """Marks a parameter as a path."""


class DataMark:
    """Marks a parameter as a data set or an asset."""


class DataRoom(Protocol):
    """The part of the data room that a run needs."""

    def latest(self, name: str) -> Dataset:
        """Return a data set's latest version."""
        ...

    def get(self, id: str) -> Dataset:
        """Return a version by its identifier."""
        ...

    def table(self, dataset: Dataset | str, table: str | None = None) -> ArrowStream:
        """Return a table's rows."""
        ...

    def checkout(self, dataset: Dataset | str, folder: Path, tree: str | None = None) -> int:
        """Write a file tree into a new folder."""
        ...

    def import_file(self, path: Path | str, dataset: str | None = None) -> Dataset:
        """Publish a CSV or Parquet file."""
        ...

    def publish(
        self,
        dataset: str,
        tables: Mapping[str, ArrowStream],
        *,
        source: str,
        trees: Mapping[str, Path],
    ) -> Dataset:
        """Publish file trees; content that is the latest already is not published again."""
        ...


TakeAsset = Callable[[str], tuple[KnownAsset, object]]
"""Returns a version of an asset by its label, and its value."""


class TableInput:
    """One table in one version. It speaks Arrow: `polars.DataFrame(table)`."""

    def __init__(self, data: DataRoom, dataset: Dataset, name: str) -> None:
        self._data = data
        self.dataset = dataset
        self.name = name
        self.version = dataset.commit.table(name)[1]

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._data.table(self.dataset, self.name).__arrow_c_stream__(requested_schema)

    @property
    def label(self) -> str:
        """Which table of which version, for people: `customers@01a2…/orders`."""
        return f"{self.dataset.name}@{self.dataset.id}/{self.name}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self.version.columns)

    @property
    def content(self) -> str:
        """What it is known by."""
        return self.version.digest


class DataInput:
    """A data set in one version, as a flow gets it."""

    def __init__(self, data: DataRoom, dataset: Dataset) -> None:
        self._data = data
        self.dataset = dataset

    @property
    def label(self) -> str:
        """Which version, for people: `customers@01a2…`."""
        return f"{self.dataset.name}@{self.dataset.id}"

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables' names."""
        return self.dataset.commit.names

    def __getitem__(self, table: str) -> TableInput:
        return TableInput(self._data, self.dataset, table)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the only table.

        Raises:
            Invalid: There are several tables; name one: `data["orders"]`.
        """
        name, _ = self.dataset.commit.table()
        return self[name].__arrow_c_stream__(requested_schema)

    @property
    def content(self) -> str:
        """What it is known by: the contents of its tables and trees under their names."""
        commit = self.dataset.commit
        named = {name: version.digest for name, version in commit.named_tables.items()}
        named |= {f"{tree.name}/": tree.digest for tree in commit.trees}
        return sha256_hex(repr(sorted(named.items())).encode())


class InputFile(str):
    """A path whose bytes are those of a published version; it is known by them and its name."""

    __slots__ = ("content",)
    content: str

    @classmethod
    def at(cls, path: Path, digest: str) -> "InputFile":
        """Make the path of content that was checked out."""
        made = cls(path)
        made.content = sha256_hex(path.name.encode(), digest.encode())
        return made


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a run: as the flow gets them, as they are recorded, and what is in them."""

    arguments: dict[str, Any]
    parameters: dict[str, Any]
    data: tuple[str, ...]
    """Data commits."""
    assets: tuple[str, ...]
    """Versions of assets."""


class Resolver:
    """Turns what a person passes to a flow into its arguments. Use as a context manager.

    Args:
        data: The data room.
        folder: Where relative paths begin.
        take_asset: Finds results of other flows.
    """

    def __init__(self, data: DataRoom, folder: Path, take_asset: TakeAsset) -> None:
        self._data = data
        self._folder = folder
        self._take_asset = take_asset
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()  # the files that were checked out

    def resolve(self, function: Callable[..., object], given: Mapping[str, Any]) -> Inputs:
        """Bind, convert and pin the parameters of a flow.

        Text is converted to the parameter's type where that is a plain one, so that `rate=0.5`
        from a command line is a number.

        Raises:
            Invalid: A parameter is unknown, missing, or of another type.
            NotFound: A data set, an asset or a file does not exist.
        """
        kinds = parameter_kinds(function)
        _check_names(function, given, kinds)
        arguments: dict[str, Any] = {}
        recorded: dict[str, Any] = {}
        used: list[str] = []
        assets: list[str] = []
        for name, kind in kinds.items():
            value = given.get(name, kind.default)
            if kind.default is None and value == "null":  # from a command line
                value = None
            if kind.mark is None or value is None:
                arguments[name] = recorded[name] = _convert(name, value, kind.type)
                continue
            with _about(name):
                label = _asset_in(value) if kind.mark == "data" else None
                if label is not None:
                    asset, arguments[name] = self._take_asset(label)
                    recorded[name] = ASSET + asset.label
                    assets.append(asset.id)
                    continue
                pin = self._pin_data if kind.mark == "data" else self._pin_file
                arguments[name], dataset = pin(name, value)
                recorded[name] = f"{dataset.name}@{dataset.id}"
                used.append(dataset.id)
        return Inputs(
            arguments=arguments,
            parameters=recorded,
            data=tuple(dict.fromkeys(used)),
            assets=tuple(dict.fromkeys(assets)),
        )

    def _pin_data(self, name: str, value: object) -> tuple[DataInput, Dataset]:
        match value:
            case Dataset():
                dataset = value
            case DataInput():
                dataset = value.dataset
            case Path() | str() if Path(value).suffix.lower() in _TABLE_FILES:
                dataset = self._data.import_file(self._folder / value)
            case str():
                label, _, version = value.rpartition("@")
                if is_identifier(version):
                    dataset = self._data.get(version)
                else:
                    dataset = self._data.latest(label or version)
            case _:
                raise Invalid(
                    f"parameter {name!r} is a {type(value).__name__}; expected a data set",
                    code="bad-parameter",
                    hint="Pass a data set's name, a Dataset, the path of a CSV or Parquet file, or "
                    "a result of another flow: 'asset:flow.output'.",
                )
        return DataInput(self._data, dataset), dataset

    def _pin_file(self, name: str, value: object) -> tuple[InputFile, Dataset]:
        if not isinstance(value, str | Path):
            raise Invalid(
                f"parameter {name!r} is a {type(value).__name__}; expected a path",
                code="bad-parameter",
                hint="Pass the path of a file or folder.",
            )
        path = self._folder / value
        if not path.exists():
            raise NotFound(
                f"parameter {name!r}: there is no file or folder {str(value)!r}",
                code="no-file",
                hint=f"Paths begin in the project's folder, {self._folder}.",
            )
        # A name of its own, so that a file never stands in the way of a table that is called so.
        dataset = self._data.publish(
            f"file.{name_from_file(path)}"[:64].rstrip(".-_"),
            {},
            source=f"the file {path.name}",
            trees={_FILE_TREE: path},
        )
        # The step reads these bytes, whatever becomes of the file meanwhile.
        place = self._open.enter_context(scratch_folder(self._folder)) / path.name
        self._data.checkout(dataset, place, _FILE_TREE)
        pinned = place / path.name if path.is_file() else place
        return InputFile.at(pinned, dataset.commit.tree(_FILE_TREE).digest), dataset


@contextmanager
def _about(parameter: str) -> Generator[None]:
    """Have an error name the parameter whose value could not be had."""
    try:
        yield
    except TrivetError as error:
        if not error.message.startswith("parameter "):
            error.message = f"parameter {parameter!r}: {error.message}"
            error.args = (error.message,)
        raise


def _asset_in(value: object) -> str | None:
    if isinstance(value, KnownAsset):
        return value.label
    return value.removeprefix(ASSET) if _is_label(value) else None


def _is_label(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(ASSET)


class ParameterKind(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a flow: what its annotation says."""

    mark: Literal["file", "data"] | None
    type: Any
    default: Any
    """`inspect.Parameter.empty` when it must be given."""


def parameter_kinds(function: Callable[..., object]) -> dict[str, ParameterKind]:
    """Describe the parameters of a flow by name.

    Raises:
        Invalid: It takes `*args` or `**kwargs`, which cannot be recorded by name.
    """
    hints = _hints(function)
    kinds: dict[str, ParameterKind] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            raise Invalid(
                f"the flow takes *{name}; expected parameters with names",
                code="bad-flow",
                hint="Name each parameter of a flow.",
            )
        kind = hints.get(name, Any)
        marks = {type(item) for item in _marks(kind)}
        mark = "file" if FileMark in marks else "data" if DataMark in marks else None
        kinds[name] = ParameterKind(mark=mark, type=kind, default=parameter.default)
    return kinds


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError):
        # A name that only type checkers see: look at the annotations one by one.
        names: dict[str, Any] = getattr(function, "__globals__", {})
        notes = cast("dict[str, Any]", getattr(function, "__annotations__", {}))
        return {
            name: names.get(note, Any) if isinstance(note, str) else note
            for name, note in notes.items()
        }


def _marks(kind: object) -> Iterator[object]:
    yield from getattr(kind, "__metadata__", ())
    for inner in typing.get_args(kind):
        yield from _marks(inner)


def _check_names(
    function: Callable[..., object], given: Mapping[str, Any], kinds: Mapping[str, ParameterKind]
) -> None:
    label = getattr(function, "__name__", "the flow")
    for name in given:
        if name not in kinds:
            raise Invalid(
                f"flow {label!r} has no parameter {name!r}",
                code="no-parameter",
                hint=suggest(name, kinds),
            )
    missing = [
        n for n, k in kinds.items() if n not in given and k.default is inspect.Parameter.empty
    ]
    if missing:
        raise Invalid(
            f"flow {label!r} needs {' and '.join(map(repr, missing))}, which was not given",
            code="missing-parameter",
            hint=f"Pass {missing[0]}=..., or give the parameter a default.",
        )


def _convert(name: str, value: object, kind: object) -> object:
    if kind is Any or not isinstance(value, str):
        return value
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        return _from_json(name, value, kind, error)
    except TypeError:  # a type that is not plain data: the flow's own business
        return value


def _from_json(name: str, text: str, kind: object, cause: Exception) -> object:
    """Read a list or a mapping, which a command line can only write as JSON."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        called = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
        raise Invalid(
            f"parameter {name!r} is {_shortened(text)}; expected {called}",
            code="bad-parameter",
            hint=_example_of(name, kind),
        ) from cause


def _example_of(name: str, kind: object) -> str:
    if kind is bool:
        return f"Write true or false: {name}=true."
    examples = {list: '["a", "b"]', tuple: '["a", "b"]', set: '["a", "b"]', dict: '{"a": 1}'}
    example = examples.get(typing.get_origin(kind) or cast("type", kind))
    if example is None:
        return "Pass a value of the type that the flow's signature names."
    return f"Write it as JSON: '{name}={example}'."


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
