"""Whether a worker has the code that a run computed a step's key from.

With the same packages on both sides the fingerprints must agree, but for the versions of packages.
In an environment of a step's own even the names of what a package gives differ; there the user's
functions must compile to the same, and module constants of plain types be equal.
"""

import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType

from trivet.core.errors import Invalid
from trivet.core.fingerprints.fingerprint import Fingerprint, watched_fingerprint
from trivet.core.fingerprints.reach import bytecode
from trivet.core.fingerprints.stillness import Stillness
from trivet.core.ids import sha256_hex
from trivet.pipelines.context import Definition
from trivet.pipelines.materialising.values import Values

_PLAIN = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset)


def watched_code(
    definition: Definition, values: Values, folder: Path
) -> tuple[Fingerprint, Stillness]:
    """Compute the fingerprint of a step's reachable code; return also whether it lasts.

    Args:
        definition: The step.
        values: How constants are digested.
        folder: The project's, from where relative paths in `depends=` count.

    Raises:
        NotFound: A path in `depends=` points at nothing.
    """
    return watched_fingerprint(
        definition.function,
        depends=definition.depends,
        version=definition.version,
        digester=values.digest_constant,
        folder=folder,
    )


def own_code(code: Fingerprint) -> dict[str, str]:
    """Return the parts of a fingerprint that are the user's own code."""
    return {
        name: digest
        for name, digest in code.parts.items()
        if name != "python" and not name.startswith(("package ", "environment "))
    }


def modules_in(code: Fingerprint) -> list[str]:
    """Return the modules that a fingerprint took whole, and that are loaded here."""
    ending = " (whole)"
    whole = (name.removesuffix(ending) for name in code.parts if name.endswith(ending))
    return [name for name in whole if name in sys.modules]


def digest_of_parts(parts: Mapping[str, str]) -> str:
    """Digest the parts of a fingerprint."""
    return sha256_hex(*(f"{name}\0{digest}".encode() for name, digest in sorted(parts.items())))


def loaded_code(names: Iterable[str], values: Values) -> dict[str, str]:
    """Digest functions and plain constants as they are in this process.

    Args:
        names: Parts of a fingerprint, `module.name`.
        values: How plain values are digested.

    Returns:
        A digest by name, of those that are loaded here.
    """
    found = {name: _digest(_look_up(name), values) for name in names}
    return {name: digest for name, digest in found.items() if digest}


def parts_that_differ(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return the names of parts that are not the same on both sides, sorted."""
    names = ours.keys() | theirs.keys()
    return sorted(name for name in names if ours.get(name) != theirs.get(name))


def _look_up(name: str) -> object | None:
    module, parts = name, list[str]()
    while module and module not in sys.modules:
        module, _, last = module.rpartition(".")
        parts.insert(0, last)
    found: object = sys.modules.get(module) if parts else None
    for part in parts:
        found = getattr(found, part, None)
    return found


def _digest(item: object, values: Values) -> str:
    if callable(item):
        plain = inspect.unwrap(item)
        return bytecode(plain.__code__) if isinstance(plain, FunctionType) else ""
    if item is None or type(item) not in _PLAIN:
        return ""
    try:
        return values.digest(item, "a constant")
    except Invalid:  # it holds what is not plain
        return ""
