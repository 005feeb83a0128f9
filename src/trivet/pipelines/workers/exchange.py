"""What a run and its workers send each other: calls, values by reference, failures.

A value that is small crosses inside the message. A large one is stored first, and its digest
crosses; whoever needs it opens the stores itself. Data sets and files that a run was given cross
as what names them. Nothing is pickled.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from trivet.core.errors import Invalid, NotFound, Unsupported
from trivet.core.trees import ByteStore, Content
from trivet.pipelines.context import definition_of
from trivet.pipelines.explaining.reads import NOTHING, Noticed
from trivet.pipelines.inputs import DataInput, DataRoom, InputFile, TableInput
from trivet.pipelines.materialising.readers import STRANGER, Reader
from trivet.pipelines.materialising.standard import put_made, take_made
from trivet.pipelines.materialising.structure import NoForm, put_together, take_apart
from trivet.pipelines.materialising.values import Contents, Form, Values

INLINE_BYTES = 64 << 10
"""A part of a value up to this size crosses inside the message."""

Opener = Callable[[str], "Parts"]


class Parts(Protocol):
    """What a worker opens of a workspace: blobs at once, the data room when it is asked for."""

    @property
    def blobs(self) -> ByteStore:
        """Where large values are."""
        ...

    @property
    def values(self) -> Values:
        """How values are kept."""
        ...

    @property
    def data(self) -> DataRoom:
        """The data room."""
        ...


class _Bytes(msgspec.Struct, frozen=True, array_like=True):
    """A file of a value: its content, or its digest when it is large."""

    content: bytes | None
    digest: str = ""


class PackedForm(msgspec.Struct, frozen=True, array_like=True, tag="form"):
    """A value as files."""

    format: str
    files: dict[str, _Bytes]


class PackedFile(msgspec.Struct, frozen=True, array_like=True, tag="file"):
    """A file that the run was given, where it was checked out."""

    path: str
    content: str


class PackedData(msgspec.Struct, frozen=True, array_like=True, tag="data"):
    """A data set, or one table of it."""

    dataset: str
    table: str | None


class PackedPath(msgspec.Struct, frozen=True, array_like=True, tag="path"):
    """A path on this machine."""

    path: str


class PackedCode(msgspec.Struct, frozen=True, array_like=True, tag="code"):
    """A function or class, by name."""

    name: str


Leaf = PackedForm | PackedFile | PackedData | PackedPath | PackedCode


class PackedValue(msgspec.Struct, frozen=True, array_like=True):
    """A value taken apart: plain text, and the leaves it names by number."""

    text: str
    leaves: list[Leaf]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A step to be made by a worker."""

    function: str
    """`module:qualname`, under which the worker finds the step."""
    arguments: dict[str, PackedValue]
    digests: dict[str, str]
    """Their contents, by parameter."""
    code: str
    """Digest of the user's own code as the run knows it; a worker with other code refuses. Empty
    in an environment of the step's own, where `loaded` stands for it."""
    loaded: dict[str, str]
    modules: list[str] = []
    """Modules that the run has loaded, and that the step may import while it runs: loaded before
    the codes are compared."""
    opener: str
    """`module:function`, which opens the worker's `Parts` of `place`."""
    place: str
    run: str | None
    flow: str | None
    step: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error that a step raised, as far as plain data can say it."""

    kind: str
    """`module:qualname` of its class."""
    text: str
    args: PackedValue | None
    """None when they are not plain."""
    state: PackedValue | None
    """What the error holds besides; None when that is not plain."""
    frames: list[tuple[str, int, str]]
    """File, line and function, outermost first."""
    notes: list[str]
    code: str = ""
    hint: str = ""
    detail: dict[str, Any] = {}
    cause: "Failure | None" = None
    """What it was raised from."""
    context: "Failure | None" = None
    """What was being handled when it was raised, unless there is a cause."""
    message: str = ""
    """Of a group, without the number of its members."""
    members: "list[Failure]" = []
    """Of a group, as far as they crossed."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call: a value, a failure, or other code."""

    value: PackedForm | None = None
    contents: Contents = Contents("")
    """By what the value is known as an argument of another step."""
    memory_bytes: int | None = None
    noticed: Noticed = NOTHING
    """The files that it read."""
    warnings: tuple[str, ...] = ()
    """What else the step's key does not cover: arguments that it changed."""
    failure: Failure | None = None
    other_code: dict[str, str] | None = None
    """The parts of the worker's code, when it is not the run's."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """Figures that a step logs while it runs."""

    metrics: dict[str, float]
    step: int


class Packer:
    """Packs values, and unpacks them on the other side.

    Args:
        values: How values are kept.
        blobs: Where large ones go.
        data: Returns the data room, on the side of the worker; None where nothing is unpacked
            but forms.
    """

    def __init__(
        self, values: Values, blobs: ByteStore, data: Callable[[], DataRoom] | None = None
    ) -> None:
        self._values = values
        self._blobs = blobs
        self._data = data

    def pack(self, value: object, place: str, reader: Reader = STRANGER) -> PackedValue:
        """Pack an argument.

        Args:
            value: The value.
            place: What it is, for the error.
            reader: What the step that takes it consents to.

        Raises:
            Invalid: It, or a part of it, cannot be handed to another process.
        """
        leaves: list[Leaf] = []

        def take_leaf(part: object) -> object | None:
            leaf = self._leaf(part, place)
            if leaf is None:
                return None
            leaves.append(leaf)
            return len(leaves) - 1

        try:
            text = take_apart(value, take_leaf, lambda part: take_made(part, reader))
            return PackedValue(text, leaves)
        except (NoForm, Unsupported) as error:
            if reader.pickle:
                form = self._values.save(value, place, reader)
                return PackedValue('{"$part":0}', [self.pack_form(form)])
            if isinstance(error, Unsupported):
                raise
            kind = type(error.value)
            raise Invalid(
                f"{place} is or holds a {kind.__module__}.{kind.__qualname__}, which cannot be "
                "handed to a worker",
                code="no-materialiser",
                hint="Pass plain values, frames, arrays or bytes, or register a materialiser for "
                "the type.",
            ) from error

    def unpack(self, packed: PackedValue, reader: Reader = STRANGER) -> object:
        """Return the value that was packed, as far as its reader consents to have it."""
        return put_together(
            packed.text,
            lambda number: self._unleaf(packed.leaves[cast("int", number)], reader),
            lambda name, parts: put_made(name, parts, reader),
        )

    def pack_form(self, form: Form) -> PackedForm:
        """Pack a value's files; large ones are stored durably."""
        return PackedForm(form.format, {path: self._store(d) for path, d in form.files.items()})

    def unpack_form(self, packed: PackedForm) -> Form:
        """Return a value's files.

        Raises:
            NotFound: A large one is not in the store.
            Corrupt: Its bytes are not what was stored.
        """
        return Form(packed.format, {path: self._load(item) for path, item in packed.files.items()})

    def _leaf(self, value: object, place: str) -> Leaf | None:
        match value:
            case InputFile():
                return PackedFile(str(value), value.content)
            case DataInput():
                return PackedData(value.dataset.id, None)
            case TableInput():
                return PackedData(value.dataset.id, value.name)
            case Path():
                return PackedPath(str(value.absolute()))
            case _ if inspect.isfunction(value) or inspect.isclass(value):
                return PackedCode(name_of(value, place))
            case _:
                form = self._values.save_leaf(value)
                return None if form is None else self.pack_form(form)

    def _unleaf(self, leaf: Leaf, reader: Reader) -> object:
        match leaf:
            case PackedForm():
                return self._values.load(self.unpack_form(leaf), reader)
            case PackedFile():
                file = InputFile(leaf.path)
                file.content = leaf.content
                return file
            case PackedPath():
                return Path(leaf.path)
            case PackedCode():
                return find(leaf.name)
            case PackedData():
                if self._data is None:
                    raise NotFound("there is no data room here", code="no-data")
                room = self._data()
                whole = DataInput(room, room.get(leaf.dataset))
                return whole if leaf.table is None else whole[leaf.table]

    def _store(self, content: Content) -> _Bytes:
        if not isinstance(content, bytes):
            with content.open() as stream:
                return _Bytes(None, self._blobs.put(stream))
        if len(content) <= INLINE_BYTES:
            return _Bytes(content)
        return _Bytes(None, self._blobs.put(content))

    def _load(self, item: _Bytes) -> bytes:
        if item.content is not None:
            return item.content
        with self._blobs.open(item.digest) as stream:
            return stream.read()


def name_of(item: object, place: str) -> str:
    """Return `module:qualname` of a function or class that another process finds under it.

    Raises:
        Invalid: It is defined in a function, in the program that is run, or in a notebook, or
            its name stands for something else.
    """
    module = str(getattr(item, "__module__", ""))
    name = str(getattr(item, "__qualname__", type(item).__name__))
    if module in {"__main__", "__mp_main__", "", "builtins.<lambda>"}:
        raise Invalid(
            f"{place}, {name!r}, is defined in the program that is run; expected a module that a "
            "worker can import",
            code="no-module",
            hint="Move it into a module of the project, for example steps.py, and import it.",
        )
    found = _look_up(sys.modules.get(module), name)
    if found is None or not _is_same(found, item):
        raise Invalid(
            f"{place}, {name!r} of module {module!r}, is not found under its name; expected a "
            "function at the top of its module",
            code="no-name",
            hint="Write a def with @step(...) above it: no lambda, and not inside a function.",
        )
    return f"{module}:{name}"


def find(name: str) -> object:
    """Return what `name_of` named.

    Raises:
        NotFound: It is not there.
    """
    module, _, qualname = name.partition(":")
    importlib.invalidate_caches()
    found = _look_up(importlib.import_module(module), qualname)
    if found is None:
        raise NotFound(
            f"a worker finds no {qualname!r} in module {module!r}",
            code="no-name",
            hint="The file was edited while the run was under way; run again.",
        )
    return found


def _look_up(module: object, qualname: str) -> object | None:
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)  # "<locals>" is nobody's attribute
    return found


def _is_same(found: object, item: object) -> bool:
    definition = definition_of(found)
    return found is item or (definition is not None and definition.function is item)
