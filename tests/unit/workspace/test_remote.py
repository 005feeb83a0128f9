"""Reporting to a server by its address: real programs, real servers, real kills."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trivet as tv
from trivet.core.errors import Forbidden, Invalid, NotFound, Unavailable, Unsupported
from trivet.tracking.found import FoundRuns
from trivet.workspace import spools
from trivet.workspace.addresses import read_address
from trivet.workspace.remote import RemoteWorkspace

CHILD = Path(__file__).parent / "remote_child.py"
PATIENCE_S = 60.0


class Server:
    """`trivet tracking serve` on a project of its own, started and killed at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "trivet.toml").write_text('project = "left"\n')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> str:
        return (self.folder / ".trivet" / "token").read_text().strip()

    def start(self) -> "Server":
        words = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen([*words, "--json"], cwd=self.folder, stdout=subprocess.PIPE)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                (self.folder / ".trivet" / "token").read_text()
                return self
            except OSError:
                time.sleep(0.05)
        raise TimeoutError

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def points(self, run: str) -> list[tuple[int, float]]:
        with tv.open(self.folder) as ws:
            history = ws.tracking.reported.metrics.history(run, "loss")
        return sorted((point.step, point.value) for point in history)

    def run(self, run: str) -> Any:
        with tv.open(self.folder) as ws:
            return ws.tracking.reported.get(run)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TRIVET_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.delenv("TRIVET_URL", raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    server = Server(tmp_path / "server").start()
    monkeypatch.setenv("TRIVET_TOKEN", server.token)
    yield server
    server.kill()


def program(server: Server, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(CHILD), server.url, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def read_until(child: "subprocess.Popen[str]", points: int) -> tuple[str, int]:
    """Return the run of a program, and how many points are durable once that many are."""
    assert child.stdout is not None
    run, durable = child.stdout.readline().strip(), 0
    while durable < points:
        durable = int(child.stdout.readline())
    return run, durable


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def sync(*words: str, form: str = "--json") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "trivet", "sync", *form.split(), *words],
        capture_output=True,
        text=True,
        check=False,
    )


def spooled() -> list[Path]:
    return [folder for folder, _ in spools.labels()]


def test_a_run_comes_to_the_server_and_leaves_nothing_behind(server: Server) -> None:
    with tv.open(server.url) as ws:
        with ws.tracking.begin("digits", name="first", parameters={"lr": 0.1}) as run:
            for step in range(5000):
                run.log(loss=step * 0.5, step=step)
            run.artifact(b"x" * 300_000, "model.bin")
        assert ws.sync()
    assert spooled() == []
    found = server.run(run.id)
    assert (found.name, found.status, found.parameters) == ("first", "succeeded", {"lr": "0.1"})
    assert server.points(run.id) == [(step, step * 0.5) for step in range(5000)]


@pytest.mark.parametrize("path", ["", "/left", "/left/"])
def test_the_project_may_stand_in_the_address(server: Server, path: str) -> None:
    with tv.open(server.url + path) as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
    assert server.points(run.id) == [(0, 1.0)]


def test_the_project_may_stand_beside_the_address(server: Server) -> None:
    with tv.open(server.url, project="left") as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
    assert server.points(run.id) == [(0, 1.0)]


def test_the_environment_names_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_URL", server.url)
    with tv.open() as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
    assert server.points(run.id) == [(0, 1.0)]


def test_a_server_that_is_not_there_keeps_nobody_waiting(server: Server) -> None:
    server.kill()
    began = time.monotonic()
    with tv.open(server.url) as ws, ws.tracking.begin(system=False) as run:
        for step in range(1000):
            run.log(loss=step * 0.5, step=step)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert len(spooled()) == 1
    told = sync()
    assert told.returncode == 7
    (failed,) = json.loads(told.stdout)
    assert (failed["state"], failed["runs"][run.id]["points"]) == ("failed", 1000)
    server.start()
    dry = json.loads(sync("--dry-run").stdout)
    assert dry[0]["runs"][run.id] == failed["runs"][run.id]
    assert server.points(run.id) == []
    sent = sync(server.url)
    assert sent.returncode == 0
    assert json.loads(sent.stdout)[0]["runs"][run.id]["points"] == 1000
    assert json.loads(sync().stdout) == []
    assert spooled() == []
    assert server.points(run.id) == [(step, step * 0.5) for step in range(1000)]
    assert server.run(run.id).status == "succeeded"


def test_a_dry_run_counts_what_is_sent_then(server: Server) -> None:
    server.kill()
    with tv.open(server.url) as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
        run.artifact(b"x" * 300_000, "model.bin")
        run.artifact(b"y", "sub/small.txt")
    server.start()
    (dry,) = json.loads(sync("--dry-run").stdout)
    (sent,) = json.loads(sync().stdout)
    assert dry["runs"] == sent["runs"]
    assert sent["runs"][run.id]["files"] >= 2
    assert sent["runs"][run.id]["size_bytes"] >= 300_001


def test_what_a_server_refuses_waits_until_it_is_given_up(server: Server) -> None:
    nobody = "0" * 31 + "1"
    with tv.open(server.url) as ws:
        with ws.tracking.begin(system=False) as run:
            run.log(loss=1)
        with ws.tracking.join(nobody) as other:
            other.log(loss=2)
    (waiting,) = json.loads(sync().stdout)
    assert (waiting["state"], list(waiting["runs"])) == ("waiting", [nobody])
    assert sync("--give-up", run.id).returncode == 1
    for options, why in (((run.id,), "no server refused"), ((nobody, "--dry-run"), "nothing is")):
        assert f"as {why}" in sync("--give-up", *options, form="").stdout
    told = sync("--give-up", nobody)
    assert told.returncode == 0
    (given_up,) = json.loads(told.stdout)
    assert given_up["state"] == "sent"
    assert list(given_up["given_up"]) == [nobody]
    assert spooled() == []
    assert json.loads(sync().stdout) == []
    assert server.points(run.id) == [(0, 1.0)]


def test_what_waits_for_a_server_that_has_moved_goes_where_it_is_now(server: Server) -> None:
    before = "http://127.0.0.1:1"
    with tv.open(f"{before}/left") as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
    assert json.loads(sync(server.url).stdout) == []  # its token is for nobody else's spools
    assert sync("--spooled-for", before).returncode == 2
    told = sync(server.url, "--spooled-for", before)
    assert told.returncode == 0
    assert json.loads(told.stdout)[0]["url"] == f"{server.url}/left"
    assert server.points(run.id) == [(0, 1.0)]
    assert spooled() == []


@pytest.mark.crash
@pytest.mark.parametrize("is_up", [True, False])
def test_a_program_that_is_killed_loses_nothing_that_was_flushed(
    server: Server, is_up: bool
) -> None:
    if not is_up:
        server.kill()
    child = program(server, "1000000", "0.01")
    run, durable = read_until(child, 5000)
    kill(child)
    if not is_up:
        server.start()
    assert sync(server.url).returncode == 0
    points = server.points(run)
    assert len(points) >= durable
    assert points == [(step, step * 0.5) for step in range(len(points))]
    found = server.run(run)
    assert (found.status, found.parameters) == ("running", {"lr": "0.1"})
    assert json.loads(sync(server.url).stdout) == []


@pytest.mark.crash
def test_a_program_that_begins_sends_what_a_dead_one_left(server: Server) -> None:
    server.kill()
    child = program(server, "1000000", "0.01")
    run, durable = read_until(child, 500)
    kill(child)
    server.start()
    with tv.open(server.url):
        wait_for(lambda: not [f for f in spooled() if f.name < _newest()])
    assert len(server.points(run)) >= durable


def _newest() -> str:
    return max((folder.name for folder in spooled()), default="")


@pytest.mark.crash
def test_a_server_that_is_killed_again_and_again_gets_everything_once(server: Server) -> None:
    child = program(server, "30000", "0.02")
    assert child.stdout is not None
    run = child.stdout.readline().strip()
    for pause_s in (0.9, 1.3, 0.6, 1.7):
        time.sleep(pause_s)
        server.kill()
        server.start()
    child.stdout.read()
    assert child.wait(PATIENCE_S) == 0
    child.stdout.close()
    assert sync(server.url).returncode == 0
    assert server.points(run) == [(step, step * 0.5) for step in range(30000)]
    assert server.run(run).status == "succeeded"


@pytest.mark.crash
def test_syncing_that_is_killed_goes_on_where_it_was(server: Server) -> None:
    server.kill()
    runs: list[str] = []
    for _ in range(3):
        child = program(server, "40000")
        runs.append(read_until(child, 40000)[0])
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    server.start()
    for pause_s in (0.5, 0.7, 0.9, 1.1, 1.3):
        words = [sys.executable, "-m", "trivet", "sync", "--json", server.url]
        syncing = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pause_s)
        syncing.kill()
        syncing.wait()
    assert sync(server.url).returncode == 0
    assert json.loads(sync(server.url).stdout) == []
    for run in runs:
        assert server.points(run) == [(step, step * 0.5) for step in range(40000)]
        assert server.run(run).status == "succeeded"


def test_the_runs_of_a_folder_are_sent_and_stay(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "mine"\n')
    with tv.open(folder) as ws, ws.tracking.begin("digits", system=False) as run:
        run.log(loss=1)
    words = (server.url, "--folder", str(folder))
    assert json.loads(sync(*words).stdout)[0]["runs"][run.id]["points"] == 1
    assert json.loads(sync(*words).stdout)[0]["runs"] == {}
    assert server.points(run.id) == [(0, 1.0)]
    with tv.open(folder) as ws:
        assert ws.tracking.reported.get(run.id).status == "succeeded"


def test_a_wrong_token_is_said_and_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with tv.open(server.url, token="trv_wrong") as ws, ws.tracking.begin(system=False) as run:
        run.log(loss=1)
        with pytest.raises(Forbidden, match=r"the token is not valid here"):
            ws.tracking.search()
    assert f"{server.url}: the token is not valid here." in caplog.text
    assert "did not answer" not in caplog.text
    monkeypatch.setenv("TRIVET_TOKEN", "trv_wrong")
    refused = sync(server.url)
    assert (refused.returncode, json.loads(refused.stdout)[0]["is_forbidden"]) == (6, True)
    monkeypatch.setenv("TRIVET_TOKEN", server.token)
    assert json.loads(sync(server.url).stdout)[0]["state"] == "sent"
    assert server.points(run.id) == [(0, 1.0)]


def test_a_token_may_come_as_a_line_of_a_file(server: Server) -> None:
    with tv.open(server.url, token=f"{server.token}\n") as ws:
        assert len(ws.tracking.search()) == 0
    for odd in ("trv_a\nx", "trv_ü", "trv_a b"):
        with pytest.raises(Invalid, match="the token has") as refused:
            tv.open(server.url, token=odd)
        assert "trv_" not in str(refused.value)


def test_a_run_of_another_machine_is_joined_by_its_identifier(server: Server) -> None:
    with tv.open(server.url) as one, tv.open(server.url) as two:
        with one.tracking.begin("digits", name="both", system=False) as run:
            run.log(loss=1, step=0)
            with two.tracking.join(run.id) as other:
                other.log(loss=2, step=1)
        assert one.sync()
        assert two.sync()
    assert server.points(run.id) == [(0, 1.0), (1, 2.0)]
    assert server.run(run.id).name == "both"


def test_another_program_goes_on_with_a_run_behind_its_last_step(server: Server) -> None:
    with tv.open(server.url) as ws, ws.tracking.begin("digits", system=1) as run:
        run.log(loss=1, step=41)
    with tv.open(server.url) as ws, ws.tracking.resume(run.id, system=False) as again:
        again.log(loss=2)
        assert ws.sync()
        assert server.run(run.id).status == "running"
    assert server.points(run.id) == [(41, 1.0), (42, 2.0)]
    assert server.run(run.id).status == "succeeded"


def test_a_run_goes_on_behind_what_a_dead_program_has_not_sent(server: Server) -> None:
    server.kill()
    child = program(server, "1000000", "0.01")
    run, durable = read_until(child, 500)
    kill(child)
    with tv.open(server.url) as ws, ws.tracking.resume(run, system=False) as again:
        again.log(loss=-1)
        again.flush()
        step = ws.tracking.reported.metrics.latest(run)["loss"].step
    assert step >= durable
    server.start()
    assert sync(server.url).returncode == 0
    assert [place for place, _ in server.points(run)] == list(range(step + 1))


def test_a_run_that_came_to_no_number_is_gone_on_with_behind_its_last_step(server: Server) -> None:
    with tv.open(server.url) as ws, ws.tracking.begin("digits", system=False) as run:
        run.log(loss=math.nan, step=7)
    with tv.open(server.url) as ws, ws.tracking.resume(run.id, system=False) as again:
        again.log(loss=math.inf)
    points = server.points(run.id)
    assert [step for step, _ in points] == [7, 8]
    assert math.isnan(points[0][1])
    assert points[1][1] == math.inf


def test_runs_of_everybody_are_found_by_an_address_as_in_the_folder(server: Server) -> None:
    odd = [math.nan, math.inf, -math.inf]
    with tv.open(server.url) as ws:
        for number in range(23):
            with ws.tracking.begin(
                "sweep", name=f"s{number}", parameters={"n": number}, system=False
            ) as run:
                run.log(loss=[*odd, *map(float, range(20))][number])
        assert ws.sync()
    asked = {"order": ["metrics.loss DESC"], "experiment": "sweep"}
    with tv.open(server.url) as there, tv.open(server.folder) as here:
        for filter_ in ("", "params.n > 1 AND metrics.loss != 5", "metrics.loss > 100"):
            expected = here.tracking.search(filter_, **asked)
            assert told(there.tracking.search(filter_, **asked)) == told(expected)
        found, after, pages = [], None, 0
        while after is not None or not pages:
            page = there.tracking.search(**asked, after=after, limit=5)
            found += page.runs
            after, pages = page.after, pages + 1
        assert (pages, [run.id for run in found]) == (
            5,
            [r.id for r in here.tracking.search(**asked)],
        )
        columns = ["name", "params.n", "metrics.loss", "seconds"]
        frames = [ws.tracking.search(columns=columns).to_polars() for ws in (there, here)]
        assert frames[0].equals(frames[1], null_equal=True)
        assert there.tracking.finder.get([run.id])[0].name == "s22"
        assert there.tracking.finder.get(["f" * 32]) == []
        for wrong in ({"filter": "metrics.los > 1"}, {"order": "nothing"}, {"limit": 0}):
            with pytest.raises(Invalid):
                there.tracking.search(**wrong)
        with pytest.raises(NotFound):
            there.tracking.search(experiment="nobody's")
    server.kill()
    with tv.open(server.url) as there, pytest.raises(Unavailable):
        there.tracking.search()


def test_large_runs_come_in_as_many_answers_as_they_need(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tv.open(server.url) as ws:
        for number in range(11):
            with ws.tracking.begin("large", parameters={"text": "x" * 3000}, system=False) as run:
                run.log(n=number)
        assert ws.sync()
        monkeypatch.setattr("trivet.adapters.http.courier._MOST_ANSWER_BYTES", 10_000)
        found = ws.tracking.search(order="metrics.n")
        assert [run.metrics["n"] for run in found] == list(range(11))
        monkeypatch.setattr("trivet.adapters.http.courier._MOST_ANSWER_BYTES", 1000)
        with pytest.raises(Unavailable, match="more than 1,000 bytes"):
            ws.tracking.search()


def told(found: FoundRuns) -> list[str]:
    """What was found, in words in which what is no number is equal to itself."""
    return [repr(sorted(run.row.items())) for run in found]


def test_a_server_is_searched_from_the_command_line(server: Server) -> None:
    with tv.open(server.url) as ws, ws.tracking.begin("digits", name="one", system=False) as run:
        run.log(loss=0.25)
    for place in (("--server", server.url), ("--server", server.url, "--in", "left")):
        said = trivet("runs", *place, "--filter", "metrics.loss < 1", "--json")
        (found,) = json.loads(said.stdout)["runs"]
        assert (found["id"], found["metrics.loss"]) == (run.id, 0.25)
    assert trivet("runs", "--server", server.url, "--in", "nobodys").returncode == 3


def trivet(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "trivet", *words], capture_output=True, text=True, check=False
    )


FORKS = """
import os, sys, trivet as tv
run = tv.open(sys.argv[1]).tracking.begin("digits", system=False)  # nobody keeps the workspace
run.log(loss=0, step=0)
child = os.fork()
if not child:
    run.log(loss=0.5, step=1)
    run.flush()
    sys.exit(0)  # with all that is done at exit
os.waitpid(child, 0)
run.log(loss=1, step=2)
run.finish()
print(run.id)
other = tv.open(sys.argv[1]).tracking.begin("digits", system=False)
other.log(loss=7)
print(other.id)
"""


def test_a_program_that_forks_and_closes_nothing_leaves_nothing_out(server: Server) -> None:
    words = [sys.executable, "-c", FORKS, server.url]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    first, second = done.stdout.split()
    assert server.points(first) == [(0, 0.0), (1, 0.5), (2, 1.0)]
    assert server.run(first).status == "succeeded"
    assert server.points(second) == [(0, 7.0)]
    assert spooled() == []


def test_several_programs_at_once_have_spools_of_their_own(server: Server) -> None:
    children = [program(server, "3000") for _ in range(4)]
    runs = [read_until(child, 3000)[0] for child in children]
    for child in children:
        assert child.wait(PATIENCE_S) == 0
        assert child.stdout is not None
        child.stdout.close()
    assert spooled() == []
    for run in runs:
        assert server.points(run) == [(step, step * 0.5) for step in range(3000)]


def test_rooms_that_no_address_reaches_say_so(server: Server) -> None:
    with tv.open(server.url) as ws:
        assert isinstance(ws, RemoteWorkspace)
        for room in ("data", "models", "pipelines", "releases", "serving", "triggers", "access"):
            with pytest.raises(Unsupported, match=room):
                getattr(ws, room)
        with pytest.raises(Unsupported):
            ws.tracking.note("0" * 32, "text")


@pytest.mark.parametrize(
    "url", ["http://", "http://a b", "http://me:secret@host", "https://host?x=1", "http://h:x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="the address"):
        read_address(url)


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)
