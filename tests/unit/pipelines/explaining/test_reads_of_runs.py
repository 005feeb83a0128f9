"""Files that one part of a run reads and another one works with are told of."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trivet
from trivet.pipelines.running import StepEvent

Warn = Callable[..., list[str]]

CACHED = (
    "import functools, json\n@functools.lru_cache\n"
    "def settings():\n    return json.loads((HERE / 'settings.json').read_text())\n"
)
STEPS = (
    "@step\ndef one():\n    return settings() + 1\n@step\ndef two():\n    return settings() + 2\n"
)
OF_FLOW = (
    "the flow's own lines read settings.json, which the steps do not know: they are remembered "
    "although it changes, unless they are given what was read; pass it as File or name it in "
    "depends="
)


def of_step(name: str, reader: str = "pipeline.settings") -> str:
    return (
        f"step {name!r} uses {reader}, which read settings.json before and may still hold it; "
        "settings.json is not one of its inputs; pass it as File or name it in depends="
    )


@pytest.fixture
def warn(project: Any) -> Warn:
    (project.folder / "settings.json").write_text("2")
    (project.folder / "other.json").write_text("3")
    time.sleep(0.02)  # a file system's clock ticks slowly: the file is older than the run

    def run(text: str, **parameters: Any) -> list[str]:
        project.write(
            f"from pathlib import Path\nHERE = Path(r'{project.folder}')\n{text}", "pipeline"
        )
        events: list[StepEvent] = []
        project.run(on_event=events.append, **parameters)
        return [event.text for event in events if event.kind == "warned"]

    return run


def test_a_step_is_warned_of_a_file_that_the_flow_read_through_a_cached_function(
    warn: Warn, project: Any
) -> None:
    text = CACHED + STEPS + "@flow\ndef main():\n    settings()\n    return {'a': [one()]}\n"
    assert warn(text) == [of_step("one"), OF_FLOW]
    (step,) = project.pipelines.steps(project.tracking.runs()[0].id)
    assert step.warnings == (of_step("one"),)


def test_a_remembered_step_is_told_of_again_and_so_is_the_flow(warn: Warn) -> None:
    text = CACHED + STEPS + "@flow\ndef main():\n    settings()\n    return {'a': [one()]}\n"
    first = warn(text)
    assert warn(text) == first


def test_a_second_step_is_warned_of_what_the_first_one_opened(warn: Warn) -> None:
    text = CACHED + STEPS + "@flow\ndef main():\n    return {'a': [one(), two()]}\n"
    said = warn(text)
    assert [what.partition(" read")[0] for what in said] == [
        "step 'one'",
        "step 'two' uses pipeline.settings, which",
    ]
    assert said[1] == of_step("two")


def test_declaring_the_file_at_the_step_that_opened_it_leaves_the_other_one_warned(
    warn: Warn,
) -> None:
    declared = STEPS.replace("@step\ndef one", "@step(depends=[HERE / 'settings.json'])\ndef one")
    text = CACHED + declared + "@flow\ndef main():\n    return {'a': [one(), two()]}\n"
    assert warn(text) == [of_step("two")]


def test_nothing_is_told_where_every_step_declares_the_file(warn: Warn) -> None:
    declared = STEPS.replace("@step", "@step(depends=[HERE / 'settings.json'])")
    text = CACHED + declared + "@flow\ndef main():\n    settings()\n    return [one(), two()]\n"
    assert warn(text) == []


@pytest.mark.parametrize(
    ("text", "reader"),
    [
        (
            (
                "import functools\nclass Conf:\n"
                "    @functools.cached_property\n    def rate(self):\n"
                "        return int((HERE / 'settings.json').read_text())\n"
                "CONF = Conf()\ndef settings():\n    return CONF.rate\n"
            ),
            "pipeline.settings",
        ),
        (
            (
                "import functools\ndef raw():\n"
                "    return int((HERE / 'settings.json').read_text())\n"
                "settings = functools.cache(raw)\n"
            ),
            "pipeline.raw",
        ),
        (
            (
                "import functools\ndef made():\n    @functools.cache\n    def inner():\n"
                "        return int((HERE / 'settings.json').read_text())\n    return inner\n"
                "settings = made()\n"
            ),
            "pipeline.made.<locals>.inner",
        ),
    ],
    ids=["a cached property", "a cache under another name", "a cached closure"],
)
def test_other_caches_are_seen_through(warn: Warn, text: str, reader: str) -> None:
    steps = STEPS + "@flow\ndef main():\n    return {'a': [one(), two()]}\n"
    said = warn(text + steps)
    assert len(said) == 2
    assert f"step 'two' uses {reader}" in said[1]


def test_a_function_that_reads_for_each_step_is_not_taken_for_one_that_keeps(warn: Warn) -> None:
    text = (
        "def load(name):\n    return (HERE / name).read_text()\n"
        "@step\ndef one(path):\n    return load(path)\n"
        "@step(depends=[HERE / 'other.json'])\ndef two():\n    return load('other.json')\n"
        "@flow\ndef main():\n    return {'a': [one(HERE / 'settings.json'), two()]}\n"
    )
    assert warn(text) == []


def test_a_class_that_read_for_the_flow_does_not_blame_steps_that_take_its_objects(
    warn: Warn,
) -> None:
    text = (
        "from dataclasses import dataclass\n@dataclass\nclass Conf:\n    rate: int\n"
        "    @classmethod\n    def load(cls, path):\n        return cls(int(path.read_text()))\n"
        "@step\ndef one(conf: Conf):\n    return Conf(conf.rate + 1).rate\n"
        "@flow\ndef main(path: File = 'settings.json'):\n"
        "    return {'a': [one(Conf.load(Path(path)))]}\n"
    )
    assert warn(text) == []


def test_calls_that_each_read_a_file_of_their_own_are_told_of_that_one_only(warn: Warn) -> None:
    text = (
        "def load(name):\n    return (HERE / name).read_text()\n"
        "@step\ndef one(name):\n    return load(name)\n"
        "@flow\ndef main():\n    return [one('settings.json'), one('other.json')]\n"
    )
    said = warn(text)
    assert [what.split(",")[0] for what in said] == [
        "step 'one' read settings.json",
        "step 'one' read other.json",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        "    return {'a': settings()}\n",
        "    made = [plain()]\n    return {'a': [settings(), made]}\n",
    ],
    ids=["without a step", "after the last step"],
)
def test_what_no_step_can_have_used_is_not_told_of(warn: Warn, lines: str) -> None:
    plain = "@step\ndef plain():\n    return 1\n"
    assert warn(CACHED + plain + "@flow\ndef main():\n" + lines) == []


def test_the_flow_s_own_reading_is_told_of_once_and_not_of_its_files(warn: Warn) -> None:
    text = (
        "@step\ndef plain(x):\n    return x\n"
        "@flow\ndef main(path: File = 'other.json'):\n    open(path).close()\n"
        "    found = [plain(int((HERE / 'settings.json').read_text()) + n) for n in range(3)]\n"
        "    return {'a': found}\n"
    )
    assert warn(text) == [OF_FLOW]


def test_what_keeping_a_value_reads_is_not_the_flow_s_reading(warn: Warn) -> None:
    text = (
        "import numpy as np\n@step\ndef big():\n    return np.zeros(100_000)\n"
        "@step\ndef small(x):\n    return float(x.sum())\n"
        "@flow\ndef main():\n    return {'a': [small(big())], 'b': big()}\n"
    )
    assert warn(text) == []


@pytest.mark.parametrize("where", ["here", "pool"])
def test_a_file_whose_name_is_no_text_is_told_of_with_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")).write_text("1")
    (tmp_path / "trivet.toml").write_text('project = "odd"\n')
    time.sleep(0.02)
    (tmp_path / "odd.py").write_text(
        "import os\nfrom trivet import flow, step\n"
        f"@step(where={where!r})\ndef one():\n"
        f"    with open({os.fsencode(tmp_path)!r} + b'/\\xff.csv') as file:\n"
        "        return file.read()\n"
        "@flow\ndef main():\n    return {'a': one()}\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with trivet.open(tmp_path) as workspace:
        (step,) = workspace.pipelines.steps(workspace.pipelines.run("odd:main").id)
    sys.modules.pop("odd", None)
    assert step.warnings[0].startswith(r"step 'one' read \udcff.csv, which")


def test_a_step_that_reports_a_run_of_its_own_is_not_warned(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('project = "inner"\n')
    (tmp_path / "README.md").write_text("It is a source.")
    time.sleep(0.02)
    (tmp_path / "inner.py").write_text(
        "import trivet\nfrom trivet import flow, step\n"
        "@step\ndef one():\n"
        f"    with trivet.open({str(tmp_path)!r}) as ws, ws.tracking.begin(system=False) as run:\n"
        "        run.log(loss=1)\n"
        "    return 1\n"
        "@flow\ndef main():\n    return {'a': one()}\n"
    )
    with pytest.MonkeyPatch.context() as patch, trivet.open(tmp_path) as workspace:
        patch.setattr(sys, "path", [str(tmp_path), *sys.path])
        (step,) = workspace.pipelines.steps(workspace.pipelines.run("inner:main").id)
    sys.modules.pop("inner", None)
    assert step.warnings == ()


def test_data_that_a_package_holds_is_told_of(
    warn: Warn, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package: Path = project.folder / "helpers"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import pkgutil\ndef load():\n    return pkgutil.get_data('helpers', 'r.json').decode()\n"
    )
    (package / "r.json").write_text("5")
    time.sleep(0.02)
    monkeypatch.syspath_prepend(str(project.folder))
    (said,) = warn(
        "import helpers\n@step\ndef one():\n    return helpers.load()\n"
        "@flow\ndef main():\n    return {'a': [one()]}\n"
    )
    assert said.startswith("step 'one' read helpers/r.json, which is not one of its inputs")
