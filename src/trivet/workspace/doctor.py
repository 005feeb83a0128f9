"""The doctor: what is wrong with this installation and project, and what to do about it."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from trivet.core.errors import TrivetError
from trivet.pipelines.requests import PAST, QUEUE
from trivet.workspace.readiness import Asked, why_not_ready
from trivet.workspace.settings import FOLDER, Settings, find_project, read_settings
from trivet.workspace.stores import open_stores
from trivet.workspace.supervision import is_supervised

_LOW_SPACE_BYTES = 1 << 30
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})


class Symptom(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    about: str
    level: Literal["fine", "look", "wrong"]
    finding: str
    advice: str = ""


def examine(start: Path) -> tuple[Symptom, ...]:
    """Look at the installation, and at the project in or above a folder when there is one."""
    symptoms = [_python(), *_libraries()]
    try:
        folder = find_project(start)
        settings = read_settings(folder)
    except TrivetError as error:
        return (*symptoms, _from(error, "project"))
    symptoms.append(Symptom(about="project", level="fine", finding=f"{settings.project}"))
    checks: tuple[Callable[[Path, Settings], Iterator[Symptom]], ...] = (
        _space,
        _privacy,
        _file_system,
        _daemon,
        _flow,
        _stores,
    )
    for check in checks:
        symptoms.extend(check(folder, settings))
    return tuple(symptoms)


def _python() -> Symptom:
    version = ".".join(map(str, sys.version_info[:3]))
    return Symptom(about="Python", level="fine", finding=version)


def _libraries() -> Iterator[Symptom]:
    extras = {
        "local": ("deltalake", "polars", "onnxruntime", "uvicorn", "uvloop", "httptools"),
        "train": ("lightgbm", "onnx", "onnxmltools", "sklearn", "skl2onnx"),
    }
    for extra, names in extras.items():
        missing = [name for name in names if find_spec(name) is None]
        if missing:
            yield Symptom(
                about=f"extra {extra}",
                level="look",
                finding=f"not installed: {', '.join(missing)}",
                advice=f"pip install 'trivet[{extra}]'",
            )
        else:
            yield Symptom(about=f"extra {extra}", level="fine", finding="installed")


def _space(folder: Path, _: Settings) -> Iterator[Symptom]:
    free = shutil.disk_usage(folder).free
    enough = free >= _LOW_SPACE_BYTES
    yield Symptom(
        about="disk",
        level="fine" if enough else "wrong",
        finding=f"{free >> 20} MiB free",
        advice="" if enough else "Free some space: a full disk refuses writes.",
    )


def _privacy(folder: Path, _: Settings) -> Iterator[Symptom]:
    own = folder / FOLDER
    if not own.exists():
        yield Symptom(about="stores", level="look", finding="none yet", advice="trivet run")
        return
    loose = own.stat().st_mode & 0o077
    yield Symptom(
        about="privacy",
        level="wrong" if loose else "fine",
        finding=f"{FOLDER} is open to others" if loose else f"{FOLDER} is the owner's alone",
        advice=f"chmod 700 {own}" if loose else "",
    )


def _file_system(folder: Path, _: Settings) -> Iterator[Symptom]:
    kind = _kind_of(folder)
    if kind in _NETWORK:
        yield Symptom(
            about="file system",
            level="wrong",
            finding=f"{kind} is a network file system: its locks do not protect a database",
            advice="Move the project to a local disk.",
        )


def _kind_of(folder: Path) -> str:
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    best, kind = "", "unknown"
    for line in mounts:
        _, point, name, *_ = line.split()
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind


def _daemon(folder: Path, settings: Settings) -> Iterator[Symptom]:
    servers = (
        ("up.port", Asked(name="the API", port=settings.up.port, path="/health")),
        (
            "up.serving_port",
            Asked(name="serving", port=settings.up.serving_port, path="/v2/health/ready"),
        ),
    )
    is_up = (folder / FOLDER).exists() and is_supervised(folder / FOLDER)
    if is_up:
        yield Symptom(about="daemon", level="fine", finding="`trivet up` runs on this project")
    for name, server in servers:
        if server.port and is_up:
            trouble = why_not_ready(server)
            yield Symptom(
                about=f"port {server.port}",
                level="wrong" if trouble else "fine",
                finding=trouble or f"{server.name} is ready",
                advice="Read what `trivet up` printed." if trouble else "",
            )
        elif server.port:
            taken = _is_taken(server.port)
            yield Symptom(
                about=f"port {server.port}",
                level="look" if taken else "fine",
                finding="something else listens there" if taken else "free",
                advice=f"Stop it, or change {name} in trivet.toml." if taken else "",
            )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.3)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _flow(folder: Path, settings: Settings) -> Iterator[Symptom]:
    if not settings.flow:
        # Many a project only tracks: one that has a pipeline has forgotten to name it.
        is_forgotten = (folder / "pipeline.py").is_file()
        yield Symptom(
            about="flow",
            level="look" if is_forgotten else "fine",
            finding="none is set",
            advice='Set flow = "pipeline:train" in trivet.toml.' if is_forgotten else "",
        )
        return
    module = settings.flow.partition(":")[0].replace(".", os.sep)
    found = (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file()
    yield Symptom(
        about="flow",
        level="fine" if found else "wrong",
        finding=settings.flow if found else f"{module}.py is not in the project",
        advice="" if found else "Correct flow in trivet.toml.",
    )


def _stores(folder: Path, settings: Settings) -> Iterator[Symptom]:
    if not (folder / FOLDER).exists():
        return
    try:
        opened = open_stores(folder, settings, actor="doctor")
    except (TrivetError, OSError) as error:
        yield _from(error, "stores")
        return
    try:
        journal = opened.stores.journal
        dead = [task for queue in (QUEUE, PAST) for task in journal.tasks(queue, state="failed")]
        yield Symptom(about="stores", level="fine", finding="open and answer")
        if dead:
            yield Symptom(
                about="runs",
                level="look",
                finding=f"{len(dead)} asked-for runs failed for good, the last is {dead[0].key}",
                advice="See `trivet pipelines tasks --state failed`, mend the cause, then "
                "`trivet pipelines retry TASK`.",
            )
    finally:
        opened.close()


def _from(error: TrivetError | OSError, about: str) -> Symptom:
    hint = error.hint if isinstance(error, TrivetError) else ""
    return Symptom(about=about, level="wrong", finding=str(error), advice=hint)
