"""Trivet's nouns in the words of MLflow's wire."""

import math
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from trivet.tracking.reporting.facts import WORDS, Experiment, Input, Latest, ReportedRun
from trivet.tracking.reporting.points import Point

Message = dict[str, Any]


class PointMessage(msgspec.Struct, frozen=True, gc=False):
    """A point of a metric.

    Answers hold tens of thousands, so it is no dictionary, and the garbage collector is spared it:
    it refers to nothing that could refer back.
    """

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str | UnsetType = UNSET


def experiment_message(experiment: Experiment) -> Message:
    """Render an experiment."""
    return {
        "experiment_id": str(experiment.number),
        "name": experiment.name,
        "artifact_location": experiment.location,
        "lifecycle_stage": experiment.stage,
        "creation_time": experiment.made_ms,
        "last_update_time": experiment.changed_ms,
        "tags": pairs(experiment.tags),
    }


def run_message(run: ReportedRun) -> Message:
    """Render a run with its data, inputs and outputs."""
    return {
        "info": run_info(run),
        "data": {
            "metrics": [_latest(key, item) for key, item in run.metrics.items()],
            "params": pairs(run.parameters),
            "tags": pairs(run.tags),
        },
        "inputs": {
            "dataset_inputs": [_input(item) for item in run.inputs],
            "model_inputs": [{"model_id": link.model} for link in run.models_in],
        },
        "outputs": {
            "model_outputs": [
                {"model_id": link.model, "step": link.step} for link in run.models_out
            ]
        },
    }


def run_info(run: ReportedRun) -> Message:
    """Render a run's own fields."""
    info: Message = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": str(run.experiment),
        "user_id": run.user,
        "status": WORDS[run.status],
        "start_time": run.began_ms,
        "artifact_uri": run.location,
        "lifecycle_stage": run.stage,
    }
    if run.ended_ms is not None:
        info["end_time"] = run.ended_ms
    return info


def point_message(point: Point, run: str | UnsetType = UNSET) -> PointMessage:
    """Render a point of a metric, with its run where points of several are answered."""
    return PointMessage(point.key, number(point.value), point.time_ms, point.step, run)


def pairs(values: dict[str, str]) -> list[Message]:
    """Render a mapping as the wire's list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def number(value: float) -> float | str:
    """Render a number; JSON has no words for those that are not finite."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _latest(key: str, item: Latest) -> PointMessage:
    return PointMessage(key, number(item.value), item.time_ms, item.step)


def _input(item: Input) -> Message:
    described = {
        "name": item.name,
        "digest": item.digest,
        "source_type": item.source_type,
        "source": item.source,
        "schema": item.schema,
        "profile": item.profile,
    }
    known = {name: value for name, value in described.items() if value is not None}
    return {"tags": pairs(item.tags), "dataset": known}
