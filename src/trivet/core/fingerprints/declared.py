"""Files and folders that a user names in `depends=`: they count by their content."""

import hashlib
import os
from pathlib import Path

from trivet.core.errors import NotFound


def digest_path(path: Path, named: Path, of: str) -> str:
    """Digest the content of a file, or of all files in a folder.

    Args:
        path: Where it is.
        named: As the user wrote it.
        of: Whose dependency it is, for the error.

    Raises:
        NotFound: There is nothing (code `no-dependency`).
    """
    if path.is_dir():
        inner = sorted(one for one in path.rglob("*") if one.is_file())
        return str([(one.relative_to(path).as_posix(), digest_file(one)) for one in inner])
    if path.is_file():
        return digest_file(path)
    raise NotFound(
        f"depends= of {of} names the path {str(named)!r}, and there is no file or folder at {path}",
        code="no-dependency",
        hint="Correct the path, which counts from the project's folder, or make the file before "
        "the step is called.",
        detail={"path": str(path)},
    )


def digest_file(path: Path) -> str:
    """Digest the content of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_of_path(path: object) -> str | None:
    """Tell a file's or folder's state apart without reading the content; None: nothing is there."""
    if not isinstance(path, Path) or not path.exists():
        return None
    inner = sorted(path.rglob("*")) if path.is_dir() else [path]
    return str([(str(one), *_stamp(one)) for one in inner])


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        state = path.stat()
    except OSError:  # a link to nothing, or gone since
        return ()
    return (state.st_mtime_ns, state.st_size, state.st_ino)


def names_file(text: str, folder: Path) -> bool:
    """Say whether a text is the name of an existing file."""
    is_name = 0 < len(text) < 1000 and text.isprintable()
    return is_name and os.path.isfile(folder / text)  # noqa: PTH113  # a Path may raise
