import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.pipelines.workers.pooled import Pooled


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooled]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    project = Pooled(tmp_path)
    yield project
    project.ws.close()
    for name in ("pipeline", "helpers"):
        sys.modules.pop(name, None)
