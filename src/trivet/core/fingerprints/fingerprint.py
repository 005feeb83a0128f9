"""Fingerprints of code: what a function does, as far as it can reach.

A fingerprint covers the function, every function and class of the user's own code that it refers
to, theirs in turn, the module constants they read, closures and default arguments, and the
versions of the installed distributions they touch. Comments, docstrings, formatting and the
decorators of functions do not count; what a decorator *made* does. Plain data counts by its
present value, so that a registry or a list that code fills counts with what is in it; a live
object (a logger, a connection) counts by the statement that made it.

In a process that lives on after its sources were edited, each function is compared with what
really runs; statements and the bodies of classes are read from the file as it is now.

What it cannot follow and can recognise is listed as `limits`: modules imported by a name that is
computed, text and files that are run as code, what is replaced while it runs, values that nothing
but their type tells apart. What it cannot even recognise: what libraries were set to within a
function, the user's code that an object of a library hides in native code, native code behind an
unchanged version, and files that are read without being arguments. For all of these there are
`depends=` and `version=`.
"""

import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from trivet.core.fingerprints.limits import Limit
from trivet.core.fingerprints.modules import origin_of_file, real_path
from trivet.core.fingerprints.stillness import Stillness
from trivet.core.fingerprints.walk import Digester, Walk, short
from trivet.core.ids import sha256_hex


class Fingerprint(msgspec.Struct, frozen=True):
    """The digest of all reachable code, and what went into it."""

    digest: str
    """SHA-256 over the parts."""
    parts: dict[str, str]
    """`module.name` of a function, class or constant to its digest; `package name` to a version."""
    limits: tuple[Limit, ...] = ()
    """What could not be followed."""


def fingerprint(
    function: Callable[..., object],
    *,
    depends: Iterable[object] = (),
    version: str = "",
    digester: Digester | None = None,
    folder: Path | None = None,
) -> Fingerprint:
    """Digest a function together with everything it can reach.

    Args:
        function: The function. One that a decorator wrapped is followed to the original, and to
            the `__depends__` that the decorator left on it.
        depends: What it depends on without naming it: functions, classes, modules, plain values,
            or paths of files and folders (by content).
        version: Any text; another text is another fingerprint.
        digester: Lets frames and arrays that are reached as constants count by their content.
        folder: From where relative paths in `depends` count; the current one when omitted.

    Raises:
        NotFound: A path in `depends`, or in that of a step inside, points at nothing (code
            `no-dependency`).
    """
    return watched_fingerprint(
        function, depends=depends, version=version, digester=digester, folder=folder
    )[0]


def watched_fingerprint(
    function: Callable[..., object],
    *,
    depends: Iterable[object] = (),
    version: str = "",
    digester: Digester | None = None,
    folder: Path | None = None,
) -> tuple[Fingerprint, Stillness]:
    """Digest a function as `fingerprint` does; return also whether that lasts in this process."""
    walk = Walk(_home_of(function), folder or Path(), digester)
    walk.parts["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    walk.parts["version"] = version
    walk.parts["root"] = walk.token(function)
    of = str(getattr(function, "__name__", "the function"))
    for number, item in enumerate(depends):
        walk.parts[f"depends[{number}]"] = short(walk.dependency(item, of))
    walk.finish()
    parts = dict(sorted(walk.parts.items()))
    digest = sha256_hex(*(f"{name}\0{value}".encode() for name, value in parts.items()))
    return Fingerprint(digest, parts, tuple(sorted(walk.limits))), walk.stillness


def _home_of(function: object) -> str:
    """Return the folder that counts as the user's although it was installed: the function's own.

    Empty for code that is the user's anyway.
    """
    function = inspect.unwrap(cast("Any", function))
    if not isinstance(function, types.FunctionType):
        return ""
    file = function.__code__.co_filename
    if origin_of_file(file) != "package":
        return ""
    path = Path(real_path(file))
    return str(path) if path.parent.name.endswith("-packages") else f"{path.parent}{os.sep}"
