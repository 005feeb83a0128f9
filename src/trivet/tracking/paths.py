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
_NO_TEXT: Final = "\ufffd"
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_path(path: str, *, is_folder: bool = False) -> str:
    """Return a path in the one form in which it is kept.

    Percent-encoding is decoded, as often as it was applied, unless what comes out is no text;
    Unicode stays as it is, and so do upper and lower case.

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


def without_dots(folder: str) -> str:
    """Return a folder's path without the names `.` in it: `./a/.` is `a`, and `.` the uppermost."""
    return "/".join(name for name in folder.split("/") if name != ".")


def folders_of(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, the uppermost first."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def _decoded(path: str) -> str:
    """Undo percent-encoding as often as it was applied.

    Names may hold percent signs of their own, as those of pictures of MLflow's older clients do:
    what would become no text is left as it is. Where anything that somebody could decode leads
    elsewhere, it is refused all the same.
    """
    kept, is_text = path, True
    for _ in range(_MAX_ROUNDS):
        plain = unquote(path, errors="replace")
        if plain == path:
            return kept
        for problem, is_so in _LEADS_ELSEWHERE.items():
            if is_so(plain):
                raise _invalid(problem)
        is_text = is_text and _is_text(plain, path)
        if is_text:
            kept = plain
        path = plain
    raise _invalid("is percent-encoded again and again")


def _is_text(plain: str, before: str) -> bool:
    """Say whether decoding has brought out text and nothing else."""
    if plain.count(_NO_TEXT) > before.count(_NO_TEXT):
        return False
    return not any(category(each) in {"Cc", "Cs"} for each in plain)


_LEADS_ELSEWHERE: Final[dict[str, Callable[[str], object]]] = {
    "is absolute": lambda path: path.startswith("/"),
    "has a backslash": lambda path: "\\" in path,
    "has a drive letter": _DRIVE.match,
    "has a name that is '.' or '..'": lambda path: not {".", ".."}.isdisjoint(path.split("/")),
}
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
