"""The messages of MLflow's REST interface, as far as they are read.

Whole numbers may come as text, as protobuf writes those of 64 bits; numbers that are not finite
come as words; what is not mentioned is at its default.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from trivet.core.errors import Invalid

T = TypeVar("T")


class Pair(msgspec.Struct):
    """A key and its value."""

    key: str = ""
    value: str | None = ""


class ExperimentItem(msgspec.Struct):
    """An experiment."""

    experiment_id: str
    name: str = ""
    artifact_location: str | None = ""
    lifecycle_stage: str | None = "active"
    creation_time: int | None = None
    last_update_time: int | None = None
    tags: list[Pair] | None = None


class RunInfo(msgspec.Struct):
    """A run's own fields."""

    run_id: str = ""
    run_uuid: str = ""
    run_name: str | None = ""
    user_id: str | None = ""
    status: str | None = "FINISHED"
    start_time: int | None = None
    end_time: int | None = None
    artifact_uri: str | None = ""
    lifecycle_stage: str | None = "active"


class PointItem(msgspec.Struct, gc=False):
    """A point of a metric."""

    key: str = ""
    value: float | None = 0.0
    timestamp: int | None = 0
    step: int | None = 0
    run_id: str | None = ""
    dataset_name: str | None = ""
    dataset_digest: str | None = ""


class RunData(msgspec.Struct):
    """What a run reported."""

    metrics: list[PointItem] | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class DatasetItem(msgspec.Struct):
    """A data set."""

    name: str = ""
    digest: str = ""
    source_type: str | None = ""
    source: str | None = ""
    schema: str | None = None
    profile: str | None = None


class InputItem(msgspec.Struct):
    """A data set that a run was given."""

    dataset: DatasetItem = msgspec.field(default_factory=DatasetItem)
    tags: list[Pair] | None = None


class LinkItem(msgspec.Struct):
    """A logged model that a run read or made."""

    model_id: str
    step: int | None = 0


class RunInputs(msgspec.Struct):
    """What a run was given."""

    dataset_inputs: list[InputItem] | None = None
    model_inputs: list[LinkItem] | None = None


class RunOutputs(msgspec.Struct):
    """What a run made."""

    model_outputs: list[LinkItem] | None = None


class RunItem(msgspec.Struct):
    """A run."""

    info: RunInfo
    data: RunData = msgspec.field(default_factory=RunData)
    inputs: RunInputs = msgspec.field(default_factory=RunInputs)
    outputs: RunOutputs = msgspec.field(default_factory=RunOutputs)


class ModelInfo(msgspec.Struct):
    """A logged model's own fields."""

    model_id: str
    name: str = ""
    model_type: str | None = ""
    status: str | int | None = ""
    source_run_id: str | None = ""
    artifact_uri: str | None = ""
    creation_timestamp_ms: int | None = None
    last_updated_timestamp_ms: int | None = None
    tags: list[Pair] | None = None


class ModelData(msgspec.Struct):
    """Parameters and points of a logged model."""

    params: list[Pair] | None = None
    metrics: list[PointItem] | None = None


class ModelItem(msgspec.Struct):
    """A logged model."""

    info: ModelInfo
    data: ModelData = msgspec.field(default_factory=ModelData)


class AliasItem(msgspec.Struct):
    """An alias of a registered model."""

    alias: str
    version: int


class NameItem(msgspec.Struct):
    """A registered model."""

    name: str
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    description: str | None = None
    tags: list[Pair] | None = None
    aliases: list[AliasItem] | None = None


class VersionItem(msgspec.Struct):
    """A version of a registered model."""

    version: int
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    user_id: str | None = ""
    current_stage: str | None = "None"
    description: str | None = None
    source: str | None = ""
    run_id: str | None = ""
    run_link: str | None = ""
    tags: list[Pair] | None = None


class FileItem(msgspec.Struct):
    """A file or a folder."""

    path: str
    is_dir: bool = False
    file_size: int | None = None


def read_as(value: object, kind: type[T], server: str) -> T:
    """Read a message.

    Raises:
        Invalid: It is none; the message says where.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{server} answered what is no {kind.__name__}: {error}",
            code="no-mlflow",
            hint="Is it a server of MLflow 2 or 3?",
        ) from error


def pairs(items: Iterable[Pair] | None) -> dict[str, str]:
    """Return keys and values as a mapping."""
    return {item.key: item.value or "" for item in items or ()}


def listed(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a mapping as the list of keys and values that is sent."""
    return [{"key": key, "value": value} for key, value in values.items()]
