"""The code of a run: the git commit with its dirty diff, and the sources themselves.

The sources are always stored, so a run can be read without its repository; git adds the history.
Whatever git does or fails to do, recording never fails a run.
"""

import difflib
import io
import os
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from trivet.core.errors import Invalid
from trivet.core.ports import Blobs
from trivet.core.trees import split_path, store_tree
from trivet.tracking.facts import CodeState

_SUFFIXES = (".py", ".pyi", ".toml", ".sql", ".md", ".yaml", ".yml", ".lock")
_NAMES = {"requirements.txt", "Makefile"}
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "build", "dist", "data"}
_MAX_FILE_BYTES = 1 << 20
_MAX_TREE_BYTES = 32 << 20
_MAX_FILES = 5_000
_MAX_ENTRIES = 100_000
_MAX_DIFF_BYTES = 8 << 20
_GIT_TIMEOUT_S = 10.0
_LEFT_OUT = ".left-out.txt"
"""A file of the stored tree that names the sources which were too many, large or odd."""
_ENVIRONMENT = "pyvenv.cfg"
_SETTLED_NS: Final = 1_000_000_000
"""A file that was written within this time may be written again without a new time of its own."""
_REMEMBERED_S: Final = 600.0
"""For how long a stored tree is named again without being put again. What nothing names may be
collected; a run may have been deleted in the meantime."""


class _Found(NamedTuple):
    """A source as the folder lists it: equal ones have equal content."""

    name: str
    size: int
    written_ns: int
    changed_ns: int
    """When anything of it changed, which no program can set."""


class _Stored(NamedTuple):
    folder: Path
    found: tuple[_Found, ...]
    left_out: list[str]
    tree: str
    until: float

    def still_is(self, folder: Path, found: tuple[_Found, ...], left_out: list[str]) -> bool:
        is_same = (self.folder, self.found, self.left_out) == (folder, found, left_out)
        return is_same and time.monotonic() < self.until


class CodeRecorder:
    """Records the code of folders again and again; sources that did not change are not read again.

    Args:
        blobs: Where the bytes go.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._stored: _Stored | None = None
        self._lock = threading.Lock()

    def record(
        self, folder: Path, entry: str, more: Mapping[str, bytes] | None = None
    ) -> CodeState:
        """Store a project's sources and say where the repository stands.

        Args:
            folder: The project's folder. Its text sources are taken (Python, SQL, TOML, YAML,
                Markdown, locks; at most 1 MiB each and 32 MiB together), without hidden folders,
                virtual environments, builds, `data` and links.
            entry: `module:function` that is run.
            more: Sources by path that are in no file, such as the cells of a notebook.
        """
        with self._lock:  # many runs that begin together look once
            found, left_out = _chosen(folder)
            tree = self._tree(folder, found, left_out, more or {})
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
        state = CodeState(tree=tree, entry=entry)
        if commit is None:
            return state
        is_dirty, diff = _changes(folder, {each.name for each in found})
        return CodeState(
            tree=state.tree,
            entry=entry,
            commit=commit.decode().strip(),
            dirty=is_dirty,
            diff=self._blobs.put(diff) if diff else None,
        )

    def _tree(
        self,
        folder: Path,
        found: tuple[_Found, ...],
        left_out: list[str],
        more: Mapping[str, bytes],
    ) -> str:
        stored = self._stored
        if stored is not None and not more and stored.still_is(folder, found, left_out):
            return stored.tree
        began_ns, began = time.time_ns(), time.monotonic()
        tree = store_tree(self._blobs, {**_read(folder, found, left_out), **more}).digest
        is_settled = all(began_ns - each.changed_ns > _SETTLED_NS for each in found)
        if is_settled and not more:
            self._stored = _Stored(folder, found, left_out, tree, began + _REMEMBERED_S)
        return tree


def _read(folder: Path, found: Sequence[_Found], left_out: Sequence[str]) -> dict[str, bytes]:
    """Read sources by relative path; what was left out is named in one file."""
    sources: dict[str, bytes] = {}
    unread = list(left_out)
    for each in found:
        try:
            sources[each.name] = (folder / each.name).read_bytes()
        except OSError:  # it went away, or may not be read
            unread.append(each.name)
    if unread:
        sources[_LEFT_OUT] = "\n".join([*unread, ""]).encode(errors="backslashreplace")
    return sources


def _chosen(folder: Path) -> tuple[tuple[_Found, ...], list[str]]:
    """Return the sources to take, and the names of those that are too many, large or odd."""
    chosen: list[_Found] = []
    left_out: list[str] = []
    total = 0
    for each in _walk(str(folder), "", [_MAX_ENTRIES]):
        is_too_much = each.size > _MAX_FILE_BYTES or total + each.size > _MAX_TREE_BYTES
        if is_too_much or len(chosen) >= _MAX_FILES or not _fits(each.name):
            left_out.append(each.name)
            continue
        chosen.append(each)
        total += each.size
    return tuple(chosen), left_out


def _walk(folder: str, prefix: str, left: list[int]) -> Iterator[_Found]:
    """Yield the sources in a folder and below, in a fixed order.

    Args:
        folder: The folder.
        prefix: What stands before the names of its files.
        left: How many more entries are looked at, in all folders together.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        return
    if prefix and any(entry.name == _ENVIRONMENT for entry in entries):
        return
    left[0] -= len(entries)
    if left[0] < 0:  # more than anybody's project has: it is left out, and named so
        yield _Found(f"{prefix}*", _MAX_FILE_BYTES + 1, 0, 0)
        return
    below: list[str] = []
    for entry in entries:
        with suppress(OSError):  # it went away
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            elif _is_source(entry.name) and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                name = prefix + entry.name
                yield _Found(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    for name in below:
        if not name.startswith(".") and name not in _SKIPPED:
            yield from _walk(f"{folder}/{name}", f"{prefix}{name}/", left)


def _fits(name: str) -> bool:
    """Say whether a tree can hold a name: none that is no UTF-8, or has a backslash."""
    try:
        split_path(name)
    except Invalid:
        return False
    return True


def _is_source(name: str) -> bool:
    return name.endswith(_SUFFIXES) or name in _NAMES


def _changes(folder: Path, sources: Collection[str]) -> tuple[bool, bytes]:
    """Say whether a folder differs from its commit; return `git diff HEAD` with new sources.

    Where git does not answer nobody can say that nothing differs.
    """
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--relative")
    diff = _git(folder, "diff", *options, "HEAD", "--", ".")
    if diff is None:
        return True, b""
    is_dirty = bool(diff)
    if len(diff) > _MAX_DIFF_BYTES:
        patterns = [f"*{suffix}" for suffix in sorted(_SUFFIXES)]
        diff = (_git(folder, "diff", *options, "HEAD", "--", *patterns) or b"")[:_MAX_DIFF_BYTES]
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    for name in sorted(listed.decode("utf-8", "replace").split("\0")):
        if name in sources:
            with suppress(OSError):
                diff += _new_file(name, (folder / name).read_bytes())
    return is_dirty or bool(diff), diff


def _new_file(name: str, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    lines = io.StringIO(text, newline="\n").readlines()  # form feeds end no line of a diff
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    body = list(difflib.unified_diff([], lines, "/dev/null", f"b/{name}"))
    if body and not body[-1].endswith("\n"):
        body.append("\n\\ No newline at end of file\n")
    return (head + "".join(body)).encode()


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Run git without anything that a repository's own settings could start."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *safe, *arguments],
            capture_output=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
