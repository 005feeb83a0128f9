"""Values of steps: how they are kept, and by what they are known.

A value is kept as a file tree: plain values as one JSON file, everything else by a materialiser;
containers of both, and values made of parts, as JSON with the files of the parts beside it. Nothing
is pickled but what a step consents to.
"""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import PurePath
from typing import cast

import msgspec

from trivet.core.errors import Corrupt, Invalid, NotFound, Unsupported
from trivet.core.fingerprints.fingerprint import fingerprint
from trivet.core.fingerprints.modules import origin_of_module
from trivet.core.ids import sha256_hex
from trivet.core.trees import Content
from trivet.pipelines.inputs import DataInput, InputFile, TableInput
from trivet.pipelines.materialisers import (
    Kept,
    Materialiser,
    content_of,
    digest_files,
    libraries_of,
    read_with,
    registered,
)
from trivet.pipelines.materialising import pickling
from trivet.pipelines.materialising.readers import LOOKING, STRANGER, Reader
from trivet.pipelines.materialising.records import CLASS, FORMATS
from trivet.pipelines.materialising.standard import (
    LEAVES,
    Made,
    advice_for,
    put_made,
    take_made,
)
from trivet.pipelines.materialising.structure import NoForm, put_together, take_apart

_PLAIN = "json"
_COMPOSITE = "composite"
_TEXT = "value.json"
_ITEMS = 8

_REGISTER = (
    "Return plain values, frames, arrays, bytes, paths, or dataclasses of your project; register a "
    "materialiser for the type (trivet.pipelines.materialisers.register); or consent to pickle: "
    "@step(pickle=True)."
)


class Form(msgspec.Struct, frozen=True):
    """A value as it is kept: files by path, and what can read them."""

    format: str
    files: Mapping[str, Content]


class Contents(msgspec.Struct, frozen=True):
    """By what a value is known, and its first items when it holds several."""

    digest: str
    items: tuple[str, ...] = ()


class Values:
    """Stores, restores and recognises values.

    Args:
        materialisers: What a room adds, asked before what was registered and what is standard.
    """

    def __init__(self, materialisers: Sequence[Materialiser] = ()) -> None:
        self._own = tuple(materialisers)

    def save(self, value: object, place: str, reader: Reader = STRANGER) -> Form:
        """Return a value's files.

        Args:
            value: The value.
            place: What it is, for the error: `what step 'train' returned`.
            reader: What the step that stores it consents to.

        Raises:
            Invalid: No materialiser accepts it, or a part of it (code `no-materialiser`).
        """
        try:
            return self._form(value, reader)
        except NoForm as error:
            if reader.pickle:
                return Form(pickling.FORMAT, _pickled(value, place, error))
            raise _unstorable(error, place) from error
        except Unsupported as error:  # it has a materialiser, which cannot express this one
            if reader.pickle:
                reason = NoForm(value, error.message, error.hint)
                return Form(pickling.FORMAT, _pickled(value, place, reason))
            error.add_note(f"in {place}")
            raise

    def save_leaf(self, value: object) -> Form | None:
        """Return the files of a value that has a materialiser of its own, None for all others."""
        found = self._find(value)
        return None if found is None else Form(found.format, dict(found.save(value)))

    def load(self, form: Form, reader: Reader = STRANGER) -> object:
        """Return the value again: equal, and of the same type.

        Args:
            form: The files.
            reader: What the step or flow that gets it consents to.

        Raises:
            NotFound: Nothing here reads the format, its library or class is not there, or it is
                a pickle and the reader did not consent.
            Corrupt: The files do not hold a value.
        """
        try:
            return self._load(form, reader)
        except ImportError as error:
            raise NotFound(
                f"a value of format {form.format!r} needs {error.name or 'a library'}, which "
                "cannot be imported",
                code="no-materialiser",
                hint=f"Install it: pip install {error.name}." if error.name else "",
            ) from error

    def digest(self, value: object, place: str, reader: Reader = STRANGER) -> str:
        """Digest a value by its content, as the argument of a step.

        Besides what can be stored: data sets and files count by what is in them, paths by the
        file or folder they point at, functions and classes by their code. A record counts by its
        fields and by the code of its class, whose methods the step may call.

        Args:
            value: The value.
            place: What it is, for the error.
            reader: What the step that takes it consents to.

        Raises:
            Invalid: It has no content that could be known (code `no-materialiser`).
            NotFound: A path points at nothing.
        """
        return self.contents(value, place, reader).digest

    def contents(
        self, value: object, place: str, reader: Reader = STRANGER, *, of_result: bool = False
    ) -> Contents:
        """Digest a value as `digest` does, and the first items of a list, tuple or mapping.

        A leaf, such as a frame, is read once for both.

        Args:
            value: The value.
            place: What it is, for the error.
            reader: What the step that takes it consents to.
            of_result: Leave out items by which nobody can tell where a value comes from: whole
                numbers and texts, which other values hold as well.

        Raises:
            Invalid: As `digest`.
            NotFound: As `digest`.
        """
        # With the leaf itself: one that lived for the moment would leave its id to the next.
        known: dict[int, tuple[object, object | None]] = {}
        kinds: dict[type, str] = {}

        def leaf_digest(leaf: object) -> object | None:
            if id(leaf) not in known:
                known[id(leaf)] = (leaf, self._leaf_digest(leaf, kinds))
            return known[id(leaf)][1]

        def look(part: object) -> Made | None:
            return self._look(part, kinds)

        def digest(part: object) -> str:
            return sha256_hex(take_apart(part, leaf_digest, look).encode())

        common = _COMMON | {int, str} if of_result else _COMMON
        try:
            items = tuple(digest(item) for item in _first_items(value, common))
            return Contents(digest(value), items)
        except NoForm as error:
            if reader.pickle:
                return Contents(digest_files(_pickled(value, place, error)))
            raise _unstorable(error, place) from error
        except Unsupported as error:
            if reader.pickle:
                reason = NoForm(value, error.message)
                return Contents(digest_files(_pickled(value, place, reason)))
            error.add_note(f"in {place}")
            raise

    def digest_constant(self, value: object) -> str | None:
        """Digest a value of a library's type by its content, None when nothing accepts it."""
        if isinstance(value, InputFile | DataInput | TableInput):
            return value.content
        if isinstance(value, PurePath):
            return None  # a constant path is where something is, not what is there
        try:
            found = self._find(value)
            if found is not None:
                return content_of(found, value)
            made = take_made(value, STRANGER) if type(value) not in _CONTAINERS else None
            if made is None or made.format in FORMATS:
                return None
            kinds: dict[type, str] = {}
            text = take_apart(value, lambda leaf: self._leaf_digest(leaf, kinds), _take_looking)
            return sha256_hex(text.encode())
        except (NoForm, Unsupported):
            return None

    def _look(self, part: object, kinds: dict[type, str]) -> Made | None:
        """Take a record apart to be recognised: by its fields and the code of its class."""
        made = take_made(part, LOOKING)
        if made is None or made.format not in FORMATS:
            return made
        named = [made.parts[CLASS], self._class_digest(type(part), kinds)]
        return Made(made.format, {**made.parts, CLASS: named})

    def _class_digest(self, kind: type, known: dict[type, str]) -> str:
        if kind not in known:
            known[kind] = fingerprint(kind, digester=self.digest_constant).digest
        return known[kind]

    def _form(self, value: object, reader: Reader) -> Form:
        whole = self._find(value)
        if whole is not None:
            return Form(whole.format, dict(whole.save(value)))
        files: dict[str, Content] = {}
        numbers = count()
        top: list[str] = []

        def take_leaf(part: object) -> object | None:
            found = self._find(part)
            if found is None:
                return None
            number = str(next(numbers))
            files.update({f"{number}/{path}": data for path, data in found.save(part).items()})
            return [number, found.format]

        def make(part: object) -> Made | None:
            made = take_made(part, reader)
            if made is not None and part is value:
                top.append(made.format)
            return made

        text = take_apart(value, take_leaf, make).encode()
        format_ = top[0] if top else _COMPOSITE if files else _PLAIN
        return Form(format_, {_TEXT: text, **files})

    def _load(self, form: Form, reader: Reader) -> object:
        if form.format == pickling.FORMAT:
            if not reader.pickle:
                raise NotFound(
                    "the value is a pickle, and whoever reads it has not consented to run what is "
                    "in it",
                    code="no-consent",
                    hint="Say @step(pickle=True) above the step that returns it, "
                    "or pass pickle=True to read it.",
                )
            return pickling.load(Kept(form.files))
        item = self._reader(form.format)
        if item is not None:
            return read_with(item, Kept(form.files))

        def leaf(name: object) -> object:
            number, format_ = cast("list[str]", name)
            found = self._reader(format_)
            if found is None:
                raise _no_reader(format_)
            return read_with(found, Kept(form.files, f"{number}/"))

        if form.format not in {_PLAIN, _COMPOSITE} and _TEXT not in form.files:
            raise _no_reader(form.format)
        if _TEXT not in form.files:
            raise Corrupt(f"a stored value has no {_TEXT}", hint="Run `trivet fsck`.")
        text = Kept(form.files)[_TEXT]
        return put_together(text, leaf, lambda name, parts: put_made(name, parts, reader))

    def _leaf_digest(self, value: object, kinds: dict[type, str]) -> object | None:
        match value:
            case InputFile() | DataInput() | TableInput():
                return ["input", value.content]
            case types.FunctionType() | types.MethodType() | type():
                called = cast("Callable[..., object]", value)
                return ["code", fingerprint(called, digester=self.digest_constant).digest]
            case _:
                found = self._find(value)
                if found is None:
                    return None
                return [found.format, content_of(found, value), *self._code_of(type(value), kinds)]

    def _code_of(self, kind: type, kinds: dict[type, str]) -> tuple[str, ...]:
        """Return the digest of a class of the user's own: its methods act on the content."""
        is_own = origin_of_module(kind.__module__) == "project"
        return (self._class_digest(kind, kinds),) if is_own else ()

    def _find(self, value: object) -> Materialiser | None:
        libraries = libraries_of(type(value))
        for item in (*self._own, *registered(), *LEAVES):
            if (not item.library or item.library in libraries) and item.accepts(value):
                return item
        return None

    def _reader(self, format_: str) -> Materialiser | None:
        for item in (*self._own, *registered(), *LEAVES):
            if item.format == format_:
                return item
        return None


_COMMON: frozenset[type] = frozenset({bool, type(None)})
_CONTAINERS = {list, tuple, dict, set, frozenset}


def _first_items(value: object, common: frozenset[type]) -> Iterable[object]:
    if type(value) not in {list, tuple, dict}:
        return ()
    several = cast("Mapping[object, object] | Sequence[object]", value)
    items = several.values() if isinstance(several, Mapping) else several
    return islice((item for item in items if type(item) not in common), _ITEMS)


def _take_looking(value: object) -> Made | None:
    return take_made(value, LOOKING)


def _pickled(value: object, place: str, reason: NoForm) -> Mapping[str, bytes]:
    try:
        return pickling.dump(value)
    except Exception as error:
        refused = _unstorable(reason, place)
        refused.message += f", and cannot be pickled: {type(error).__name__}: {error}"
        refused.args = (refused.message,)
        raise refused from error


def _no_reader(format_: str) -> NotFound:
    return NotFound(
        f"nothing here reads values of format {format_!r}",
        code="no-materialiser",
        hint="Import the module that registers its materialiser, or install what it needs.",
    )


def _unstorable(error: NoForm, place: str) -> Invalid:
    kind = f"{type(error.value).__module__}.{type(error.value).__qualname__}"
    where = "".join(error.place)
    what = f"holds a {kind} at result{where}" if where else f"is a {kind}"
    why = f"; {error.reason}" if error.reason else ""
    return Invalid(
        f"{place} {what}, which has no materialiser{why}",
        code="no-materialiser",
        hint=error.advice or advice_for(error.value) or _REGISTER,
        detail={"type": kind, "place": where},
    )
