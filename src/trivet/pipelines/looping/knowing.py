"""By what a search is known: the code of its objective, and the content of all data that it holds.

Frames and arrays in a closure, a default argument, a partial function or an object count by their
content, however deep they lie: with other data it is another search, and trials that were made on
one table are never taken for those on another. Where that cannot be known, it is refused or said.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from trivet.core.errors import Invalid
from trivet.core.fingerprints.fingerprint import fingerprint
from trivet.core.ids import sha256_hex
from trivet.pipelines.materialisers import is_instance
from trivet.pipelines.materialising.values import Values

_log = logging.getLogger("trivet.pipelines")
_lock = threading.Lock()
_told: set[tuple[str, str]] = set()
_VALUES: Final = Values()


def key_of(
    name: str, functions: Sequence[Callable[..., Any] | None], parts: object, *, is_kept: bool
) -> str:
    """Digest what makes a search this one and no other.

    Args:
        name: What people call the search.
        functions: Whatever code it runs.
        parts: What else tells it apart, as plain values.
        is_kept: Whether its trials outlive the process, so that somebody may come back to them.

    Raises:
        Invalid: It is kept, and a function holds a query whose result nobody has seen.
    """
    found = [
        fingerprint(function, digester=_content if is_kept else _VALUES.digest_constant)
        for function in functions
        if function is not None
    ]
    if is_kept:
        tell_unseen(name, (limit.text for one in found for limit in one.limits))
    code = [one.digest for one in found]
    return sha256_hex(msgspec.json.encode((code, name, parts), order="deterministic"))


def tell_unseen(name: str, texts: Iterable[str]) -> None:
    """Say what may change without its being another search, each once in a process."""
    for text in texts:
        with _lock:
            is_new = (name, text) not in _told
            _told.add((name, text))
        if is_new:
            _log.warning(
                "search %r does not see when this changes, and goes on with the trials it has: %s. "
                "Pass another name= then",
                name,
                text,
            )


def _content(value: object) -> str | None:
    """Digest a value that the objective holds by its content, None when nobody knows it."""
    if is_instance(value, "polars", "LazyFrame"):
        raise Invalid(
            "the objective holds a LazyFrame, whose content is not known before it is collected",
            code="unknown-content",
            hint="Collect it before the search: frame.collect().",
        )
    return _VALUES.digest_constant(value) or _content_of_objects(value)


def _content_of_objects(value: object) -> str | None:
    """Digest an array of Python objects, such as texts, by what they are."""
    if not is_instance(value, "numpy", "ndarray"):
        return None
    array = cast("Any", value)
    try:
        return _VALUES.digest([str(array.dtype), list(array.shape), array.ravel().tolist()], "it")
    except Invalid:
        return None
