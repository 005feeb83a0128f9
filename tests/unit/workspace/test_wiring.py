import json
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.core.errors import Invalid
from trivet.workspace import wiring

HEAVY = {"numpy", "polars", "deltalake", "onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}
REPORT = "import json, sys; print(json.dumps([n for n in sys.modules if '.' not in n]))"


def loaded_by(statements: str, environment: dict[str, str], folder: Path) -> set[str]:
    """Which libraries some statements load, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{REPORT}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_the_front_door_loads_nothing_heavy(tmp_path: Path, environment: dict[str, str]) -> None:
    loaded = loaded_by("import trivet; trivet.open; trivet.Workspace", environment, tmp_path)
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("used", "not_needed"),
    [
        ("ws.access.grants()", {"onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}),
        ("ws.tracking.runs()", {"onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}),
        ("ws.releases.endpoints()", {"onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}),
        ("ws.triggers.all()", {"onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}),
        ("ws.data.names()", {"onnxruntime", "lightgbm", "onnx", "sklearn", "uvicorn"}),
        ("ws.models.names()", {"onnx", "sklearn", "uvicorn"}),
    ],
)
def test_a_room_loads_what_it_needs_and_no_more(
    project: Path, environment: dict[str, str], used: str, not_needed: set[str]
) -> None:
    statements = f"import trivet\nwith trivet.open('.') as ws:\n    {used}"
    assert loaded_by(statements, environment, project) & not_needed == set()


def test_a_candidate_that_is_none_is_named_by_its_type() -> None:
    with pytest.raises(Invalid, match="'model' is a dict; expected a Candidate") as caught:
        wiring.as_candidate({}, "model")
    assert "Candidate.of" in caught.value.hint


def test_a_digest_covers_content_and_says_how_much(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    first = wiring.digest_file(path)
    assert first[0].startswith("b3:")
    assert first[1] == 3
    path.write_bytes(b"abd")
    assert wiring.digest_file(path) != first
