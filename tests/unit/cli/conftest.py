import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from trivet.cli.main import main


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Trivet = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\n')
    return folder


@pytest.fixture
def trivet(capsys: pytest.CaptureFixture[str], project: Path) -> Trivet:
    """Runs a command in the project's folder, in this process."""

    def run(*words: str, here: bool = True) -> Said:
        given = [*words, "--project", str(project)] if here else list(words)
        code = main(given)
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run
