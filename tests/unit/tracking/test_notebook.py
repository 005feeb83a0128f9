"""Runs in a notebook: shown well, and with the code of its cells."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.core.trees import load_tree
from trivet.tracking.notebook import FILE, executed_cells, source_of_cells
from trivet.tracking.service import TrackingService


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"))


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    executed = ["", "x = 1"]
    shell = SimpleNamespace(history_manager=SimpleNamespace(input_hist_raw=executed))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return executed


def test_the_cells_of_a_notebook_are_its_code(
    tracking: TrackingService, stores: Stores, cells: list[str]
) -> None:
    with tracking.begin(system=False) as run:
        cells.append("%time x + 1\n")
    seen = tracking.reported.observed(run.id)
    assert seen is not None
    source = load_tree(stores.blobs, seen.code.tree)[FILE].decode()
    assert source == "# %% [1]\nx = 1\n\n# %% [2]\n%time x + 1\n"


@pytest.mark.parametrize("library", [None, SimpleNamespace(), SimpleNamespace(get_ipython=list)])
def test_where_no_notebook_runs_there_are_no_cells(
    monkeypatch: pytest.MonkeyPatch, library: object
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", library)
    assert executed_cells() is None
    assert source_of_cells(()) == b""


def test_a_run_shows_itself_without_believing_its_names(tracking: TrackingService) -> None:
    with tracking.begin(name="<script>", system=False) as run:
        run.log({"val/loss": 0.25}, step=7)
        run.flush()
        shown = run._repr_html_()
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown
        assert "<td>val/loss</td><td>0.25</td><td>7</td>" in shown
        assert run.id in repr(run)
    assert "succeeded" in run._repr_html_()


PROGRAM = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import trivet as tv\\nws = tv.open('.')", store_history=True)
shell.run_cell("run = ws.tracking.begin()", store_history=True)
shell.run_cell("run.finish()\\nprint(run.id)", store_history=True)
"""


def test_ipython_itself_is_asked(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed here")
    (tmp_path / "trivet.toml").write_text('project = "cells"\n')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    run = done.stdout.split()[-1]
    from trivet.workspace.workspace import open as open_workspace

    with open_workspace(tmp_path) as workspace:
        seen = workspace.tracking.reported.observed(run)
        assert seen is not None
        source = load_tree(workspace.stores.blobs, seen.code.tree)[FILE].decode()
    assert "# %% [3]\nrun.finish()" in source
