"""What a run prints and logs is printed as ever, and kept with its step."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.data.service import DataService
from trivet.pipelines.service import PipelinesService
from trivet.tracking.service import TrackingService


@pytest.fixture
def run_flow(stores: Stores, scope: Scope, tmp_path: Path, monkeypatch: Any) -> Any:
    """Runs a flow whose body is given, and returns the lines that were kept of it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    tracking, data = TrackingService(stores, scope), DataService(stores, scope)
    service = PipelinesService(stores, scope, tracking, data, tmp_path)

    def run(text: str, **options: Any) -> list[tuple[str, str, str]]:
        begin = "import sys, logging, threading\nfrom trivet import step, flow, map\n"
        (tmp_path / "printing.py").write_text(begin + text, "utf-8")
        sys.modules.pop("printing", None)
        made = service.run("printing:main", **options)
        return [(line.step, line.source, line.text) for _, line in service.lines(made.id)]

    yield run
    sys.modules.pop("printing", None)


def test_lines_are_printed_and_kept_with_the_step_that_wrote_them(
    run_flow: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run_flow(
        "@step\ndef load():\n    print('12', 'rows')\n    print('careful', file=sys.stderr)\n"
        "    return 1\n"
        "@flow\ndef main():\n    print('begin')\n    load()\n    sys.stdout.write('no end')\n"
    )
    assert lines == [
        ("", "out", "begin"),
        ("load", "out", "12 rows"),
        ("load", "err", "careful"),
        ("", "out", "no end"),
    ]
    printed = capsys.readouterr()
    assert printed.out == "begin\n12 rows\nno end"
    assert printed.err == "careful\n"


def test_a_record_of_logging_is_kept_once_whatever_its_handlers_print(
    run_flow: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run_flow(
        "log = logging.getLogger('theirs')\n"
        "@step\ndef fit():\n"
        "    handler = logging.StreamHandler()\n    log.addHandler(handler)\n"
        "    log.warning('slow: %s', 3)\n    log.removeHandler(handler)\n"
        "    log.debug('not enabled')\n"
        "    try:\n        1 / 0\n    except ZeroDivisionError:\n        log.exception('oh')\n"
        "@flow\ndef main():\n    fit()\n"
    )
    assert lines[0] == ("fit", "log", "WARNING theirs: slow: 3")
    assert lines[1] == ("fit", "log", "ERROR theirs: oh")
    assert lines[-1] == ("fit", "log", "ZeroDivisionError: division by zero")
    assert all(source == "log" for _, source, _ in lines)
    assert "slow: 3" in capsys.readouterr().err


def test_threads_that_a_step_starts_write_for_the_step(run_flow: Any) -> None:
    lines = run_flow(
        "@step\ndef work():\n"
        "    threads = [threading.Thread(target=lambda n=n: [print(n, i) for i in range(50)])"
        " for n in 'ab']\n"
        "    for t in threads: t.start()\n"
        "    for t in threads: t.join()\n"
        "@flow\ndef main():\n    work()\n"
    )
    assert {step for step, _, _ in lines} == {"work"}
    for name in "ab":
        assert [t for _, _, t in lines if t[0] == name] == [f"{name} {i}" for i in range(50)]


def test_the_streams_and_the_loggers_are_as_before_when_the_run_is_over(run_flow: Any) -> None:
    out, err, hand_out = sys.stdout, sys.stderr, logging.Logger.callHandlers
    run_flow("@flow\ndef main():\n    print(1)\n")
    with pytest.raises(ZeroDivisionError):
        run_flow("@flow\ndef main():\n    1 / 0\n")
    assert (sys.stdout, sys.stderr, logging.Logger.callHandlers) == (out, err, hand_out)


def test_secrets_of_the_environment_are_masked_also_those_that_the_flow_sets(
    run_flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "k-123456")
    monkeypatch.setenv("LEVEL_TOKEN", "1")
    monkeypatch.setenv("LATER_SECRET", "")
    lines = run_flow(
        "import os\n"
        "@flow\ndef main():\n"
        "    os.environ['LATER_SECRET'] = 'tell-nobody'\n"
        "    print('with', os.environ['MY_API_KEY'], 'and tell-nobody, 1 time')\n"
        "    print('postgres://ada:lovelace@host/db')\n"
    )
    assert [text for _, _, text in lines] == [
        "with *** and ***, 1 time",
        "postgres://ada:***@host/db",
    ]


def test_a_bar_of_progress_is_kept_as_it_ended_and_no_sequence_reaches_another_terminal(
    run_flow: Any,
) -> None:
    lines = run_flow(
        "@flow\ndef main():\n"
        "    for n in range(101): print(f'\\r{n} %', end='')\n"
        "    print()\n"
        "    print('\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mred\\x1b[0m \\x07bell')\n"
    )
    assert [text for _, _, text in lines] == ["100 %", "red bell"]


def test_two_runs_in_two_threads_keep_their_own_lines(
    run_flow: Any, stores: Stores, scope: Scope, tmp_path: Path
) -> None:
    run_flow("@flow\ndef main(name: str = ''):\n    for i in range(200): print(name, i)\n")
    found: dict[str, list[str]] = {}

    def run(name: str) -> None:
        tracking, data = TrackingService(stores, scope), DataService(stores, scope)
        service = PipelinesService(stores, scope, tracking, data, tmp_path)
        made = service.run("printing:main", name=name)
        found[name] = [line.text for _, line in service.lines(made.id)]

    threads = [threading.Thread(target=run, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [f"{name} {i}" for i in range(200)] for name in "xyz"}


PRINTS_ON = """
import os, sys, threading
from trivet.pipelines.logs.capture import captured
from trivet.pipelines.logs.lines import LineWriter
from trivet.testing.memory_stores import memory_stores

def print_on():
    while not over.is_set():
        print("no end", end=" ")
        print("of it")

sys.setswitchinterval(1e-6)
sys.stdout = open(os.devnull, "w")
over, stores = threading.Event(), memory_stores()
threads = [threading.Thread(target=print_on) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for number in range(1000):
        writer = LineWriter(stores, "p", str(number))
        with captured(str(number), writer):
            writer.began(str(number))
            writer.ended(str(number))
finally:
    over.set()
"""


def test_threads_may_print_on_while_runs_begin_and_end() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", PRINTS_ON], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking beside threads, on purpose
def test_a_child_that_was_forked_off_writes_nothing_for_its_parent(run_flow: Any) -> None:
    lines = run_flow(
        "import os\n"
        "@flow\ndef main():\n"
        "    print('parent', flush=True)\n"
        "    pid = os.fork()\n"
        "    if not pid:\n        print('child', flush=True)\n        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
    )
    assert [text for _, _, text in lines] == ["parent"]


def test_what_whoever_watches_the_run_prints_is_no_line_of_the_run(run_flow: Any) -> None:
    def tell(event: Any) -> None:
        print("watching", event.kind, file=sys.stderr)
        logging.getLogger("watcher").warning("seen")

    text = "@step\ndef load():\n    print('mine')\n    return 1\n@flow\ndef main():\n    load()\n"
    assert run_flow(text, on_event=tell) == [("load", "out", "mine")]
