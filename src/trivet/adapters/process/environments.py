"""Environments of steps: one per content of a file of requirements, made once by `uv`.

An environment is made under a name of its own and then renamed, so that a name never stands for
half of one; makers of the same one wait for each other. `uv` ends with its maker, whatever ends
that one; each try has a folder of its own, in which nothing of an earlier one still writes. An
environment holds what the file asks for, and borrows Trivet with the four libraries it stands on:
links to the caller's own, looked at after everything that the file installs. So a worker speaks
the caller's formats exactly, and no index is asked for anything but what the file names.
"""

import importlib.util
import os
import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from trivet.adapters.process.runner import ProcessRunner
from trivet.core import disk
from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.work import Job

_LENT = ("apsw", "blake3", "msgspec", "numpy")
_LENT_FOLDER = "lent"
_SOURCE = Path(__file__).resolve().parents[2]
"""Trivet's own package."""
_OUTSIDE = re.compile(r"^\s*(-r|-c|-e|--requirement|--constraint|--editable)\b")
_PAUSE_S = 0.1
_ERRORS = ("error:", "×")
_REASON_LINES = 6
_SHOWN_LINES = 40

OnLine = Callable[[str], None]


class Environments:
    """The environments in a folder; any number of processes may share it.

    Args:
        folder: Made when the first environment is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def interpreter(
        self,
        requirements: Path,
        digest: str,
        on_line: OnLine | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> str:
        """Return the interpreter of an environment; make the environment when it is new.

        Args:
            requirements: What it holds: lines as `uv pip install -r` reads them, or a
                `pylock.toml`.
            digest: SHA-256 of the file.
            on_line: Receives what `uv` says.
            stop: Ends the making when it is set.

        Raises:
            NotFound: There is no such file, or no `uv` (code `no-uv`).
            Invalid: The file is not what the digest says, points at further files, or cannot be
                fulfilled (code `bad-environment`).
            Unavailable: The index does not answer, or the making was stopped (code `cancelled`).
        """
        name = _name(digest)
        stop = stop or threading.Event()
        place = self._folder / name
        if not (place / "bin" / "python").exists():
            with self._lock, self._only_maker(name, stop):
                if not place.exists():
                    self._make(place, _checked(requirements, digest), _Uv(on_line, stop))
        return str(place / "bin" / "python")

    def _make(self, place: Path, requirements: Path, uv: "_Uv") -> None:
        for left in self._folder.glob(f".{place.name}.*.making"):
            shutil.rmtree(left, ignore_errors=True)  # of a maker that was killed
        staged = place.with_name(f".{place.name}.{secrets.token_hex(4)}.making")
        python = str(staged / "bin" / "python")
        venv = ("venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable)
        install = ("pip", "install", "--python", python, "--link-mode", "copy", "-r")
        try:
            uv.run(*venv, str(staged), requirements=requirements)
            uv.run(*install, str(requirements), requirements=requirements)
            _lend(staged)
            os.sync()  # hundreds of files by another program; one rename makes them the environment
            staged.replace(place)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        disk.sync_folder(place.parent)

    @contextmanager
    def _only_maker(self, name: str, stop: threading.Event) -> Generator[None]:
        disk.make_folder(self._folder)
        fd = os.open(self._folder / f".{name}.lock", os.O_RDWR | os.O_CREAT, disk.FILE_MODE)
        try:
            while not disk.try_lock(fd):
                if stop.wait(_PAUSE_S):
                    raise _stopped()
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


_KEEPER = """
import os, signal, subprocess, sys
for name in ("PYTHONPATH", "VIRTUAL_ENV"):  # of this environment, not of the one to be made
    os.environ.pop(name, None)
child = subprocess.Popen(sys.argv[2:])
while True:
    try:
        sys.exit(child.wait(0.2))
    except subprocess.TimeoutExpired:
        if os.getppid() != int(sys.argv[1]):
            os.killpg(0, signal.SIGKILL)
"""
"""Runs a command in the same process group, and ends the group when the caller is gone."""


class _Uv:
    """Runs `uv`, in a process group that ends with the making of the environment."""

    def __init__(self, on_line: OnLine | None, stop: threading.Event) -> None:
        self._command = (sys.executable, "-I", "-S", "-c", _KEEPER, str(os.getpid()), *_uv())
        self._on_line = on_line
        self._stop = stop

    def run(self, *arguments: str, requirements: Path) -> None:
        job = Job(
            arguments=(*self._command, *arguments),
            folder=str(requirements.parent),
            environment=dict(os.environ),
        )
        outcome = ProcessRunner(grace_s=0.0).run(job, self._on_line, stop=self._stop)
        if self._stop.is_set():
            raise _stopped()
        if outcome.exit_code:
            raise _refused(requirements, outcome.output.splitlines())


def _refused(requirements: Path, said: list[str]) -> Invalid | Unavailable:
    output = "\n".join(said[-_SHOWN_LINES:])
    is_away = "Failed to fetch" in output or "error sending request" in output
    kind = Unavailable if is_away else Invalid
    return kind(
        f"uv cannot make the environment of {requirements.name}: {_reason(said)}",
        code="bad-environment",
        hint="See the output; try `uv pip install -r` with the file.",
        detail={"output": output},
    )


def _reason(said: list[str]) -> str:
    """Return what `uv` says of an error, without the lines that only say what it did before."""
    lines = [line.strip() for line in said if line.strip()]
    first = next((n for n, line in enumerate(lines) if line.startswith(_ERRORS)), len(lines) - 1)
    told = [line.lstrip("×╰─▶├│╭ ") for line in lines[max(first, 0) :]][:_REASON_LINES]
    return " ".join(told).removeprefix("error: ") or "it said nothing"


def _stopped() -> Unavailable:
    return Unavailable(
        "the making of an environment was stopped",
        code="cancelled",
        hint="Run again to have it made.",
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
