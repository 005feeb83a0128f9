"""Environments of steps: one per content of a file of requirements, made once by `uv`.

An environment is made under a name of its own and then renamed, so that a name never stands for
half of one; makers of the same one wait for each other. It holds what the file asks for, and
borrows Trivet with the four libraries it stands on: links to the caller's own, looked at after
everything that the file installs. So a worker speaks the caller's formats exactly, and no index
is asked for anything but what the file names.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from trivet.core import disk
from trivet.core.errors import Invalid, NotFound, Unavailable

_LENT = ("apsw", "blake3", "msgspec", "numpy")
_LENT_FOLDER = "lent"
_SOURCE = Path(__file__).resolve().parents[2]
"""Trivet's own package."""
_OUTSIDE = re.compile(r"^\s*(-r|-c|-e|--requirement|--constraint|--editable)\b")
_PAUSE_S = 0.1

OnLine = Callable[[str], None]


class Environments:
    """The environments in a folder; any number of processes may share it.

    Args:
        folder: Made when the first environment is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def interpreter(self, requirements: Path, digest: str, on_line: OnLine | None = None) -> str:
        """Return the interpreter of an environment; make the environment when it is new.

        Args:
            requirements: What it holds: lines as `uv pip install -r` reads them, or a
                `pylock.toml`.
            digest: SHA-256 of the file.
            on_line: Receives what `uv` says.

        Raises:
            NotFound: There is no such file, or no `uv` (code `no-uv`).
            Invalid: The file is not what the digest says, points at further files, or cannot be
                fulfilled (code `bad-environment`).
            Unavailable: The disk is full, or the index does not answer.
        """
        name = _name(digest)
        place = self._folder / name
        if not (place / "bin" / "python").exists():
            with self._lock, self._only_maker(name):
                if not place.exists():
                    self._make(place, _checked(requirements, digest), on_line)
        return str(place / "bin" / "python")

    def _make(self, place: Path, requirements: Path, on_line: OnLine | None) -> None:
        uv = _uv()
        staged = place.with_name(f".{place.name}.making")
        shutil.rmtree(staged, ignore_errors=True)  # what a maker that was killed left behind
        python = str(staged / "bin" / "python")
        venv = ("venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable)
        _run([*uv, *venv, str(staged)], requirements, on_line)
        install = ("pip", "install", "--python", python, "--link-mode", "copy", "-r")
        _run([*uv, *install, str(requirements)], requirements, on_line)
        _lend(staged)
        os.sync()  # hundreds of files by another program; one rename makes them the environment
        staged.replace(place)
        disk.sync_folder(place.parent)

    @contextmanager
    def _only_maker(self, name: str) -> Generator[None]:
        disk.make_folder(self._folder)
        fd = os.open(self._folder / f".{name}.lock", os.O_RDWR | os.O_CREAT, disk.FILE_MODE)
        try:
            while not disk.try_lock(fd):
                time.sleep(_PAUSE_S)
            yield
        finally:
            os.close(fd)


def _name(digest: str) -> str:
    """Name an environment: its content, and the interpreter that it is for."""
    version = ".".join(map(str, sys.version_info[:3]))
    borrowed = sha256(f"{sys.base_prefix}\0{sys.prefix}\0{_SOURCE}".encode()).hexdigest()
    return f"{digest[:32]}-{version}-{borrowed[:8]}"


def _checked(requirements: Path, digest: str) -> Path:
    try:
        content = requirements.read_bytes()
    except OSError as error:
        raise NotFound(
            f"there is no file {requirements.name!r}, which a step's env names",
            code="no-file",
            hint="Write the file, with the path relative to the project's folder.",
        ) from error
    if sha256(content).hexdigest() != digest:
        raise Invalid(
            f"{requirements.name} was edited while the run was under way",
            code="bad-environment",
            hint="Run again.",
        )
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if _OUTSIDE.match(line):
            raise Invalid(
                f"line {number} of {requirements.name} points outside the file: {line.strip()!r}; "
                "expected requirements, because the file's content is what the step is known by",
                code="bad-environment",
                hint="Write one file of everything: `uv pip compile requirements.in -o "
                f"{requirements.name}`.",
            )
    return requirements


def _uv() -> list[str]:
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    if found is None:
        raise NotFound(
            "a step asks for an environment of its own, and there is no uv to make it",
            code="no-uv",
            hint="Install it: `pip install uv`, or see https://docs.astral.sh/uv.",
        )
    return [found]


def _run(arguments: list[str], requirements: Path, on_line: OnLine | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    with subprocess.Popen(
        arguments,
        cwd=requirements.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        said: list[str] = []
        for line in process.stdout or ():
            said.append(line.rstrip())
            if on_line is not None:
                on_line(said[-1])
    if process.returncode:
        output = "\n".join(said[-40:])
        is_away = "Failed to fetch" in output or "error sending request" in output
        kind = Unavailable if is_away else Invalid
        raise kind(
            f"uv cannot make the environment of {requirements.name}: "
            f"{next((line for line in said if line.strip()), 'it said nothing')}",
            code="bad-environment",
            hint="See the output; try `uv pip install -r` with the file.",
            detail={"output": output},
        )


def _lend(environment: Path) -> None:
    """Make Trivet and what it stands on importable, after everything of the environment's own.

    A path file's folders come behind the environment's packages, and the folder holds links to
    exactly these packages, so that nothing else of the caller's comes along.
    """
    (packages,) = (environment / "lib").glob("python*/site-packages")
    folder = packages / _LENT_FOLDER
    folder.mkdir()
    (folder / _SOURCE.name).symlink_to(_SOURCE)
    for name in _LENT:
        for part in _parts_of(name):
            (folder / part.name).symlink_to(part)
    (packages / "trivet-lent.pth").write_text(f"{_LENT_FOLDER}\n", encoding="utf-8")


def _parts_of(distribution: str) -> set[Path]:
    """Return the top-level files and folders of an installed distribution."""
    found = metadata.distribution(distribution)
    root = Path(str(found.locate_file("")))
    tops = {Path(str(path)).parts[0] for path in found.files or ()}
    return {
        root / top for top in tops if top not in {"..", "__pycache__"} and (root / top).exists()
    }
