"""A table of one's own, in six commands, as a user types them."""

import json
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trivet.core.facts import Scope
from trivet.models.encoding import Encoder
from trivet.serving.answering import Asked, answer
from trivet.serving.endpoints import Endpoints
from trivet.workspace.workspace import open as open_workspace


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "churn"
    shutil.copytree(trained, folder)
    return folder


def test_six_commands_from_a_table_to_an_answer(
    tools: Any, customers_csv: Path, tmp_path: Path
) -> None:
    words = ("init", "churn", "--template", "tabular", "--data", str(customers_csv))
    made = tools.trivet(tmp_path, *words, "--target", "churned")
    assert made.code == 0, made
    assert "binary of churned" in made.out
    folder = tmp_path / "churn"
    tools.use_free_ports(folder)

    ran = tools.trivet(folder, "run")
    assert ran.code == 0, ran
    assert "gate safe-to-ship: passed" in ran.out
    models = tools.trivet(folder, "models")
    assert "churn:1" in models.out
    assert "auc" in models.out
    assert tools.trivet(folder, "release").code == 0

    with tools.up(folder) as daemon:
        assert "churn:1" in daemon.line("serving")
        answered = tools.paste(daemon.curl)
        assert answered.status == 200
        (prediction,) = answered.data["predictions"]
        assert 0 <= prediction["probability"] <= 1
        assert prediction["model"] == "churn:1"
        if shutil.which("curl"):
            pasted = subprocess.run(
                ["bash", "-c", daemon.curl], capture_output=True, text=True, check=True
            )
            again = json.loads(pasted.stdout)["predictions"][0]
            assert again["probability"] == prediction["probability"]

        why = tools.trivet(folder, "why", prediction["id"])
        assert why.code == 0, why
        for words in ("churn:1", "customers.csv", "pipeline:train", "Python 3", "not known yet"):
            assert words in why.out
        replayed = tools.trivet(folder, "replay", prediction["id"])
        assert (replayed.code, "equal, bit for bit" in replayed.out) == (0, True), replayed
        over_http = daemon.call("API", "GET", f"/predictions/{prediction['id']}")
        assert over_http.data["model"]["package"] in why.out


@pytest.fixture(scope="module")
def served(trained: Path, tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("served") / "churn"
    shutil.copytree(trained, folder)
    with tools.up(folder) as daemon:
        daemon.folder = folder
        yield daemon


ROW = {"age": 41, "plan": "basic", "monthly": 40.0, "joined": "2019-05-01"}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"plan": "gold"}, "unknown-category", "'plan' is a category that was not seen"),
        ({"age": "old"}, "wrong-type", "'age' is a str; expected a whole number"),
        ({"monthly": True}, "wrong-type", "'monthly'"),
        ({"joined": "yesterday"}, "wrong-type", "'joined'"),
        ({"plan": None}, "missing-value", "'plan' is null"),
        ({"colour": "red"}, "unknown-field", "'colour'"),
    ],
)
def test_a_value_that_the_model_does_not_take_is_answered_with_field_and_next_step(
    served: Any, change: dict[str, Any], code: str, words: str
) -> None:
    answered = served.call("serving", "POST", "/predict/churn", {"rows": [ROW, ROW | change]})
    assert answered.status == 400
    assert answered.data["code"] == code
    assert words in answered.data["error"]
    assert answered.data["hint"]
    assert answered.data["detail"]["row"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/predict/churn", {"rows": [{k: v for k, v in ROW.items() if k != "age"}]}, 400, "absent"),
        ("/predict/churn", {"rows": []}, 400, "expected 1 to"),
        ("/predict/churn", {"row": [ROW]}, 400, "cannot be read"),
        ("/predict/chrun", {"rows": [ROW]}, 404, "no endpoint is named 'chrun'"),
        ("/labels", {"labels": [{"prediction": "abc", "value": 1}]}, 400, "no identifier"),
    ],
)
def test_a_request_that_makes_no_sense_teaches(
    served: Any, path: str, body: Any, status: int, words: str
) -> None:
    answered = served.call("serving", "POST", path, body)
    assert (answered.status, words in answered.data["error"]) == (status, True), answered
    assert answered.data["hint"]


def test_nothing_that_was_refused_is_in_the_log(served: Any, tools: Any) -> None:
    served.call("serving", "POST", "/predict/churn", {"rows": [ROW | {"age": "old"}]})
    good = served.call("serving", "POST", "/predict/churn", {"rows": [ROW], "units": ["u1"]})
    listed = tools.trivet(served.folder, "serving", "predictions", "--json")
    newest, *_ = json.loads(listed.out)
    assert newest["id"] == good.data["predictions"][0]["id"]


def test_a_label_that_comes_later_is_part_of_the_story(served: Any, tools: Any) -> None:
    good = served.call("serving", "POST", "/predict/churn", {"rows": [ROW]})
    identifier = good.data["predictions"][0]["id"]
    assert tools.trivet(served.folder, "serving", "label", identifier, "1").code == 0
    why = tools.trivet(served.folder, "why", identifier).out
    assert re.search(r"truth +1\b", why), why


def test_a_file_is_scored_with_the_bits_that_serving_answers(
    served: Any, tools: Any, customers_csv: Path
) -> None:
    said = tools.trivet(served.folder, "score", str(customers_csv), "--out", "scored.parquet")
    assert said.code == 0, said
    scored = pl.read_parquet(served.folder / "scored.parquet").head(20)
    rows = [
        {name: (str(row[name]) if name == "joined" else row[name]) for name in ROW}
        for row in scored.to_dicts()
    ]
    answered = served.call("serving", "POST", "/predict/churn", {"rows": rows})
    online = np.array([p["probability"] for p in answered.data["predictions"]], np.float64)
    assert online.astype(np.float32).tobytes() == scored["prediction"].to_numpy().tobytes()


def test_a_second_up_on_the_same_project_says_so(served: Any, tools: Any) -> None:
    second = tools.trivet(served.folder, "up")
    assert second.code == 4
    assert "runs on this project already" in second.err
    assert served.process.poll() is None


def test_the_doctor_sees_that_it_runs(served: Any, tools: Any) -> None:
    said = tools.trivet(served.folder, "doctor")
    assert said.code == 0, said
    assert "`trivet up` runs on this project" in said.out


def test_fsck_and_backup_work_beside_the_daemon(served: Any, tools: Any, tmp_path: Path) -> None:
    assert tools.trivet(served.folder, "backup", str(tmp_path / "backup")).code == 0
    assert tools.trivet(served.folder, "fsck").code == 0


def test_a_part_that_is_killed_is_back_and_the_others_did_not_notice(
    served: Any, tools: Any
) -> None:
    before = served.parts()
    signal_part(before["serving"])
    tools.wait_until(
        lambda: served.parts().get("serving") not in {None, before["serving"]}, "a new serving"
    )
    # The socket is the supervisor's: whoever calls meanwhile waits instead of being turned away.
    answered = served.call("serving", "POST", "/predict/churn", {"rows": [ROW]})
    assert answered.status == 200
    after = served.parts()
    assert {name: after[name] for name in ("api", "watcher", "runner")} == {
        name: before[name] for name in ("api", "watcher", "runner")
    }


def signal_part(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_leaves_no_process_behind(
    project: Path, tools: Any, number: signal.Signals
) -> None:
    daemon = tools.daemon(project)
    daemon.wait_until_ready()
    parts = daemon.parts()
    assert set(parts) == {"api", "serving", "watcher", "runner"}
    assert daemon.stop(number) == 0
    assert daemon.out[-1] == "stopped\n"
    assert not any("Traceback" in line for line in daemon.err), daemon.err
    assert not any(tools.is_alive(pid) for pid in parts.values())


def test_when_the_supervisor_is_killed_its_parts_go_and_the_ports_are_free(
    project: Path, tools: Any
) -> None:
    text = (project / "trivet.toml").read_text()
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in (one, two)]
    text = text.replace("\nport = 0", f"\nport = {ports[0]}")
    text = text.replace("\nserving_port = 0", f"\nserving_port = {ports[1]}")
    (project / "trivet.toml").write_text(text)
    daemon = tools.daemon(project)
    daemon.wait_until_ready()
    parts = daemon.parts()
    daemon.stop(signal.SIGKILL)
    tools.wait_until(
        lambda: not any(tools.is_alive(pid) for pid in parts.values()), "the end of all parts"
    )
    with tools.up(project) as again:
        assert again.line("API").endswith(str(ports[0]))


def test_a_port_that_is_taken_is_one_message_and_no_storm(project: Path, tools: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = (project / "trivet.toml").read_text()
        (project / "trivet.toml").write_text(text.replace("\nport = 0", f"\nport = {port}"))
        said = tools.trivet(project, "up")
    assert said.code == 7
    assert said.err.count("\n") == 2
    assert f"port {port}" in said.err
    assert said.out == ""


def test_before_the_first_release_it_is_up_and_says_what_is_missing(
    tools: Any, customers_csv: Path, tmp_path: Path
) -> None:
    words = ["init", "churn", "--data", str(customers_csv), "--target", "churned"]
    assert tools.main([*words, "--project", str(tmp_path)]) == 0
    tools.use_free_ports(tmp_path / "churn")
    with tools.up(tmp_path / "churn") as daemon:
        assert "nothing yet: `trivet run`, then `trivet release`" in daemon.line("serving")
        assert tools.paste(daemon.curl).data == []


def table(rows: int = 1200) -> pl.DataFrame:
    random = np.random.default_rng(5)
    x = random.normal(size=rows)
    kind = random.choice(["north", "south", "east"], rows)
    gaps = pl.Series(random.random(rows) < 0.15)
    score = x + (kind == "south") + 0.3 * random.normal(size=rows)
    days = random.integers(0, 700, rows)
    return pl.DataFrame(
        {
            "x": pl.Series(x.round(4)).zip_with(~gaps, pl.Series([None] * rows, dtype=pl.Float64)),
            "pieces": random.integers(1, 50, rows),
            "kind": pl.Series(kind).zip_with(
                ~gaps.reverse(), pl.Series([None] * rows, dtype=pl.String)
            ),
            "urgent": random.random(rows) < 0.3,
            "day": pl.Series(np.datetime64("2022-01-01") + days.astype("timedelta64[D]")),
            "yes": score > 0.4,
            "word": np.where(score > 0.4, "leaves", "stays"),
            "level": np.select([score < -0.3, score > 0.8], ["low", "high"], "middle"),
            "amount": (20 + 5 * score).round(3),
        }
    )


def with_numbers(frame: pl.DataFrame, path: Path) -> None:
    frame.with_columns(pl.col("yes").cast(pl.Int8)).write_csv(path)


def with_semicolons(frame: pl.DataFrame, path: Path) -> None:
    frame.write_csv(path, separator=";")


KINDS: dict[str, tuple[str, str, Callable[[pl.DataFrame, Path], object]]] = {
    "two numbers": ("yes", ".csv", with_numbers),
    "two words, Parquet": ("word", ".parquet", pl.DataFrame.write_parquet),
    "several classes": ("level", ".csv", pl.DataFrame.write_csv),
    "a number, Parquet": ("amount", ".parquet", pl.DataFrame.write_parquet),
    "semicolons": ("yes", ".csv", with_semicolons),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gets_a_model_that_answers(
    tools: Any, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target, suffix, write = KINDS[kind]
    targets = ["yes", "word", "level", "amount"]
    frame = table().drop([name for name in targets if name != target])
    write(frame, tmp_path / f"orders{suffix}")
    words = ["init", "orders", "--data", str(tmp_path / f"orders{suffix}"), "--target", target]
    assert tools.main([*words, "--project", str(tmp_path)]) == 0, capsys.readouterr()
    folder = tmp_path / "orders"
    ran = tools.trivet(folder, "run")
    assert ran.code == 0, ran
    assert tools.main(["release", "--project", str(folder)]) == 0
    capsys.readouterr()
    with open_workspace(folder) as workspace:
        assert answers(workspace, frame.head(9), target)


def answers(workspace: Any, frame: pl.DataFrame, target: str) -> bool:
    """Ask the released model, as the serving process does; missing values among the rows."""
    endpoints = Endpoints(workspace.stores, Scope(project="orders", actor="a test"))
    endpoints.refresh()
    live = endpoints.get("orders")
    rows = Encoder(live.variants.champion.signature).rows_of(frame)
    assert any(value is None for row in rows for value in row.values())
    answered = answer(live, Asked(rows, None, None, None)).answers
    for one in answered:
        if target in {"yes", "word"}:
            assert one.probability is not None
            assert 0 <= one.probability <= 1
        elif target == "level":
            assert one.class_ in {"low", "middle", "high"}
            assert sum((one.probabilities or {}).values()) == pytest.approx(1, abs=1e-4)
        else:
            assert one.value is not None
            assert 0 < one.value < 45
    return len(answered) == frame.height
