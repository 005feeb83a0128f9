"""A project whose steps run in warm processes, for the tests beside this file."""

import importlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from trivet.core.work import Needs, Ticket, Work, Workers
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

BEGIN = """
import os, signal, time
from pathlib import Path
from trivet.pipelines.authoring import *
from trivet.pipelines.context import current
"""


class Watched:
    """Workers whose traffic is written down."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.bodies: list[int] = []

    def submit(self, work: Work, **listeners: Any) -> Ticket:
        self.bodies.append(len(work.body))
        return self.workers.submit(work, **listeners)

    def width(self, needs: Needs) -> int:
        return self.workers.width(needs)

    def close(self) -> None:
        self.workers.close()


class Pooled:
    """A project whose steps run in warm processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "trivet.toml").write_text('project = "pooled"\ngate = ""\n')
        self.ws: Workspace = open_workspace(folder, actor="ada")
        self.watched = Watched(self.ws.opened.workers)
        remote = self.ws.pipelines._means.remote
        elsewhere = remote._elsewhere
        assert elsewhere is not None
        remote._elsewhere = msgspec.structs.replace(elsewhere, workers=self.watched)

    def write(self, text: str, name: str = "pipeline") -> None:
        (self.folder / f"{name}.py").write_text(BEGIN + text, "utf-8")
        for module in ("pipeline", name):
            sys.modules.pop(module, None)
        importlib.invalidate_caches()

    def run(self, flow: str = "pipeline:main", **options: Any) -> Any:
        return self.ws.pipelines.run(flow, **options)

    def statuses(self, run: Any) -> list[tuple[str, str]]:
        return [(step.step, step.status) for step in self.ws.pipelines.steps(run.id)]
