"""Keys: by what a call of a step is known, and a value that was kept under one."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.fingerprints.fingerprint import Fingerprint
from trivet.core.fingerprints.stillness import Stillness
from trivet.core.ids import sha256_hex
from trivet.pipelines.context import Definition
from trivet.pipelines.explaining.showing import show_arguments
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.memo import Known, Memo
from trivet.pipelines.workers.environments import environment_of, with_environment
from trivet.pipelines.workers.sameness import watched_code


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step as it is looked up."""

    definition: Definition
    key: str
    code: Fingerprint
    arguments: dict[str, str]
    """Content digests by parameter."""
    shown: dict[str, str]
    """The arguments in a few words each."""
    bound: dict[str, object]
    """The arguments by parameter, defaults included."""
    takes: tuple[str, ...] = ()
    """Content digests of the first items of arguments that hold several values."""

    @property
    def depends_on(self) -> tuple[object, ...]:
        """The arguments and what was declared beside them: whatever the key covers."""
        return (*self.bound.values(), *self.definition.depends)


class Keys:
    """Computes the keys of calls; each function's code is looked at once per run.

    Unless the flow changes what it reads: then it is looked at again.
    """

    def __init__(self, values: Values, folder: Path) -> None:
        self._values = values
        self._folder = folder
        self._codes: dict[int, tuple[object, Fingerprint, Stillness]] = {}

    def ask(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Ask:
        """Compute the key of a call.

        Raises:
            Invalid: An argument has no content that could be known, or does not fit the function.
            NotFound: A path among the arguments or in `depends=` points at nothing.
        """
        bound = bind(definition, args, kwargs)
        reader = reader_of(definition)
        contents = {
            name: self._values.contents(
                value, f"argument {name!r} of step {definition.name!r}", reader
            )
            for name, value in bound.items()
        }
        arguments = {name: content.digest for name, content in contents.items()}
        takes = tuple(item for content in contents.values() for item in content.items)
        code = self.code(definition)
        parts = [code.digest, definition.name, *(f"{n}={d}" for n, d in arguments.items())]
        key = sha256_hex(*(part.encode() for part in parts))
        return Ask(
            definition=definition,
            key=key,
            code=code,
            arguments=arguments,
            shown=show_arguments(bound),
            bound=bound,
            takes=takes,
        )

    def code(self, definition: Definition) -> Fingerprint:
        """Return the fingerprint of a step's reachable code, and of its environment."""
        known = self._codes.get(id(definition))
        if known is not None and known[2].lasts():
            return known[1]
        found, stillness = watched_code(definition, self._values, self._folder)
        code = with_environment(found, environment_of(definition, self._folder))
        self._codes[id(definition)] = (definition, code, stillness)
        return code


class Recalled(msgspec.Struct, frozen=True):
    """A value that was kept, and where it came from."""

    known: Known
    value: object


def recall(
    memo: Memo, values: Values, known: Known | None, definition: Definition
) -> Recalled | None:
    """Return a value that was kept, for a step of this definition.

    None when nothing was, when its bytes were removed, when nothing here reads its format any
    more, or when it is a pickle that the step does not consent to: then it is made again.

    Raises:
        Corrupt: The bytes are not what was kept.
    """
    form = memo.load(known.done) if known else None
    if known is None or form is None:
        return None
    try:
        return Recalled(known, values.load(form, reader_of(definition)))
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
