import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

from trivet.core.errors import Conflict, Invalid, NotFound, TrivetError
from trivet.workspace.project import begin_project, make_project, render, template_names
from trivet.workspace.workspace import open as open_workspace


def table(target: str = "left") -> pl.DataFrame:
    rows = range(80)
    return pl.DataFrame(
        {"customer_id": [f"c{n}" for n in rows], "age": [20 + n % 50 for n in rows],
         target: [n % 3 == 0 for n in rows]}
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "customers.csv"
    path.parent.mkdir()
    table().write_csv(path)
    return path


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_project_is_made_whole_around_the_table(data: Path, parent: Path) -> None:
    made = make_project("churn", "tabular", data, "left", parent)
    assert [item.name for item in parent.iterdir()] == ["churn"]
    folder = parent / "churn"
    assert {
        "README.md", "brief.toml", "gate.toml", "monitor.toml", "pipeline.py", "release.toml",
        "trivet.toml", ".gitignore", ".github/workflows/ci.yml", "tests/test_pipeline.py",
    } <= set(made.files)  # fmt: skip
    assert all((folder / name).is_file() for name in made.files)
    assert made.task == "binary"
    assert {column.name: column.use for column in made.columns}["left"] == "target"
    with open_workspace(folder) as workspace:
        assert workspace.data.latest("customers").id == made.dataset.id


def test_every_file_of_a_new_project_can_be_read_by_its_own_reader(
    data: Path, parent: Path
) -> None:
    made = make_project("churn", "tabular", data, "left", parent)
    for name in made.files:
        text = (parent / "churn" / name).read_text("utf-8")
        if name.endswith(".py"):
            ast.parse(text)
        if name.endswith(".toml"):
            tomllib.loads(text)


@pytest.mark.parametrize(
    "target",
    ['say "hello"', "back\\slash", "@owner@", "@task@", "new\nline", "日本", "a'b", "#", "${x}"],
)
def test_a_column_of_any_name_is_text_and_never_code(
    tmp_path: Path, parent: Path, target: str
) -> None:
    path = tmp_path / "odd.parquet"
    table(target).write_parquet(path)
    make_project("odd", "tabular", path, target, parent)
    tree = ast.parse((parent / "odd" / "pipeline.py").read_text("utf-8"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values["TARGET"] == target
    assert tomllib.loads((parent / "odd" / "brief.toml").read_text("utf-8"))["target"] == target


def bad_tables(folder: Path) -> dict[str, tuple[Path, str]]:
    def write(name: str, frame: pl.DataFrame) -> Path:
        frame.write_csv(folder / name)
        return folder / name

    broken = folder / "broken.csv"
    broken.write_text("a,left\n1,0\n2\n3,1\n")
    quoted = folder / "quoted.csv"
    quoted.write_text('a,left\n1,0\n"2,1\n')
    empty = folder / "empty.csv"
    empty.write_bytes(b"")
    good = table()
    return {
        "there is no column 'churn'": (write("good.csv", good), "churn"),
        "has one value in all 80": (
            write("constant.csv", good.with_columns(left=pl.lit(value=True))),
            "left",
        ),
        "10 rows with a target": (write("ten.csv", good.head(10)), "left"),
        "looks like an identifier": (write("key.csv", good), "customer_id"),
        "line 3 of 'broken.csv' has 1 field": (broken, "left"),
        "cannot be read as CSV": (quoted, "left"),
        "is empty": (empty, "left"),
        "there is no file": (folder / "nowhere.csv", "left"),
    }


def test_a_table_that_will_not_do_teaches_and_leaves_nothing(tmp_path: Path, parent: Path) -> None:
    for words, (path, target) in bad_tables(tmp_path).items():
        with pytest.raises(TrivetError, match=words) as caught:
            make_project("churn", "tabular", path, target, parent)
        assert caught.value.hint, words
        assert list(parent.iterdir()) == [], words


@pytest.mark.parametrize("name", ["Churn", "../churn", "", "a b", ".hidden"])
def test_a_name_that_is_none_is_refused(data: Path, parent: Path, name: str) -> None:
    with pytest.raises(Invalid, match="project name"):
        make_project(name, "tabular", data, "left", parent)
    assert list(parent.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(data: Path, parent: Path) -> None:
    (parent / "churn").mkdir()
    with pytest.raises(Conflict, match="exists"):
        make_project("churn", "tabular", data, "left", parent)
    assert list((parent / "churn").iterdir()) == []


@pytest.mark.parametrize("template", ["nope", "../tabular", "tabular/tests", "__pycache__", ""])
def test_a_template_that_is_none_is_answered_with_those_there_are(
    data: Path, parent: Path, template: str
) -> None:
    with pytest.raises(NotFound, match="no template") as caught:
        make_project("churn", template, data, "left", parent)
    assert all(name in caught.value.hint for name in template_names())
    assert list(parent.iterdir()) == []


def test_what_a_crash_left_half_made_is_not_in_the_way(data: Path, parent: Path) -> None:
    half = parent / ".churn.making"
    half.mkdir()
    (half / "stale").write_text("")
    make_project("churn", "tabular", data, "left", parent)
    assert [item.name for item in parent.iterdir()] == ["churn"]
    assert not (parent / "churn" / "stale").exists()


def test_a_template_that_asks_for_an_unknown_word_is_refused(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a.txt").write_text("hello @nobody@")
    with pytest.raises(Invalid, match="'nobody'"):
        render(tmp_path / "from", tmp_path / "to", {"name": "x"})


def test_there_are_three_templates() -> None:
    assert template_names() == ("flights", "steps", "tabular")


def test_a_project_of_steps_begins_without_a_table_and_runs(parent: Path) -> None:
    begun = begin_project("pipes", parent)
    assert set(begun.files) == {".gitignore", "pipeline.py", "trivet.toml"}
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    words = [sys.executable, "-m", "trivet", "run", "--project", str(parent / "pipes")]
    for _ in range(2):
        ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    assert "metric mean" in ran.stdout
    assert "0 run, 2 remembered" in ran.stderr
    with pytest.raises(Conflict, match="exists"):
        begin_project("pipes", parent)


def test_a_folder_with_work_in_it_becomes_a_project_and_keeps_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "Käufer & Co 2026!"
    folder.mkdir()
    (folder / "pipeline.py").write_text("mine = 1\n")
    begun = begin_project(".", folder)
    assert begun.name == "kaufer-co-2026"
    assert "pipeline.py" not in begun.files
    assert (folder / "pipeline.py").read_text() == "mine = 1\n"
    with pytest.raises(Conflict, match="is a project already"):
        begin_project(".", folder)


@pytest.mark.parametrize("name", ["..", "a/b", "Churn", ""])
def test_a_project_of_steps_has_a_name_that_is_one(parent: Path, name: str) -> None:
    with pytest.raises(Invalid, match="project name"):
        begin_project(name, parent)
    assert not list(parent.iterdir())
