"""Files that a step reads behind its key's back are told of; what is nobody's data is not."""

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trivet.pipelines.running import StepEvent


class Told:
    """Runs a flow and keeps what it warned of."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self.folder: Path = project.folder

    def file(self, name: str, text: str = "1\n") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        time.sleep(0.02)  # a file system's clock ticks slowly: the file is older than the step
        return path

    def by(self, text: str, **parameters: Any) -> list[str]:
        self.project.write(
            f"from pathlib import Path\nHERE = Path(r'{self.folder}')\n{text}", "pipeline"
        )
        events: list[StepEvent] = []
        self.project.run(on_event=events.append, **parameters)
        return [event.text for event in events if event.kind == "warned"]


@pytest.fixture
def told(project: Any) -> Told:
    return Told(project)


STEP = "@step\ndef load(x=1):\n    {body}\n@flow\ndef main():\n    return {{'a': [load()]}}\n"


@pytest.mark.parametrize(
    "body",
    [
        "return (HERE / 'data.csv').read_text()",
        "with open(str(HERE / 'data.csv')) as f: return f.read()",
        "with open(str(HERE / 'data.csv').encode(), 'rb') as f: return f.read()",
        "import sqlite3; sqlite3.connect(HERE / 'data.csv').close()",
        "import os; f = os.open(HERE / 'data.csv', os.O_RDONLY); os.close(f)",
        "import numpy as np; return float(np.loadtxt(HERE / 'data.csv'))",
        "import pandas as pd; return int(pd.read_csv(HERE / 'data.csv', header=None).size)",
        "with open('data.csv') as f: return f.read()",
        (
            "import threading; read = lambda: (HERE / 'data.csv').read_text(); "
            "t = threading.Thread(target=read); t.start(); t.join()"
        ),
    ],
)
def test_a_file_that_is_no_input_is_told_of(
    told: Told, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(told.folder)
    told.file("data.csv")
    assert told.by(STEP.format(body=body)) == [
        (
            "step 'load' read data.csv, which is not one of its inputs; "
            "pass it as File or name it in depends="
        )
    ]


def test_a_file_outside_of_the_project_is_named_by_its_whole_path(
    told: Told, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "prices.csv"
    outside.write_text("1")
    time.sleep(0.02)
    (said,) = told.by(STEP.format(body=f"return Path(r'{outside}').read_text()"))
    assert f"read {outside}, which" in said


def test_many_files_are_counted_and_a_warning_is_given_once_a_run(told: Told) -> None:
    for number in range(7):
        told.file(f"part{number}.csv")
    body = "return [p.read_text() for p in sorted(HERE.glob('*.csv'))]"
    text = STEP.format(body=body).replace("[load()]", "[load(), load(2)]")
    (said,) = told.by(text)
    assert said.startswith("step 'load' read part0.csv, part1.csv, part2.csv, part3.csv, part4.csv")
    assert "and 2 more, which are not of its inputs; pass them as File" in said


@pytest.mark.parametrize(
    "text",
    [
        (
            "@step\ndef load(path):\n    return open(path).close()\n"
            "@flow\ndef main(path: File = 'data.csv'):\n    return {'a': [load(path)]}\n"
        ),
        (
            "@step\ndef load(path):\n    return path.read_text()\n"
            "@flow\ndef main():\n    return {'a': [load(HERE / 'data.csv')]}\n"
        ),
        (
            "@step\ndef load(paths):\n    return [p.read_text() for p in paths['all']]\n"
            "@flow\ndef main():\n    return {'a': [load({'all': [HERE / 'data.csv']})]}\n"
        ),
        (
            "@step\ndef load(path):\n    return (path / 'data.csv').read_text()\n"
            "@flow\ndef main():\n    return {'a': [load(HERE / 'deep')]}\n"
        ),
        (
            "@step(depends=[HERE / 'data.csv'])\ndef load():\n"
            "    return (HERE / 'data.csv').read_text()\n"
            "@flow\ndef main():\n    return {'a': [load()]}\n"
        ),
        (
            "@step(depends=[HERE / 'deep'])\ndef load():\n"
            "    return (HERE / 'deep' / 'data.csv').read_text()\n"
            "@flow\ndef main():\n    return {'a': [load()]}\n"
        ),
        (
            "@effect\ndef load():\n    (HERE / 'data.csv').read_text()\n"
            "@flow\ndef main():\n    load()\n"
        ),
        "@flow\ndef main():\n    return {'a': (HERE / 'data.csv').read_text()}\n",
    ],
    ids=[
        "File",
        "Path",
        "paths in containers",
        "folder",
        "depends",
        "depends on a folder",
        "effect",
        "the flow's own lines",
    ],
)
def test_what_is_declared_is_not_told_of(told: Told, text: str) -> None:
    told.file("data.csv")
    told.file("deep/data.csv")
    assert told.by(text) == []


@pytest.mark.parametrize(
    "body",
    [
        "import helpers; return helpers.VALUE",
        "import inspect, helpers; return inspect.getsource(helpers)",
        "import tempfile; f = tempfile.TemporaryFile('w+'); f.write('a'); f.seek(0); f.close()",
        "p = HERE / 'made.txt'; p.write_text('a'); return p.read_text()",
        (
            "p = HERE / 'made.txt'; p.write_text('a'); p.rename(HERE / 'b.txt'); "
            "return (HERE / 'b.txt').read_text()"
        ),
        "p = HERE / 'gone.txt'; p.write_text('a'); t = p.read_text(); p.unlink(); return t",
        "return (HERE / 'absent.txt').exists()",
        "return Path('/proc/self/status').read_text()[:0]",
        "return open('/dev/null').close()",
        "from zoneinfo import ZoneInfo; return str(ZoneInfo('Europe/Paris'))",
        "return (HERE / '.cache' / 'fonts.json').read_text()",
        "return (HERE / '.trivet' / 'x').read_text()",
        "import numpy; return Path(numpy.__file__).read_text()[:0]",
        "import importlib.metadata as m; return m.version('numpy')",
        (
            "import traceback\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
            "        return len(traceback.format_exc()) > 0"
        ),
        "import logging; logging.FileHandler(HERE / 'log.txt').close()",
        "import ssl; ssl.create_default_context(); return 1",
        "import mimetypes; mimetypes.init(); return 1",
    ],
)
def test_what_is_nobody_s_data_is_not_told_of(told: Told, body: str) -> None:
    told.file(".cache/fonts.json")
    told.file(".trivet/x")
    told.file("helpers.py", "VALUE = 1\n")
    assert told.by(STEP.format(body=body)) == []


def test_what_a_library_reads_while_it_is_imported_is_its_own_business(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = told.file("oddlib.toml", "a = 1\n")
    told.file(
        "site-packages/oddlib_reads.py",
        f"with open(r'{settings}') as f:\n    VALUE = f.read()\n",
    )
    monkeypatch.syspath_prepend(str(told.folder / "site-packages"))
    assert told.by(STEP.format(body="import oddlib_reads; return oddlib_reads.VALUE")) == []
    sys.modules.pop("oddlib_reads")


def test_what_the_user_s_own_module_reads_while_a_step_imports_it_is_told_of(told: Told) -> None:
    file = told.file("rates.csv")
    told.file("helpers.py", f"with open(r'{file}') as f:\n    VALUE = f.read()\n")
    (said,) = told.by(STEP.format(body="import helpers; return helpers.VALUE"))
    assert "read rates.csv" in said


def test_a_step_inside_a_step_answers_for_its_own_reads(told: Told) -> None:
    told.file("data.csv")
    found = told.by(
        "@step\ndef inner():\n    return (HERE / 'data.csv').read_text()\n"
        "@step\ndef outer():\n    return inner()\n"
        "@flow\ndef main():\n    return {'a': outer()}\n"
    )
    assert [text.partition(" read")[0] for text in found] == ["step 'inner'"]


def test_the_warning_stays_with_the_step_and_without_a_listener_it_is_logged(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.file("data.csv")
    told.by(STEP.format(body="return (HERE / 'data.csv').read_text()"))
    with caplog.at_level(logging.WARNING, "trivet.pipelines"):
        told.project.write(
            f"from pathlib import Path\nHERE = Path(r'{told.folder}')\n"
            + STEP.format(body="return (HERE / 'data.csv').read_text() + 'x'")
        )
        run = told.project.run()
    (step,) = told.project.pipelines.steps(run.id)
    assert [record.getMessage() for record in caplog.records] == list(step.warnings)
    assert "data.csv" in step.warnings[0]


def test_a_result_that_is_remembered_is_told_of_again(told: Told) -> None:
    told.file("data.csv")
    text = STEP.format(body="return (HERE / 'data.csv').read_text()")
    first = told.by(text)
    told.file("data.csv", "2\n")
    assert told.by(text) == first != []


def test_code_that_cannot_be_followed_is_told_of_in_every_run_and_in_the_plan(told: Told) -> None:
    text = STEP.format(body="return eval('1 + 1')")
    said = "pipeline.load runs text as code (eval) (line 6)"
    assert told.by(text) == [said]
    assert told.by(text) == [said]  # remembered, and still not covered
    assert told.project.pipelines.plan("pipeline:main").limits == (said,)


def test_the_hook_is_not_installed_before_a_step_runs() -> None:
    code = (
        "import sys\nadded = []\nsys.addaudithook = added.append\n"
        "import trivet.pipelines.explaining.reads as reads\nassert not added\n"
        "from pathlib import Path\n"
        "for _ in range(3):\n    with reads.watch_reads(Path('.')):\n        pass\n"
        "assert len(added) == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
