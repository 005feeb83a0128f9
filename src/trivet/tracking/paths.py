"""The paths of artifacts: which texts name a file, and nothing else than a file.

A path comes from anywhere and is joined to folders on other people's machines when artifacts are
downloaded. So it is one relative path on every system, or it is refused.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final
from unicodedata import category
from urllib.parse import unquote

from trivet.core.errors import Invalid

_MAX_NAME_BYTES: Final = 255
_MAX_PATH_BYTES: Final = 4096
_MAX_DEPTH: Final = 100
_MAX_ROUNDS: Final = 10
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_path(path: str, *, is_folder: bool = False) -> str:
    """Return a path in the one form in which it is kept.

    Percent-encoding is decoded, as often as it was applied; Unicode stays as it is, and so do
    upper and lower case.

    Args:
        path: Names with `/` between them.
        is_folder: Whether it may be empty, which is the uppermost folder, and end with `/`.

    Raises:
        Invalid: It is absolute, has an empty name, `.`, `..`, a backslash, a drive letter, `#`, a
            control character, or a name of more than 255 bytes of UTF-8.
    """
    plain = _decoded(path)
    if is_folder:
        plain = plain.removesuffix("/")
        if not plain:
            return plain
    problems = (problem for problem, is_so in _PROBLEMS.items() if is_so(plain))
    for problem in problems:
        raise _invalid(problem)
    return plain


def folders_of(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, the uppermost first."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def _decoded(path: str) -> str:
    for _ in range(_MAX_ROUNDS):
        try:
            plain = unquote(path, errors="strict")
        except UnicodeDecodeError:
            raise _invalid("has percent-encoded bytes that are no UTF-8") from None
        if plain == path:
            return plain
        path = plain
    raise _invalid("is percent-encoded again and again")


_PROBLEMS: Final[dict[str, Callable[[str], object]]] = {
    "is absolute": lambda path: path.startswith("/"),
    "has a backslash": lambda path: "\\" in path,
    "has a drive letter": _DRIVE.match,
    "has a '#'": lambda path: "#" in path,
    "has a name that is empty, '.' or '..'": lambda path: (
        not {"", ".", ".."}.isdisjoint(path.split("/"))
    ),
    "has a control character": lambda path: any(category(x) in {"Cc", "Cs"} for x in path),
    f"has more than {_MAX_DEPTH} names": lambda path: path.count("/") >= _MAX_DEPTH,
    f"has more than {_MAX_PATH_BYTES} bytes": lambda path: len(path.encode()) > _MAX_PATH_BYTES,
    f"has a name of more than {_MAX_NAME_BYTES} bytes": lambda path: any(
        len(name.encode()) > _MAX_NAME_BYTES for name in path.split("/")
    ),
}
"""What a path may not be; looked at in this order, so that the last ones meet only text."""


def _invalid(problem: str) -> Invalid:
    return Invalid(
        f"Invalid path: it {problem}; expected a relative path with '/' between its names",
        code="bad-path",
        hint="Pass a path such as 'plots/loss.png'.",
    )
