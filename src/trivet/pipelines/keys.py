"""Keys: by what a call of a step is known, and a value that was kept under one."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.fingerprint import Fingerprint
from trivet.core.ids import sha256_hex
from trivet.pipelines.context import Definition
from trivet.pipelines.environments import environment_of, with_environment
from trivet.pipelines.memo import Known, Memo
from trivet.pipelines.sameness import fingerprint_of
from trivet.pipelines.values import Values

_SHOWN_CHARACTERS = 200
_PLAIN = (type(None), bool, int, float, str)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step as it is looked up."""

    definition: Definition
    key: str
    code: Fingerprint
    arguments: dict[str, str]
    """Content digests by parameter."""
    shown: dict[str, str]
    """Short plain arguments as a person reads them."""


class Keys:
    """Computes the keys of calls; each function's code is looked at once per run."""

    def __init__(self, values: Values, folder: Path) -> None:
        self._values = values
        self._folder = folder
        self._codes: dict[int, tuple[object, Fingerprint]] = {}

    def ask(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Ask:
        """Compute the key of a call.

        Raises:
            Invalid: An argument has no content that could be known, or does not fit the function.
        """
        bound = bind(definition, args, kwargs)
        arguments = {
            name: self._values.digest(value, f"argument {name!r} of step {definition.name!r}")
            for name, value in bound.items()
        }
        code = self.code(definition)
        parts = [code.digest, definition.name, *(f"{n}={d}" for n, d in arguments.items())]
        key = sha256_hex(*(part.encode() for part in parts))
        shown = {name: text for name, value in bound.items() if (text := _show(value)) is not None}
        return Ask(definition=definition, key=key, code=code, arguments=arguments, shown=shown)

    def code(self, definition: Definition) -> Fingerprint:
        """Return the fingerprint of a step's reachable code, and of its environment."""
        function = definition.function
        if id(function) not in self._codes:
            found = fingerprint_of(definition, self._values)
            environment = environment_of(definition, self._folder)
            self._codes[id(function)] = (function, with_environment(found, environment))
        return self._codes[id(function)][1]


class Recalled(msgspec.Struct, frozen=True):
    """A value that was kept, and where it came from."""

    known: Known
    value: object


def recall(memo: Memo, values: Values, known: Known | None) -> Recalled | None:
    """Return a value that was kept.

    None when nothing was, when its bytes were removed, or when nothing here reads its format any
    more: then it is made again.

    Raises:
        Corrupt: The bytes are not what was kept.
    """
    form = memo.load(known.done) if known else None
    if known is None or form is None:
        return None
    try:
        return Recalled(known, values.load(form))
    except NotFound:
        return None


def bind(
    definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Return a call's arguments by parameter, defaults included.

    Raises:
        Invalid: They do not fit the function's signature.
    """
    signature = _signature(definition.function)
    if signature is None:
        return {"args": args, **kwargs}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Invalid(
            f"step {definition.name!r} cannot be called so: {error}",
            code="bad-call",
            hint=f"Its signature is {definition.name}{signature}.",
        ) from error
    bound.apply_defaults()
    return bound.arguments


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., object]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):  # some built-in functions have none
        return None


def _show(value: object) -> str | None:
    """Return a short plain value as text, None when it is long or of another kind."""
    if type(value) not in _PLAIN or (type(value) is str and len(value) > _SHOWN_CHARACTERS):
        return None
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else None
