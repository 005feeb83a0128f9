"""The snippets of the page about tracking do what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_page_run_one_after_another(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    page = (root / "docs" / "how-to" / "tracking.md").read_text("utf-8")
    (tmp_path / "trivet.toml").write_text('project = "page"\n')
    (tmp_path / "page.py").write_text("\n".join(FENCE.findall(page)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "succeeded {'lr': '0.1'} 0.01"
    assert lines[1] == "val/errors 7 0 table"
    assert lines[2:6] == [f"val/samples 7 {number} image" for number in range(4)]
    assert lines[6] in {"0.1", "1.0"}
    assert lines[7:] == ["[0.01]", "()", "()", "True", "('lr',) True False"]
