"""The `Listing` of folders: those of the project, and those that its settings allow."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.ports import Listed


class FileListing:
    """Lists folders of this machine.

    Args:
        root: The project's folder: where relative places begin.
        allowed: Further folders, absolute, below which places may lie.
    """

    def __init__(self, root: Path, allowed: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        self._allowed = (self._root, *(folder.resolve() for folder in allowed))

    def list(self, place: str, *, deep: bool = True) -> Iterator[Listed]:
        # Resolved first: a link must not lead where a name may not.
        path = (self._root / place).resolve()
        if not any(path.is_relative_to(folder) for folder in self._allowed):
            raise Invalid(
                f"place {place!r} lies outside the project",
                code="bad-place",
                hint="Allow its folder in trivet.toml: [triggers] folders = [...].",
            )
        if path.is_file():
            return _describe(os.scandir(path.parent), path.name, "")
        if not path.is_dir():
            raise NotFound(
                f"there is no folder or file {place!r}",
                code="no-folder",
                hint="Make the folder first; paths begin in the project's folder.",
            )
        return _walk(path, "", place, deep=deep)


def _walk(folder: Path, prefix: str, place: str, *, deep: bool) -> Iterator[Listed]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return  # it went away meanwhile
    except OSError as error:
        raise Unavailable(
            f"a folder of {place!r} cannot be listed: {error.strerror}",
            code="no-listing",
            hint="Make it readable for whoever runs `trivet up`.",
        ) from error
    yield from _describe(entries, None, prefix)
    for entry in entries if deep else ():
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{prefix}{_text(entry.name)}/", place, deep=True)


def _describe(
    entries: "Iterable[os.DirEntry[str]]", wanted: str | None, prefix: str
) -> Iterator[Listed]:
    for entry in entries:
        if entry.name.startswith(".") if wanted is None else entry.name != wanted:
            continue
        try:
            if not entry.is_file(follow_symlinks=False):
                continue
            state = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # it went away meanwhile
        yield Listed(f"{prefix}{_text(entry.name)}", state.st_size, str(state.st_mtime_ns))


def _text(name: str) -> str:
    """Return a file's name as text that can be written down, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
