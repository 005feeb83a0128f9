"""Calls about logged models: models that clients keep as files of an experiment."""

from typing import Final

import msgspec

from trivet.access.permissions import Permission
from trivet.core.catalog import Condition, Order
from trivet.core.errors import Invalid
from trivet.core.filtering import Grammar, parse_filter, parse_order
from trivet.tracking.reporting.logged_facts import LoggedModel, ModelPoint, ModelStatus
from trivet.tracking.reporting.logged_models import NewModel
from trivet.tracking.reporting.model_points import Dataset, measured_on, metric_order
from trivet.tracking.reporting.model_searching import logged_model_grammar
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import experiment_number, numbered, page_size
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message, number, pairs

_STATUSES: Final[dict[str, ModelStatus]] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
"""MLflow's words for how a logged model stands, in the order of its enumeration, and ours."""
_WORDS: Final = {ours: word for word, ours in _STATUSES.items()}
_IN_FILTERS: Final = {
    **_STATUSES,
    **{word.removeprefix("LOGGED_MODEL_"): ours for word, ours in _STATUSES.items()},
}
_MOST: Final = 50_000


def _create(rooms: Rooms, fields: Fields) -> Message:
    name = fields.optional("name")
    if name == "":
        raise Invalid(
            "Invalid model name ('') provided. Model name must be a non-empty string",
            code="bad-model-name",
            hint="Leave it out, and a name is made up.",
        )
    model = rooms.logged_models.make(
        NewModel(
            experiment=experiment_number(fields),
            name=name or "",
            type=fields.text("model_type"),
            run=fields.text("source_run_id"),
            parameters=fields.tags("params"),
            tags=fields.tags(),
        )
    )
    return {"model": logged_model_message(model)}


def _get(rooms: Rooms, fields: Fields) -> Message:
    allow = fields.flag("allow_deleted")
    model = rooms.logged_models.get(fields.demanded("model_id"), allow_deleted=allow)
    return {"model": logged_model_message(model)}


def _finish(rooms: Rooms, fields: Fields) -> Message:
    status = fields.choice("status", tuple(_STATUSES), "")
    if not status:
        raise fields.missing("status")
    model = rooms.logged_models.finish(fields.demanded("model_id"), _STATUSES[status])
    return {"model": logged_model_message(model)}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.logged_models.delete(fields.demanded("model_id"))
    return {}


def _tag(rooms: Rooms, fields: Fields) -> Message:
    model = fields.demanded("model_id")
    rooms.logged_models.tag(model, fields.tags())
    return {"model": logged_model_message(rooms.logged_models.get(model))}


def _untag(rooms: Rooms, fields: Fields) -> Message:
    rooms.logged_models.untag(fields.demanded("model_id"), fields.demanded("tag_key"))
    return {}


def _describe(rooms: Rooms, fields: Fields) -> Message:
    rooms.logged_models.describe(fields.demanded("model_id"), fields.tags("params"))
    return {}


def _search(rooms: Rooms, fields: Fields) -> Message:
    if not fields.has("experiment_ids"):
        raise fields.missing("experiment_ids")
    experiments, text = fields.texts("experiment_ids"), fields.text("filter")
    datasets = [_dataset(item) for item in fields.messages("datasets")]
    grammar = logged_model_grammar(_IN_FILTERS, datasets)
    order = [_order(item, grammar) for item in fields.messages("order_by")]
    limit = page_size(fields, 100, _MOST)
    search = ["logged-models", experiments, text, datasets, order]
    found, after = rooms.logged_models.search(
        [numbered(experiment) for experiment in dict.fromkeys(experiments)],
        _conditions(text, grammar, datasets),
        order=order,
        after=read_token(fields.text("page_token"), search),
        limit=limit,
    )
    return with_token({"models": list(map(logged_model_message, found))}, after, search)


def _conditions(text: str, grammar: Grammar, datasets: list[Dataset]) -> list[Condition]:
    """Return what a filter demands; without a word on metrics, any on the data sets will do."""
    names: set[str] = set()
    refine = grammar.refine

    def noticing(condition: Condition) -> Condition:
        names.add(getattr(condition, "name", ""))
        return refine(condition) if refine else condition

    found = parse_filter(text, msgspec.structs.replace(grammar, refine=noticing))
    if not datasets or any(name.startswith("metrics.") for name in names):
        return [found]
    return [found, measured_on(datasets)]


def _dataset(fields: Fields) -> Dataset:
    name = fields.text("dataset_name")
    if not name:
        raise Invalid(
            "`dataset_name` in the `datasets` clause must be specified.", code="no-dataset"
        )
    return Dataset(name, fields.text("dataset_digest") or None)


def _order(fields: Fields, grammar: Grammar) -> Order:
    name, falls = fields.demanded("field_name"), not fields.flag("ascending", default=True)
    entity, dot, key = name.partition(".")
    if dot and entity in {"metrics", "metric"}:
        dataset = fields.text("dataset_name")
        digest = fields.text("dataset_digest") or None
        return metric_order(
            key.strip('`"'), Dataset(dataset, digest) if dataset else None, falls=falls
        )
    if dot and entity not in {"attributes", "attribute", "attr"}:
        raise Invalid(
            f"Invalid order by field name: {name}. Only metrics are supported.", code="bad-order"
        )
    try:
        found = parse_order(name, grammar)
    except Invalid as error:
        raise Invalid(f"Invalid order by field name: {name}", code="bad-order") from error
    return Order(found.name, falls=falls)


def logged_model_message(model: LoggedModel) -> Message:
    """Render a logged model."""
    info: Message = {
        "model_id": model.id,
        "experiment_id": str(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": model.made_ms,
        "last_updated_timestamp_ms": model.changed_ms,
        "artifact_uri": model.location,
        "status": _WORDS[model.status],
        "model_type": model.type,
        "user_id": model.user,
        "tags": pairs(model.tags),
    }
    if model.run is not None:
        info["source_run_id"] = model.run
    metrics = [_metric(model.id, point) for point in model.metrics]
    return {"info": info, "data": {"params": pairs(model.parameters), "metrics": metrics}}


def _metric(model: str, point: ModelPoint) -> Message:
    message: Message = {
        "key": point.key,
        "value": number(point.value),
        "timestamp": point.time_ms,
        "step": point.step,
        "model_id": model,
        "run_id": point.by.run,
    }
    if point.by.dataset:
        message["dataset_name"] = point.by.dataset
    if point.by.digest:
        message["dataset_digest"] = point.by.digest
    return message


_READ, _WRITE = Permission.READ, Permission.LOG
_ONE: Final = "/logged-models/{model_id}"

CALLS: Final = (
    Call("POST", "/logged-models", _WRITE, "Begin to log a model", _create),
    Call("POST", "/logged-models/search", _READ, "Search logged models", _search),
    Call("GET", _ONE, _READ, "Get a logged model", _get),
    Call("PATCH", _ONE, _WRITE, "Say whether a logged model's files are there", _finish),
    Call("DELETE", _ONE, _WRITE, "Delete a logged model", _delete),
    Call("PATCH", f"{_ONE}/tags", _WRITE, "Tag a logged model", _tag),
    Call("DELETE", f"{_ONE}/tags/{{tag_key...}}", _WRITE, "Untag a logged model", _untag),
    Call("POST", f"{_ONE}/params", _WRITE, "Log parameters of a logged model", _describe),
)
