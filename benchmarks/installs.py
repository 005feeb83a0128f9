"""What an installation brings: how many distributions, and how many megabytes they take.

Each set is installed into an environment of its own from the lock, digests checked. `--quick`
installs nothing: it adds up the files that the same distributions have in this environment.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.load import ROOT

SCRATCH = ROOT / "build" / "bench"
SETS: dict[str, tuple[int | None, int | None]] = {
    "trivet": (20, 150),
    "trivet[local]": (35, 700),
    "trivet[train]": (None, None),
}
"""What is installed: the most distributions and megabytes it may take; None where it is stated."""

MEASURE = """
import importlib.metadata, json, pathlib, sysconfig
place = pathlib.Path(sysconfig.get_path("purelib"))
ours = [d for d in importlib.metadata.distributions(path=[str(place)])
        if d.name not in {"pip", "setuptools"}]
files = [f for f in place.rglob("*") if f.is_file()
         and not f.relative_to(place).parts[0].startswith(("pip", "setuptools"))]
print(json.dumps([len(ours), sum(f.stat().st_size for f in files)]))
"""


class Missing(Exception):
    """What is to be measured cannot be had here."""


def rows(quick: bool) -> list[dict[str, Any]]:
    """Count distributions and megabytes of each set."""
    return [row for name in SETS for row in rows_of(name, quick)]


def rows_of(name: str, quick: bool) -> list[dict[str, Any]]:
    most_count, most_mb = SETS[name]
    mode = "counted in this environment" if quick else "installed into a new environment"
    count = size_mb = None
    try:
        wanted = closure(name)
        count, size_bytes = present(wanted) if quick else installed(name, wanted)
        size_mb = round(size_bytes / 1e6, 1)
    except (Missing, PackageNotFoundError) as error:
        mode = f"not measured: {error}"
    return [
        row(f"{name}: distributions", count, "distributions", most_count, mode),
        row(f"{name}: size", size_mb, "MB", most_mb, f"{mode}, byte code included"),
    ]


def row(
    what: str, value: float | None, unit: str, target: float | None, mode: str
) -> dict[str, Any]:
    """Make a row; a figure that is only stated, or could not be had, is neither ok nor not."""
    ratio = None if value is None or target is None else value / target
    return {
        "id": "2.2",
        "what": what,
        "value": value,
        "unit": unit,
        "target": target,
        "floor": None,
        "ratio": None if ratio is None else round(ratio, 3),
        "ok": None if ratio is None else ratio <= 1,
        "mode": mode if target is not None else f"{mode}; stated",
    }


def closure(name: str) -> set[str]:
    """Name all distributions that a set needs on this machine, by their metadata here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = Requirement(name).extras
    wanted = [Requirement(line) for line in project["dependencies"]]
    for extra in extras:
        wanted += [Requirement(line) for line in project["optional-dependencies"][extra]]
    seen: set[tuple[str, str]] = set()
    found: set[str] = set()
    while wanted:
        item = wanted.pop()
        for extra in ("", *item.extras):
            if (item.name, extra) in seen or (item.marker and not item.marker.evaluate()):
                continue
            seen.add((item.name, extra))
            found.add(canonicalize_name(item.name))
            wanted += needed_by(item.name, extra)
    return found


def needed_by(name: str, extra: str) -> Iterable[Requirement]:
    for line in distribution(name).requires or ():
        item = Requirement(line)
        if item.marker is None or item.marker.evaluate({"extra": extra}):
            item.marker = None
            yield item


def present(wanted: set[str]) -> tuple[int, int]:
    """Add up the files of distributions in this environment; Trivet's own come on top."""
    own = sum(file.stat().st_size for file in (ROOT / "src").rglob("*") if file.is_file())
    sizes = [size_here(name) for name in sorted(wanted)]
    return len(sizes) + 1, sum(sizes) + own


def size_here(name: str) -> int:
    places = [Path(str(file.locate())) for file in distribution(name).files or ()]
    return sum(place.stat().st_size for place in places if place.is_file())


def installed(name: str, wanted: set[str]) -> tuple[int, int]:
    """Install a set into a new environment and measure it there."""
    slug = re.sub(r"\W+", "-", name).strip("-")
    folder = SCRATCH / f"install-{slug}"
    shutil.rmtree(folder, ignore_errors=True)
    lock = SCRATCH / f"{slug}.lock"
    lock.write_text(locked(wanted), "utf-8")
    run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    # Isolated: what a developer's PYTHONPATH brings would pass for installed.
    pip = (python, "-I", "-m", "pip", "--disable-pip-version-check", "--quiet")
    try:
        run(*pip, "install", "--require-hashes", "--no-deps", "--requirement", str(lock))
        run(*pip, "install", "--no-deps", str(wheel()))
        run(*pip, "check")
        count, size_bytes = json.loads(run(python, "-I", "-c", MEASURE))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count, size_bytes


def locked(wanted: set[str]) -> str:
    """Take the wanted distributions out of the lock, with their digests."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text("utf-8"))
    chosen = [block for block in blocks if canonicalize_name(name_of(block)) in wanted]
    absent = wanted - {canonicalize_name(name_of(block)) for block in chosen}
    if absent:
        raise Missing(f"the lock lacks {', '.join(sorted(absent))}")
    return "".join(chosen)


def name_of(block: str) -> str:
    return re.split(r"[=\s\[]", block, maxsplit=1)[0]


def wheel() -> Path:
    """Build Trivet's wheel with the build tools of this environment."""
    folder = SCRATCH / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    run(sys.executable, "-m", "pip", "wheel", *options, str(ROOT))
    return next(folder.glob("trivet-*.whl"))


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = next((line for line in lines if line.startswith("ERROR")), (lines or [""])[-1])
        raise Missing(f"`{' '.join(command[1:5])}` failed: {reason[:200]}")
    return done.stdout


if __name__ == "__main__":
    for each in rows("--quick" in sys.argv):
        print(each)
