"""The figures of the first version: imports, installs, ledger, series, serving, demonstration."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import ledger, series, serving
from benchmarks.load import ROOT

Row = dict[str, Any]

_EXTRAS = ("", "[local]", "[local,train]")
_LIMITS = {"": (20, 150.0), "[local]": (35, 700.0)}


def rows(quick: bool) -> list[Row]:
    """Measure every row of the table; one that cannot be measured says why."""
    found: list[Row] = []
    for measure in (starts, installs, _ledger, _series, serving.rows, demonstration):
        began = time.perf_counter()
        try:
            part = measure(quick)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            part = [_not_measured(measure.__name__.strip("_"), error)]
        seconds = time.perf_counter() - began
        print(f"{measure.__module__}.{measure.__name__}: {seconds:.0f} s", file=sys.stderr)
        found += part
    return found


def starts(quick: bool) -> list[Row]:
    """2.1: how long `import trivet` and `trivet --help` take, beside a bare interpreter."""
    rounds = 5 if quick else 15
    bare = _best_s([sys.executable, "-c", "pass"], rounds)
    loaded = _best_s([sys.executable, "-c", "import trivet"], rounds)
    helped = _best_s([sys.executable, "-m", "trivet", "--help"], rounds)
    return [
        _row("2.1", "import trivet", (loaded - bare) * 1000, "ms", 50.0, bare * 1000),
        _row("2.1", "trivet --help, whole process", helped, "s", 0.3, bare),
    ]


def installs(quick: bool) -> list[Row]:
    """2.2: distributions and size of each install, in environments that are thrown away."""
    del quick
    return [row for extra in _EXTRAS for row in _install(extra)]


def _install(extra: str) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="trivet-install-") as place:
        home = Path(place) / "venv"
        _quietly(sys.executable, "-m", "venv", str(home))
        python = str(home / "bin" / "python")
        before = _packages(python)
        _quietly(python, "-m", "pip", "install", "--quiet", f"{ROOT}{extra}")
        names = _packages(python) - before
        # pip came with the environment; what it weighs is not ours.
        site = next((home / "lib").glob("python*")) / "site-packages"
        tools = sum(_size(path) for path in site.glob("pip*")) + sum(
            _size(path) for path in site.glob("setuptools*")
        )
        mb = (_size(site) - tools) / 1e6
    what = f"trivet{extra}"
    limits = _LIMITS.get(extra, (None, None))
    return [
        _row("2.2", f"{what}: distributions", float(len(names)), "distributions", limits[0]),
        _row("2.2", f"{what}: size", mb, "MB", limits[1]),
    ]


def _ledger(quick: bool) -> list[Row]:
    return [{**row, "id": "2.3"} for row in ledger.rows(quick)]


def _series(quick: bool) -> list[Row]:
    return [{**row, "id": "2.4"} for row in series.rows(quick)]


def demonstration(quick: bool) -> list[Row]:
    """2.6: `trivet demo`, whole: seconds and peak memory, as its own evidence states them."""
    with tempfile.TemporaryDirectory(prefix="trivet-demo-") as place:
        evidence = Path(place) / "evidence.json"
        arguments = ["--folder", str(Path(place) / "demo"), "--json", str(evidence)]
        if quick:
            arguments += ["--per-day", "25"]
        done = subprocess.run(
            [sys.executable, "-m", "trivet", "demo", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
        )
        if not evidence.exists():
            raise RuntimeError(done.stderr[-300:])
        found = json.loads(evidence.read_text("utf-8"))
    mode = f"log mode {found['log_mode']}, {found['predictions']} predictions"
    told = [
        _row("2.6", "trivet demo, whole", found["seconds"], "s", 180.0),
        _row("2.6", "trivet demo, peak memory", found["peak_memory_bytes"] / 1e9, "GB", 3.0),
    ]
    failed = [stage["name"] for stage in found["stages"] if not stage["ok"]]
    for row in told:
        row["mode"] = mode if not failed else f"{mode}; failed: {', '.join(failed)}"
        row["ok"] = row["ok"] and not failed
    return told


def _row(
    number: str,
    what: str,
    value: float,
    unit: str,
    most: float | None,
    floor: float | None = None,
) -> Row:
    return {
        "id": number,
        "what": what,
        "value": round(value, 4),
        "unit": unit,
        "target": None if most is None else f"<= {most:g} {unit}",
        "floor": None if floor is None else round(floor, 4),
        "ratio": None if not floor else round(value / floor, 2),
        "ok": None if most is None else value <= most,
        "mode": "",
    }


def _not_measured(what: str, error: Exception) -> Row:
    return {
        "id": {"starts": "2.1", "installs": "2.2", "ledger": "2.3", "series": "2.4"}.get(
            what, "2.5" if what == "rows" else "2.6"
        ),
        "what": what,
        "value": None,
        "unit": "",
        "target": None,
        "floor": None,
        "ratio": None,
        "ok": False,
        "mode": f"not measured: {error}"[:500],
    }


def _best_s(arguments: Sequence[str], rounds: int) -> float:
    taken: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _packages(python: str) -> set[str]:
    code = "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split()) - {"pip", "setuptools"}


def _quietly(*arguments: str) -> None:
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{arguments[2:5]} failed: {done.stderr[-300:]}")


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
