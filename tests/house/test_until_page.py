"""The snippets of the page about loops, searches and comparisons do what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_page_run_one_after_another(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    page = (root / "docs" / "how-to" / "until.md").read_text("utf-8")
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
    assert "True {'score': 0.9, 'cost': 1.5} 4" in done.stdout
    assert "cost spent 4.5" in done.stdout
    assert "would be found" in done.stdout
    assert "Shown to beat a constant answer in auc" in done.stdout
    assert (tmp_path / "poc.html").is_file()
