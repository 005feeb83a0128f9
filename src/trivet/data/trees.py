"""File trees of data sets: folders on disk become trees in the blob store, and come back.

The trees themselves, their format and their digests are `core.trees`.
"""

import io
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from trivet.core import trees
from trivet.core.errors import Invalid, NotFound
from trivet.core.ids import new_id
from trivet.core.ports import Blobs
from trivet.data.facts import Tree


def store_tree(blobs: Blobs, source: Path | Mapping[str, bytes], name: str = "files") -> Tree:
    """Store a folder, a single file, or contents by relative path, and return the tree.

    Permissions, times and empty folders are not kept.

    Args:
        blobs: Where the bytes go; every blob is durable before the root is returned.
        source: A folder with all that is in it, a file (a tree of one), or a mapping of paths
            with forward slashes to contents.
        name: What the tree is called in its data set.

    Raises:
        NotFound: The path does not exist.
        Invalid: A link or a device lies in the folder, or a path is absolute, climbs with `..`,
            is not UTF-8, or names a file and a folder at once.
    """
    if isinstance(source, Path):
        # All names are checked before the first byte is written.
        paths = dict(_files_at(source))
        files = {path: _store_file(blobs, file) for path, file in paths.items()}
        stored = trees.join_tree(blobs, files)
    else:
        stored = trees.store_tree(blobs, source)
    return Tree(name=name, digest=stored.digest, files=stored.files, size_bytes=stored.size_bytes)


def checkout(blobs: Blobs, digest: str, folder: Path) -> int:
    """Write a tree's files into `folder`, which must not exist or be empty; return how many.

    The folder appears whole or not at all.

    Raises:
        Invalid: The folder holds something.
        NotFound: A blob is missing.
        Corrupt: Bytes do not match their digest.
    """
    if folder.is_symlink() or (folder.exists() and (folder.is_file() or any(folder.iterdir()))):
        raise Invalid(
            f"{folder.name!r} is not an empty folder; expected one, or a path that does not exist",
            code="folder-in-use",
            hint="Check out into a new folder.",
        )
    files = trees.read_tree(blobs, digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{new_id()}.part")
    part.mkdir(mode=0o700)
    try:
        for path, file in files.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with blobs.open(file.digest) as stored, target.open("xb") as written:
                shutil.copyfileobj(stored, written)
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(files)


def _files_at(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file's path inside the tree and where it lies."""
    if source.is_symlink():
        raise _not_plain(source.name)
    if source.is_file():
        yield _checked(source.name), source
        return
    if not source.is_dir():
        raise NotFound(
            f"there is no file or folder {source.name!r}",
            code="no-file",
            hint="Check the path; it is read from the folder the command runs in.",
        )
    waiting = [("", source)]
    while waiting:
        prefix, folder = waiting.pop()
        for entry in sorted(folder.iterdir()):
            path = prefix + entry.name
            kind = stat.S_IFMT(entry.lstat().st_mode)
            if kind == stat.S_IFDIR:
                waiting.append((f"{path}/", entry))
            elif kind == stat.S_IFREG:
                yield _checked(path), entry
            else:
                raise _not_plain(path)


def _checked(path: str) -> str:
    return "/".join(trees.split_path(path))


def _store_file(blobs: Blobs, path: Path) -> trees.StoredFile:
    with path.open("rb") as file:
        digest = blobs.put(file)
        # What was read, not what a later stat says: the file may grow meanwhile.
        return trees.StoredFile(digest, file.seek(0, io.SEEK_CUR))


def _not_plain(shown: str) -> Invalid:
    return Invalid(
        f"{shown!r} is a link or a device; expected plain files and folders",
        code="not-a-file",
        hint="Replace the link by the file it points at.",
    )
