"""Calls about runs: their life, what they report, and searches for them."""

from typing import Final

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.core.filtering import parse_filter, parse_order
from trivet.tracking.reporting.facts import STATUS_WORDS, Input, ModelLink, Report
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.reporting.searching import run_grammar
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import (
    VIEWS,
    experiment_number,
    numbered,
    page_size,
    seen_in,
)
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message, run_info, run_message

_NAME: Final = "mlflow.runName"
_MODELS: Final = "mlflow.log-model.history"
_MOST: Final = 50_000
_MOST_EXPERIMENTS: Final = 20
_MOST_PARAMETER: Final = 6000
_MOST_TAG: Final = 8000
_MOST_INPUT: Final = {
    "name": 500,
    "digest": 36,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}
"""The most characters of a data set's fields."""
_MOST_INPUT_KEY: Final = 255
_MOST_INPUT_VALUE: Final = 500


def _create(rooms: Rooms, fields: Fields) -> Message:
    tags = fields.tags()
    name = fields.text("run_name")
    if name and tags.get(_NAME, name) != name:
        raise Invalid(
            f"Both 'run_name' argument and '{_NAME}' tag are specified, but with different values "
            f"(run_name={name!r}, {_NAME}={tags[_NAME]!r}).",
            code="two-names",
        )
    experiment = rooms.experiments.get(experiment_number(fields, default=0))
    run = rooms.runs.open(
        Opening(
            experiment=experiment.number,
            name=name or tags.get(_NAME, ""),
            user=fields.text("user_id"),
            began_ms=fields.integer("start_time"),
            tags=tags,
            location=f"{experiment.location.rstrip('/')}/{{run}}/artifacts",
            name_tag=_NAME,
        )
    )
    return {"run": run_message(run)}


def _get(rooms: Rooms, fields: Fields) -> Message:
    return {"run": run_message(rooms.runs.get(run_of(fields)))}


def _update(rooms: Rooms, fields: Fields) -> Message:
    run = run_of(fields)
    status = fields.choice("status", tuple(STATUS_WORDS), "")
    name = fields.text("run_name")
    report = Report(
        name=name or None,
        tags={_NAME: name} if name else {},
        status=STATUS_WORDS[status] if status else None,
        ended_ms=fields.integer("end_time") if fields.has("end_time") else None,
    )
    rooms.runs.report(run, report)
    return {"run_info": run_info(rooms.runs.get(run))}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.runs.delete(fields.demanded("run_id"))
    return {}


def _restore(rooms: Rooms, fields: Fields) -> Message:
    rooms.runs.restore(fields.demanded("run_id"))
    return {}


def _search(rooms: Rooms, fields: Fields) -> Message:
    grammar = run_grammar(rooms.runs.most_inputs)
    experiments = fields.texts("experiment_ids")
    text, orders = fields.text("filter"), fields.texts("order_by")
    view = fields.choice("run_view_type", VIEWS, "ACTIVE_ONLY")
    limit = page_size(fields, 1000, _MOST)
    search = ["runs", experiments, text, orders, view]
    where = seen_in(view, parse_filter(text, grammar))
    order = [parse_order(item, grammar) for item in orders]
    if any(item.name.startswith("datasets.") for item in order):
        raise Invalid("runs cannot be ordered by their data sets", code="bad-order")
    if len({item.name for item in order}) < len(order):
        raise Invalid("`order_by` contains duplicate fields; expected each once", code="bad-order")
    after = read_token(fields.text("page_token"), search)
    numbers = list(dict.fromkeys(map(numbered, experiments)))
    found, after = rooms.runs.search(numbers, where, order=order, after=after, limit=limit)
    return with_token({"runs": list(map(run_message, found))}, after, search)


def _log_parameter(rooms: Rooms, fields: Fields) -> Message:
    run = run_of(fields)
    parameters = {fields.demanded("key"): cut_parameter(fields.text("value"))}
    rooms.runs.report(run, Report(parameters=parameters))
    return {}


def _set_tag(rooms: Rooms, fields: Fields) -> Message:
    rooms.runs.report(run_of(fields), tagging({fields.demanded("key"): fields.text("value")}))
    return {}


def _delete_tag(rooms: Rooms, fields: Fields) -> Message:
    rooms.runs.untag(run_of(fields), fields.demanded("key"))
    return {}


def _log_inputs(rooms: Rooms, fields: Fields) -> Message:
    run = fields.demanded("run_id")
    inputs = tuple(_input(item) for item in fields.messages("datasets"))
    models = tuple(ModelLink(model=m.demanded("model_id")) for m in fields.messages("models"))
    rooms.runs.report(run, Report(inputs=inputs, models_in=models))
    return {}


def _search_datasets(rooms: Rooms, fields: Fields) -> Message:
    experiments = fields.texts("experiment_ids")
    if not experiments:
        raise Invalid(
            "SearchDatasets request must specify at least one experiment_id.", code="missing-field"
        )
    if len(experiments) > _MOST_EXPERIMENTS:
        raise Invalid(
            f"SearchDatasets request cannot specify more than {_MOST_EXPERIMENTS} experiment_ids; "
            f"received {len(experiments)}.",
            code="too-many",
        )
    found = rooms.runs.inputs(list(map(numbered, experiments)))
    return {
        "dataset_summaries": [
            {"experiment_id": str(use.experiment), "name": use.name, "digest": use.digest}
            | ({"context": use.context} if use.context else {})
            for use in found
        ]
    }


def _outputs(rooms: Rooms, fields: Fields) -> Message:
    run = fields.demanded("run_id")
    if not fields.has("models"):
        raise fields.missing("models")
    models = tuple(
        ModelLink(model=m.demanded("model_id"), step=m.integer("step"))
        for m in fields.messages("models")
    )
    rooms.runs.report(run, Report(models_out=models))
    return {}


def _log_model(rooms: Rooms, fields: Fields) -> Message:
    """Take a model's description, as clients before 3 send it, into the list in a tag."""
    run, text = run_of(fields), fields.demanded("model_json")
    try:
        described = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(
            f"Malformed model info. \n {text[:200]} \n is not a valid JSON: {error}",
            code="bad-model",
        ) from error
    missing = {"artifact_path", "flavors", "utc_time_created", "run_id"} - described.keys()
    if missing:
        raise Invalid(
            f"Model json is missing mandatory fields: {sorted(missing)}", code="bad-model"
        )
    history = _models_in(rooms.runs.get(run).tags.get(_MODELS) or "[]")
    value = msgspec.json.encode([*history, described]).decode()
    rooms.runs.report(run, Report(tags={_MODELS: value}))
    return {}


def _models_in(tag: str) -> list[object]:
    try:
        return msgspec.json.decode(tag, type=list[object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(
            f"the tag {_MODELS} of the run is no JSON list of models: {error}",
            code="bad-model",
            hint="Delete the tag, and log the model again.",
        ) from error


def run_of(fields: Fields) -> str:
    """Return which run a request is about; `run_uuid` is an older name of `run_id`.

    Raises:
        Invalid: It names none.
    """
    run = fields.text("run_id") or fields.text("run_uuid")
    if not run:
        raise fields.missing("run_id")
    return run


def tagging(tags: dict[str, str]) -> Report:
    """Return the report that sets tags; one of them is the run's name."""
    cut = {key: value[:_MOST_TAG] for key, value in tags.items()}
    return Report(tags=cut, name=tags.get(_NAME) or None)


def cut_parameter(value: str) -> str:
    """Cut a parameter's value as MLflow does: a program shall not fail because one is long."""
    return value[:_MOST_PARAMETER]


def _input(fields: Fields) -> Input:
    dataset, tags = fields.message("dataset"), fields.tags()
    for name, most in _MOST_INPUT.items():
        _check_length(name, dataset.text(name), most)
    for key, value in tags.items():
        _check_length("key", key, _MOST_INPUT_KEY)
        _check_length("value", value, _MOST_INPUT_VALUE)
    return Input(
        name=dataset.demanded("name"),
        digest=dataset.demanded("digest"),
        source_type=dataset.demanded("source_type"),
        source=dataset.demanded("source"),
        schema=dataset.optional("schema"),
        profile=dataset.optional("profile"),
        tags=tags,
    )


def _check_length(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise Invalid(
            f"'{name}' exceeds the maximum length of {most} characters: it has {len(text)}",
            code="too-long",
        )


_READ, _WRITE = Permission.READ, Permission.LOG

CALLS: Final = (
    Call("POST", "/runs/create", _WRITE, "Begin a run", _create),
    Call("GET", "/runs/get", _READ, "Get a run", _get),
    Call("POST", "/runs/update", _WRITE, "Change a run's status or name", _update),
    Call("POST", "/runs/delete", _WRITE, "Delete a run", _delete),
    Call("POST", "/runs/restore", _WRITE, "Restore a run", _restore),
    Call("POST", "/runs/search", _READ, "Search runs", _search),
    Call("POST", "/runs/log-parameter", _WRITE, "Log a parameter", _log_parameter),
    Call("POST", "/runs/set-tag", _WRITE, "Tag a run", _set_tag),
    Call("POST", "/runs/delete-tag", _WRITE, "Untag a run", _delete_tag),
    Call("POST", "/runs/log-inputs", _WRITE, "Log a run's inputs", _log_inputs),
    Call(
        "POST",
        "/experiments/search-datasets",
        _READ,
        "List the data sets that experiments used",
        _search_datasets,
    ),
    Call("POST", "/runs/outputs", _WRITE, "Log the models a run made", _outputs),
    Call("POST", "/runs/log-model", _WRITE, "Log a model's description", _log_model),
)
