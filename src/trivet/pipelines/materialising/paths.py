"""A path that a step returns stands for its file or folder: the content is kept.

It comes back as the path of a read-only copy that lives as long as the process, under the name
that it had. Permissions, times and empty folders are not kept; links are refused.
"""

import atexit
import shutil
import stat
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from trivet.core.errors import Invalid, NotFound
from trivet.core.trees import Content, split_path
from trivet.pipelines.materialisers import Files, Materialiser, digest_files, open_file

_KIND: Final = "kind"
_STORE: Final = ".trivet"
_numbers = count(1)
_folders: list[TemporaryDirectory[str]] = []
"""The one folder that holds all copies of this process; made with the first, gone with it."""


class DiskFile:
    """A file that is read when its bytes are stored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> BinaryIO:
        """Open it."""
        return self._path.open("rb")


def files_at(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file at a path that is kept: where it lies from the path's folder on, and itself.

    Raises:
        NotFound: There is nothing.
        Invalid: A link or a device lies there, or the folder holds Trivet's own store.
    """
    if path.is_symlink() or path.is_file():
        yield _plain(path, path.name), path
        return
    if not path.is_dir():
        raise _nothing(path)
    if not path.name or (path / _STORE).exists():
        raise Invalid(
            f"the folder {path.name!r} is a project or a whole disk; expected files of your own",
            code="bad-path",
            hint="Write what the step makes into a folder of its own, and return that.",
        )
    yield from ((f"{path.name}/{below}", file) for below, file in _below(path))


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from ((f"{entry.name}/{below}", file) for below, file in _below(entry))
        else:
            yield _plain(entry, entry.name), entry


def _plain(path: Path, name: str) -> str:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Invalid(
            f"{path.name!r} is a link or a device; expected plain files and folders",
            code="not-a-file",
            hint="Return the path it points at: path.resolve().",
        )
    return "/".join(split_path(name))


def digest_path(path: Path) -> str:
    """Digest the file or folder at a path by names and contents; links are followed.

    Raises:
        NotFound: There is nothing.
    """
    if not path.exists():
        raise _nothing(path)
    found = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    return digest_files(
        {item.relative_to(path.parent).as_posix(): DiskFile(item) for item in found}
    )


def _nothing(path: Path) -> NotFound:
    return NotFound(
        f"there is no file or folder {path.name!r}",
        code="no-file",
        hint="Check the path: it stands for what it points to. Pass str(path) for the text alone.",
    )


def _save(path: Path) -> Mapping[str, Content]:
    path = path.absolute()
    kind = b"folder" if path.is_dir() else b"file"
    content: dict[str, Content] = {
        f"content/{name}": DiskFile(file) for name, file in files_at(path)
    }
    return {_KIND: kind + b"\n" + path.name.encode(), **content}


def _load(files: Files) -> object:
    kind, _, name = files[_KIND].decode().partition("\n")
    split_path(name)
    if not _folders:
        _folders.append(TemporaryDirectory(prefix="trivet-"))
        atexit.register(_folders[0].cleanup)
    home = Path(_folders[0].name) / str(next(_numbers))
    home.mkdir(mode=0o700)
    if kind == "folder":
        (home / name).mkdir()
    for path in files:
        if path.startswith("content/"):
            _write(files, path, home.joinpath(*split_path(path)[1:]))
    for folder in sorted((item for item in home.rglob("*") if item.is_dir()), reverse=True):
        folder.chmod(0o500)
    return home / name


def _write(files: Files, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_file(files, path) as kept, target.open("xb") as copy:
        shutil.copyfileobj(kept, copy, 1 << 20)
    target.chmod(0o400)


PATHS = Materialiser(
    format="path",
    library="pathlib",
    accepts=lambda value: isinstance(value, Path),
    save=_save,
    load=_load,
    digest=digest_path,
)
