"""What a run is given is pinned to exact versions before its first step."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trivet.core.errors import Invalid, NotFound
from trivet.core.lineage import ancestors
from trivet.data.facts import DataCommit
from trivet.pipelines.authoring import File
from trivet.pipelines.inputs import DataInput, InputFile, Resolver, parameter_kinds

ONE_TABLE = """
import polars as pl

@step
def count(rows: Data) -> int:
    return pl.DataFrame(rows).height

@flow
def main(customers: Data = "customers"):
    return {"rows": count(customers)}
"""


def publish(project: Any, rows: int, name: str = "customers", **tables: Any) -> Any:
    tables = tables or {name: pl.DataFrame({"n": range(rows)})}
    return project.data.publish(name, tables, source="a test")


def test_a_data_set_by_name_is_its_latest_version_and_a_parent_of_the_run(project: Any) -> None:
    publish(project, 3)
    dataset = publish(project, 5)
    project.write(ONE_TABLE)
    run = project.run()
    assert run.finished.metrics == {"rows": 5.0}
    assert run.started.data == (dataset.id,)
    assert run.started.parameters == {"customers": f"customers@{dataset.id}"}
    found = ancestors(project.stores.ledger, run.id).of_kind(DataCommit.KIND)
    assert [entry.id for entry in found] == [dataset.id]


def test_an_exact_version_can_be_asked_for(project: Any) -> None:
    old = publish(project, 3)
    publish(project, 5)
    project.write(ONE_TABLE)
    for given in (old, old.id, f"customers@{old.id}"):
        assert project.run(customers=given).finished.metrics == {"rows": 3.0}


def test_equal_data_under_another_name_is_remembered(project: Any) -> None:
    publish(project, 3)
    project.write(ONE_TABLE)
    project.run()
    publish(project, 0, "others", customers=pl.DataFrame({"n": range(3)}))
    assert project.statuses(project.run(customers="others")) == [("count", "remembered")]
    publish(project, 4)
    assert project.statuses(project.run()) == [("count", "run")]


def test_a_step_that_is_given_one_table_does_not_care_about_the_others(project: Any) -> None:
    project.write(
        "import polars as pl\n"
        "@step\ndef count(rows) -> int:\n    return pl.DataFrame(rows).height\n"
        "@flow\ndef main(shop: Data = 'shop'):\n"
        "    return {'orders': count(shop['orders']), 'n': len(shop.tables)}\n"
    )
    frames = {"orders": pl.DataFrame({"n": [1, 2]}), "people": pl.DataFrame({"n": [1]})}
    publish(project, 0, "shop", **frames)
    project.run()
    publish(project, 0, "shop", **{**frames, "people": pl.DataFrame({"n": [1, 2, 3]})})
    again = project.run()
    assert project.statuses(again) == [("count", "remembered")]
    assert again.finished.metrics == {"orders": 2.0, "n": 2.0}


def test_several_tables_are_not_one(project: Any) -> None:
    publish(project, 0, "shop", a=pl.DataFrame({"n": [1]}), b=pl.DataFrame({"n": [1]}))
    project.write(ONE_TABLE)
    with pytest.raises(Invalid, match="table"):
        project.run(customers="shop")


def test_a_table_file_stands_for_the_data_set_it_becomes(project: Any) -> None:
    (project.folder / "customers.csv").write_text("n\n1\n2\n")
    project.write(ONE_TABLE)
    assert project.run(customers="customers.csv").finished.metrics == {"rows": 2.0}
    assert project.data.names() == ("customers",)
    assert project.run().finished.metrics == {"rows": 2.0}


FILE = """
import subprocess
import sys
from pathlib import Path

@step
def read(path: str) -> str:
    return Path(path).name + ":" + Path(path).read_text()

@flow
def main(path: File = "notes.txt"):
    return {"text": read(path)}
"""


def test_a_file_is_published_by_its_content(project: Any) -> None:
    project.write(FILE)
    note = project.folder / "notes.txt"
    note.write_text("one")
    first = project.run()
    assert project.pipelines.value(first.id, "text") == "notes.txt:one"
    again = project.run()
    assert project.statuses(again) == [("read", "remembered")]
    assert again.started.data == first.started.data
    note.write_text("two")
    third = project.run(path=str(note))
    assert project.pipelines.value(third.id, "text") == "notes.txt:two"
    assert third.started.data != first.started.data


def test_a_step_reads_the_published_bytes_whatever_becomes_of_the_file(project: Any) -> None:
    note = project.folder / "notes.txt"
    note.write_text("one")
    with Resolver(project.data, project.folder, project.pipelines.asset) as resolver:

        def main(path: File) -> None: ...

        pinned = resolver.resolve(main, {"path": "notes.txt"}).arguments["path"]
        note.write_text("two")
        assert isinstance(pinned, InputFile)
        assert Path(pinned).read_text() == "one"
        place = Path(pinned).parent
    assert not place.exists()


def test_what_a_killed_run_left_of_its_inputs_is_swept_by_the_next(project: Any) -> None:
    store = project.folder / ".trivet"
    store.mkdir()
    (project.folder / "notes.txt").write_text("one")
    holding = (
        "import sys, time\nfrom pathlib import Path\n"
        "from trivet.pipelines.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'big.csv').write_text('1')\n"
        "    print(folder, flush=True)\n    time.sleep(600)\n"
    )

    def held() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", holding, project.folder], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, left), (living, used) = held(), held()
    try:
        killed.kill()
        killed.communicate()
        assert (left / "big.csv").exists()
        project.write(FILE)
        assert project.pipelines.value(project.run().id, "text") == "notes.txt:one"
        assert not left.exists()
        assert (used / "big.csv").exists()  # its process lives
        assert sorted((store / "inputs").iterdir()) == [used, Path(f"{used}.lock")]
    finally:
        living.kill()
        living.communicate()


def test_a_folder_is_a_file_parameter_too(project: Any) -> None:
    folder = project.folder / "images"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    project.write(
        "from pathlib import Path\n"
        "@step\ndef names(path) -> list[str]:\n"
        "    return sorted(item.name for item in Path(path).iterdir())\n"
        "@flow\ndef main(path: File = 'images'):\n    return {'names': names(path)}\n"
    )
    assert project.pipelines.value(project.run().id, "names") == ["a.txt"]
    (folder / "b.txt").write_text("2")
    assert project.pipelines.value(project.run().id, "names") == ["a.txt", "b.txt"]


def test_text_from_a_command_line_becomes_what_the_signature_says(project: Any) -> None:
    project.write(
        "@flow\ndef main(rate: float, rows: int = 1, name: str = '', on: bool = False,\n"
        "         tags: list[str] | None = None, free=None):\n"
        "    return {'seen': [rate, rows, name, on, tags, free]}\n"
    )
    run = project.run(rate="0.5", rows="3", name="7", on="true", free="x")
    assert project.pipelines.value(run.id, "seen") == [0.5, 3, "7", True, None, "x"]
    assert run.started.parameters["rate"] == 0.5


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"rate": "high"}, Invalid, "parameter 'rate' is 'high'; expected float"),
        ({"rat": 1.0}, Invalid, "no parameter 'rat'"),
        ({}, Invalid, "needs 'rate', which was not given"),
        ({"rate": 1.0, "rows": "nowhere"}, NotFound, "nowhere"),
        ({"rate": 1.0, "rows": 3}, Invalid, "'rows' is a int; expected a data set"),
        ({"rate": 1.0, "file": "nowhere.txt"}, NotFound, "nowhere.txt"),
        ({"rate": 1.0, "file": 3}, Invalid, "'file' is a int; expected a path"),
    ],
)
def test_a_wrong_parameter_is_named_and_leaves_no_run(
    project: Any, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    project.write("@flow\ndef main(rate: float, rows: Data = None, file: File = None): ...\n")
    with pytest.raises(error, match=words):
        project.run(**given)
    assert project.tracking.runs() == ()


def test_lists_and_mappings_are_given_as_json(project: Any) -> None:
    project.write(
        "@flow\ndef main(names: list[str] = (), sizes: dict[str, int] | None = None):\n"
        "    return {'seen': [names, sizes]}\n"
    )
    run = project.run(names='["a", "b"]', sizes='{"x": 1}')
    assert project.pipelines.value(run.id, "seen") == [["a", "b"], {"x": 1}]
    with pytest.raises(Invalid, match="'names' is 'a,b'; expected list") as told:
        project.run(names="a,b")
    assert "JSON" in told.value.hint


def test_a_flow_whose_runs_cannot_be_named_says_so(project: Any) -> None:
    project.write("def main(): ...\nmain.__name__ = 'été'\nmain = flow(main)\n")
    with pytest.raises(Invalid, match="flow 'été' cannot give its runs a name"):
        project.run()
    assert project.tracking.runs() == ()


def test_a_misspelt_parameter_is_told_its_name(project: Any) -> None:
    project.write("@flow\ndef main(rate: float): ...\n")
    with pytest.raises(Invalid) as refused:
        project.run(raet=1.0)
    assert "Did you mean 'rate'?" in refused.value.hint


def test_a_flow_of_nameless_parameters_cannot_be_recorded(project: Any) -> None:
    project.write("@flow\ndef main(*paths): ...\n")
    with pytest.raises(Invalid, match=r"takes \*paths"):
        project.run()


def test_annotations_that_only_type_checkers_can_read_are_no_obstacle(project: Any) -> None:
    project.write(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import nowhere\n"
        "@flow\ndef main(frame: 'nowhere.Frame' = None, rows: 'Data' = None): ...\n"
    )
    kinds = parameter_kinds(project.pipelines.load_flow("pipeline:main"))
    assert (kinds["frame"].mark, kinds["rows"].mark) == (None, "data")


def test_a_handle_tells_its_columns_without_reading(project: Any) -> None:
    dataset = publish(project, 3)
    handle = DataInput(project.data, dataset)
    assert handle.tables == ("customers",)
    assert handle["customers"].columns == ("n",)
    with pytest.raises(NotFound):
        handle["orders"]
