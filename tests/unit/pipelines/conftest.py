import importlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.core.facts import Scope
from trivet.data.service import DataService
from trivet.pipelines.service import PipelinesService
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.service import TrackingService


class Project:
    """A project in a folder, over stores in memory; its sources can be edited and run again."""

    def __init__(self, folder: Path) -> None:
        self.stores = memory_stores()
        self.folder = folder
        self.scope = Scope(project="flights", actor="ada")
        self.tracking = TrackingService(self.stores, self.scope)
        self.data = DataService(self.stores, self.scope)
        self.pipelines = self.service()
        self._clock = itertools.count(1)

    def service(self, **options: Any) -> PipelinesService:
        return PipelinesService(
            self.stores, self.scope, self.tracking, self.data, self.folder, **options
        )

    def write(self, text: str, name: str = "pipeline") -> None:
        path = self.folder / f"{name}.py"
        path.write_text("from trivet.pipelines.authoring import *\n" + text, "utf-8")
        os.utime(path, ns=(next(self._clock) * 10**9,) * 2)
        for module in ("pipeline", name):
            sys.modules.pop(module, None)
        importlib.invalidate_caches()

    def run(self, flow: str = "pipeline:main", **options: Any) -> Any:
        return self.pipelines.run(flow, **options)

    def statuses(self, run: Any) -> list[tuple[str, str]]:
        return [(step.step, step.status) for step in self.pipelines.steps(run.id)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Project(tmp_path)
    for name in ("pipeline", "helpers"):
        sys.modules.pop(name, None)
