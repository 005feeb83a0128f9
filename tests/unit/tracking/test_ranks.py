"""Several processes of one training write one run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trivet as tv
from trivet.core.errors import Invalid
from trivet.tracking.ranks import Place, place_of_process, run_of_job

TORCH = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job-7"}
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0"}
MPI = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "rank", "size"), [(TORCH, 1, 4), (SLURM, 3, 8), (MPI, 0, 2), ({}, 0, 1)]
)
def test_launchers_say_which_process_it_is(
    environment: dict[str, str], rank: int, size: int
) -> None:
    assert place_of_process(environment) == Place(rank=rank, size=size)


@pytest.mark.parametrize("rank", ["-1", "one", "4", ""])
def test_a_rank_that_makes_no_sense_is_said(rank: str) -> None:
    with pytest.raises(Invalid, match="RANK is"):
        place_of_process({"RANK": rank, "WORLD_SIZE": "4"})


@pytest.mark.parametrize("environment", [TORCH, SLURM, MPI, {"TRIVET_RUN": "mine"}])
def test_all_ranks_of_a_job_come_to_one_run(environment: dict[str, str]) -> None:
    other = {**environment, "RANK": "0", "SLURM_PROCID": "5", "OMPI_COMM_WORLD_RANK": "1"}
    if "RANK" not in environment:
        del other["RANK"]
    assert run_of_job(0, environment) == run_of_job(0, other)
    assert run_of_job(0, environment) != run_of_job(1, environment)


def test_other_jobs_come_to_other_runs() -> None:
    jobs = [
        TORCH,
        {**TORCH, "TORCHELASTIC_RUN_ID": "job-8"},
        {**TORCH, "MASTER_PORT": "29501"},  # the same identifier on another day
        {**TORCH, "SLURM_JOB_ID": "12"},
        SLURM,
        {**SLURM, "SLURM_JOB_ID": "13"},
        {**SLURM, "SLURM_STEP_ID": "1"},
        MPI,
        {"TRIVET_RUN": "mine"},
    ]
    assert len({run_of_job(0, job) for job in jobs}) == len(jobs)


def test_a_run_may_be_named_whole() -> None:
    run = "0123456789abcdef" * 2
    assert run_of_job(0, {"TRIVET_RUN": run}) == run
    assert run_of_job(1, {"TRIVET_RUN": run}) != run


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "2"},
        {**TORCH, "TORCHELASTIC_RUN_ID": "none"},
        {**MPI, "OMPI_COMM_WORLD_SIZE": "4"},
    ],
)
def test_a_job_that_cannot_be_told_from_others_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="nothing tells") as caught:
        run_of_job(0, environment)
    assert "TRIVET_RUN" in caught.value.hint


PROGRAM = """
import os, sys, time, trivet as tv
rank = int(os.environ["RANK"])
with tv.open(sys.argv[1]) as ws:
    with ws.tracking.begin_shared("digits", name="all", parameters={"lr": 0.1}, system=0.1) as run:
        for step in range(50):
            run.log({f"rank{rank}/loss": step, "seen": rank}, step=step)
        while not len(ws.tracking.metric(run.id, f"system/rank{rank}/process_cpu_percent").steps):
            time.sleep(0.05)
    with ws.tracking.begin_shared("digits", name="second", system=False) as second:
        second.log(loss=rank, step=rank)
print(run.id, second.id)
"""


def test_all_ranks_write_one_run_and_rank_0_ends_it(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('project = "ranks"\n')
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    children = [
        subprocess.Popen(
            [sys.executable, str(program), str(tmp_path)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "RANK": str(rank),
                "WORLD_SIZE": "3",
                "LOCAL_WORLD_SIZE": "3",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (2, 1, 0)
    ]
    said = [child.communicate()[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len({json.dumps(each) for each in said}) == 1
    with tv.open(tmp_path) as ws:
        runs, _ = ws.tracking.reported.search([ws.tracking.experiments.by_name("digits").number])
        assert sorted((run.name, run.status) for run in runs) == [
            ("all", "succeeded"),
            ("second", "succeeded"),
        ]
        found = ws.tracking.reported.get(said[0][0])
        assert found.parameters == {"lr": "0.1"}
        for rank in range(3):
            assert found.metrics[f"rank{rank}/loss"].step == 49
            assert f"system/rank{rank}/process_cpu_percent" in found.metrics
        assert not any(name.startswith("system/cpu") for name in found.metrics)
        points = ws.tracking.reported.metrics.history(said[0][1], "loss")
        seen = sorted((point.step, point.value) for point in points)
        assert seen == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_without_a_launcher_a_shared_run_is_one_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("RANK", "SLURM", "OMPI", "PMI"))]:
        monkeypatch.delenv(name)
    (tmp_path / "trivet.toml").write_text('project = "ranks"\n')
    with tv.open(tmp_path) as ws, ws.tracking.begin_shared(name="alone", system=False) as run:
        run.log(loss=1)
    with tv.open(tmp_path) as ws:
        assert ws.tracking.reported.get(run.id).name == "alone"
