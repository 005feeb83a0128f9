"""What MLflow's unmodified client is asked to do: a program for its environment, not for ours.

It reads a question a line from its input, `{"do": ..., ...}`, and answers each with a line: how
many calls were made, how many a second, and the median of one.
"""

import itertools
import json
import os
import sys
import threading
import time
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

client = MlflowClient()
_numbers = itertools.count()


def singles(threads: int, seconds: float) -> dict[str, Any]:
    """Log one point a call, every thread to a run of its own."""
    runs = [_run() for _ in range(threads)]
    for run in runs:
        client.log_metric(run, "loss", 1.0, step=-1)
    taken: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds

    def log(run: str, mine: list[float]) -> None:
        now = time.perf_counter()
        while now < end:
            client.log_metric(run, "loss", 0.5, step=len(mine))
            mine.append(-now + (now := time.perf_counter()))

    workers = [threading.Thread(target=log, args=pair) for pair in zip(runs, taken, strict=True)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return _figures([one for mine in taken for one in mine], time.perf_counter() - start)


def batches(points: int, seconds: float) -> dict[str, Any]:
    """Log many points a call, of ten metrics."""
    run = _run()
    taken: list[float] = []
    start = now = time.perf_counter()
    while now < start + seconds:
        first = len(taken) * points
        metrics = [
            Metric(f"metric-{at % 10}", at / 7, 1_700_000_000_000 + at, first + at)
            for at in range(points)
        ]
        begun = time.perf_counter()
        client.log_batch(run, metrics=metrics)
        now = time.perf_counter()
        taken.append(now - begun)
    return _figures(taken, sum(taken))


def whole(seconds: float) -> dict[str, Any]:
    """Create runs with two parameters and a metric, and end them."""
    taken: list[float] = []
    start = now = time.perf_counter()
    while now < start + seconds:
        run = _run()
        client.log_param(run, "lr", 0.1)
        client.log_param(run, "depth", 7)
        client.log_metric(run, "loss", 0.5)
        client.set_terminated(run)
        taken.append(-now + (now := time.perf_counter()))
    return _figures(taken, now - start)


def later(calls: int) -> dict[str, Any]:
    """Log one point a call without waiting for it; the rate counts until all are there."""
    run = _run()
    client.log_metric(run, "loss", 1.0, step=-1)
    taken: list[float] = []
    answers: list[Any] = []
    start = time.perf_counter()
    for step in range(calls):
        begun = time.perf_counter()
        answers.append(client.log_metric(run, "loss", 0.5, step=step, synchronous=False))
        taken.append(time.perf_counter() - begun)
    answers[-1].wait()
    return _figures(taken, time.perf_counter() - start)


def fill(runs: int, metrics: int) -> dict[str, Any]:
    """Make runs with many metrics each."""
    start = time.perf_counter()
    for number in range(runs):
        family = ("resnet", "bert", "gpt", "tree")[number % 4]
        run = client.create_run("0", tags={"family": family}).info.run_id
        logged = [
            Metric(f"m{at}", (number * 7919 + at * 104729) % 10007 / 10007, number, 0)
            for at in range(metrics)
        ]
        client.log_batch(run, metrics=logged)
    return {"calls": 2 * runs, "per_s": runs / (time.perf_counter() - start), "p50_ms": 0.0}


def _run() -> str:
    return client.create_run("0", run_name=f"run-{next(_numbers)}").info.run_id


def _figures(taken: list[float], seconds: float) -> dict[str, Any]:
    return {
        "calls": len(taken),
        "per_s": len(taken) / seconds,
        "p50_ms": sorted(taken)[len(taken) // 2] * 1e3,
    }


DOES = {
    "singles": singles,
    "batches": batches,
    "whole": whole,
    "later": later,
    "fill": fill,
}

if __name__ == "__main__":
    # What MLflow prints goes to standard error: standard output is ours.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(DOES[asked.pop("do")](**asked)) + "\n")
        answers.flush()
