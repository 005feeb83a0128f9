"""The code of a run: the git commit with its dirty diff, and the sources themselves.

The sources are always stored, so a run can be read without its repository; git adds the history.
Whatever git does or fails to do, recording never fails a run.
"""

import difflib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from trivet.core.ports import Blobs
from trivet.core.trees import store_tree
from trivet.tracking.facts import CodeState

_SUFFIXES = {".py", ".pyi", ".toml", ".sql", ".md", ".yaml", ".yml", ".lock"}
_NAMES = {"requirements.txt", "Makefile"}
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "build", "dist", "data"}
_MAX_FILE_BYTES = 1 << 20
_MAX_TREE_BYTES = 32 << 20
_MAX_FILES = 5_000
_MAX_ENTRIES = 100_000
_MAX_DIFF_BYTES = 8 << 20
_GIT_TIMEOUT_S = 10.0
_LEFT_OUT = ".left-out.txt"
"""A file of the stored tree that names the sources which were too many or too large."""


def record_code(
    blobs: Blobs, folder: Path, entry: str, more: Mapping[str, bytes] | None = None
) -> CodeState:
    """Store the project's sources and say where the repository stands.

    Args:
        blobs: Where the bytes go.
        folder: The project's folder. Its text sources are taken (Python, SQL, TOML, YAML, Markdown,
            locks; at most 1 MiB each and 32 MiB together), without hidden folders, virtual
            environments, builds, `data` and links.
        entry: `module:function` that is run.
        more: Sources by path that are in no file, such as the cells of a notebook.
    """
    sources = read_sources(folder)
    tree = store_tree(blobs, {**sources, **(more or {})}).digest
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    state = CodeState(tree=tree, entry=entry)
    if commit is None:
        return state
    diff = _dirty_diff(folder, sources)
    return CodeState(
        tree=state.tree,
        entry=entry,
        commit=commit.decode().strip(),
        dirty=bool(diff),
        diff=blobs.put(diff) if diff else None,
    )


def read_sources(folder: Path) -> dict[str, bytes]:
    """Read a project's text sources by relative path; what was left out is named in one file."""
    sources: dict[str, bytes] = {}
    left_out: list[str] = []
    total = 0
    for path, size in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if size > _MAX_FILE_BYTES or total + size > _MAX_TREE_BYTES or len(sources) >= _MAX_FILES:
            left_out.append(name)
            continue
        try:
            sources[name] = path.read_bytes()
        except OSError:  # it went away, or may not be read
            left_out.append(name)
            continue
        total += len(sources[name])
    if left_out:
        sources[_LEFT_OUT] = "\n".join([*left_out, ""]).encode()
    return sources


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    seen = 0
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if _is_source_folder(here / name))
        seen += len(files) + len(folders)
        if seen > _MAX_ENTRIES:
            return
        for name in sorted(files):
            size = _source_size(here / name)
            if size is not None:
                yield here / name, size


def _source_size(path: Path) -> int | None:
    """Return a source file's size in bytes, None for what is no source."""
    if (path.suffix not in _SUFFIXES and path.name not in _NAMES) or path.is_symlink():
        return None
    try:
        return path.stat().st_size
    except OSError:
        return None


def _is_source_folder(path: Path) -> bool:
    if path.name.startswith(".") or path.name in _SKIPPED or path.is_symlink():
        return False
    return not (path / "pyvenv.cfg").exists()


def _dirty_diff(folder: Path, sources: dict[str, bytes]) -> bytes:
    """Return `git diff HEAD` of the folder with its untracked sources; empty when clean."""
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--relative")
    diff = _git(folder, "diff", *options, "HEAD", "--", ".") or b""
    if len(diff) > _MAX_DIFF_BYTES:
        patterns = [f"*{suffix}" for suffix in sorted(_SUFFIXES)]
        diff = (_git(folder, "diff", *options, "HEAD", "--", *patterns) or b"")[:_MAX_DIFF_BYTES]
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    for name in sorted(listed.decode("utf-8", "replace").split("\0")):
        if name in sources:
            diff += _new_file(name, sources[name])
    return diff


def _new_file(name: str, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    lines = text.splitlines(keepends=True)
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
