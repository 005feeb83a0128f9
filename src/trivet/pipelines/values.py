"""Values of steps: how they are kept, and by what they are known.

A value is kept as a file tree: plain values as one JSON file, everything else by a materialiser;
containers of both as JSON with the parts beside it. Nothing is pickled, ever.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.fingerprint import fingerprint
from trivet.core.ids import sha256_hex
from trivet.core.modules import origin_of_module
from trivet.pipelines.inputs import DataInput, InputFile, TableInput
from trivet.pipelines.materialisers import (
    STANDARD,
    Materialiser,
    content_of,
    digest_files,
    read_with,
    registered,
)
from trivet.pipelines.structure import NoForm, put_together, take_apart

_PLAIN = "json"
_COMPOSITE = "composite"
_TEXT = "value.json"

_ADVICE = {
    ("polars", "LazyFrame"): "Collect it: return frame.collect().",
    ("pandas", "DataFrame"): "Return a Polars frame, for example polars.from_pandas(frame).",
    ("pandas", "Series"): "Return a Polars series or a NumPy array.",
    ("numpy", "ndarray"): "Give the array a plain type: one of Python objects cannot be stored.",
    ("pathlib", "PosixPath"): "Return the file's content: path.read_bytes().",
    ("pathlib", "WindowsPath"): "Return the file's content: path.read_bytes().",
    ("builtins", "generator"): "Return a list.",
}
_REGISTER = (
    "Return plain values, frames, arrays or bytes, or register a materialiser for the type: "
    "trivet.pipelines.materialisers.register(records({kind})) for a dataclass or struct."
)


class Form(msgspec.Struct, frozen=True):
    """A value as it is kept: files by path, and what can read them."""

    format: str
    files: Mapping[str, bytes]


class Values:
    """Stores, restores and recognises values.

    Args:
        materialisers: What a room adds, asked before what was registered and what is standard.
    """

    def __init__(self, materialisers: Sequence[Materialiser] = ()) -> None:
        self._own = tuple(materialisers)
        self._kinds: dict[type, str] = {}

    def save(self, value: object, place: str) -> Form:
        """Return a value's files.

        Args:
            value: The value.
            place: What it is, for the error: `what step 'train' returned`.

        Raises:
            Invalid: No materialiser accepts it, or a part of it (code `no-materialiser`).
        """
        whole = self._find(value)
        if whole is not None:
            return Form(whole.format, dict(whole.save(value)))
        files: dict[str, bytes] = {}

        def take_leaf(part: object) -> object | None:
            found = self._find(part)
            if found is None:
                return None
            number = str(len({path.partition("/")[0] for path in files}))
            files.update({f"{number}/{path}": data for path, data in found.save(part).items()})
            return [number, found.format]

        try:
            text = take_apart(value, take_leaf)
        except NoForm as error:
            raise _unstorable(error.value, place) from error
        return Form(_COMPOSITE if files else _PLAIN, {_TEXT: text.encode(), **files})

    def load(self, form: Form) -> object:
        """Return the value again: equal, and of the same type.

        Raises:
            NotFound: Nothing here reads the format.
            Corrupt: The files do not hold a value.
        """
        if form.format not in {_PLAIN, _COMPOSITE}:
            return read_with(self._reader(form.format), form.files)

        def leaf(name: object) -> object:
            number, format_ = cast("list[str]", name)
            prefix = f"{number}/"
            own = {p.removeprefix(prefix): d for p, d in form.files.items() if p.startswith(prefix)}
            return read_with(self._reader(format_), own)

        if _TEXT not in form.files:
            raise Corrupt(f"a stored value has no {_TEXT}", hint="Run `trivet fsck`.")
        return put_together(form.files[_TEXT], leaf)

    def digest(self, value: object, place: str) -> str:
        """Digest a value by its content, as the argument of a step.

        Besides what can be stored: data sets and files count by what is in them, paths by the
        file or folder they point at, functions and classes by their code.

        Raises:
            Invalid: It has no content that could be known (code `no-materialiser`).
            NotFound: A path points at nothing.
        """
        try:
            return sha256_hex(take_apart(value, self._leaf_digest).encode())
        except NoForm as error:
            raise _unstorable(error.value, place) from error

    def digest_constant(self, value: object) -> str | None:
        """Digest a value of a library's type by its content, None when nothing accepts it."""
        if isinstance(value, InputFile | DataInput | TableInput):
            return value.content
        found = self._find(value)
        return None if found is None else content_of(found, value)

    def _leaf_digest(self, value: object) -> object | None:
        match value:
            case InputFile() | DataInput() | TableInput():
                return ["input", value.content]
            case Path():
                return ["path", _digest_path(value)]
            case types.FunctionType() | types.MethodType() | type():
                called = cast("Callable[..., object]", value)
                return ["code", fingerprint(called, digester=self.digest_constant).digest]
            case _:
                found = self._find(value)
                if found is None:
                    return None
                return [found.format, content_of(found, value), *self._code_of(type(value))]

    def _code_of(self, kind: type) -> tuple[str, ...]:
        """Return the digest of a class of the user's own: its methods act on the content."""
        if origin_of_module(kind.__module__) != "project":
            return ()
        if kind not in self._kinds:
            self._kinds[kind] = fingerprint(kind, digester=self.digest_constant).digest
        return (self._kinds[kind],)

    def _find(self, value: object) -> Materialiser | None:
        candidates = (*self._own, *registered(), *STANDARD)
        return next((item for item in candidates if item.accepts(value)), None)

    def _reader(self, format_: str) -> Materialiser:
        for item in (*self._own, *registered(), *STANDARD):
            if item.format == format_:
                return item
        raise NotFound(
            f"nothing here reads values of format {format_!r}",
            code="no-materialiser",
            hint="Import the module that registers its materialiser, or install what it needs.",
        )


def _digest_path(path: Path) -> str:
    if not path.exists():
        raise NotFound(
            f"there is no file or folder {path.name!r}, which a step was given",
            code="no-file",
            hint="Check the path; a step is known by the content of the files it is given.",
        )
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    named = {item.relative_to(path.parent).as_posix(): item.read_bytes() for item in files}
    return digest_files(named)


def _unstorable(value: object, place: str) -> Invalid:
    kind = type(value)
    advice = _ADVICE.get((kind.__module__.partition(".")[0], kind.__name__))
    return Invalid(
        f"{place} is or holds a {kind.__module__}.{kind.__qualname__}, which has no materialiser",
        code="no-materialiser",
        hint=advice or _REGISTER.format(kind=kind.__name__),
        detail={"type": f"{kind.__module__}.{kind.__qualname__}"},
    )
