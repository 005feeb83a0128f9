"""The language of filters for runs, clause by clause, on a set of runs that has every corner."""

import math

from judging import check, fresh, judge, refused, same
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient

client = MlflowClient()
INVALID = "INVALID_PARAMETER_VALUE"


def a_run(name: str, **has: object) -> str:
    run = client.create_run(
        EXPERIMENT, start_time=has.get("start", 1000), run_name=name
    ).info.run_id
    client.log_batch(
        run,
        [Metric(key, value, 1, 1) for key, value in has.get("metrics", {}).items()],
        [Param(key, value) for key, value in has.get("params", {}).items()],
        [RunTag(key, value) for key, value in has.get("tags", {}).items()],
    )
    for dataset, digest, context in has.get("datasets", ()):
        tags = [InputTag("mlflow.data.context", context)] if context else []
        client.log_inputs(run, [DatasetInput(Dataset(dataset, digest, "local", "x"), tags)])
    if "end" in has:
        client.set_terminated(run, has.get("status", "FINISHED"), has["end"])
    return run


EXPERIMENT = client.create_experiment(fresh("searching"))
NAMES: dict[str, str] = {}
for name, has in {
    "alpha": {
        "start": 1000,
        "end": 5000,
        "metrics": {"loss": 0.5, "a/b": 1.0, "with space": 2.0, "big": 1e300},
        "params": {"lr": "0.1", "kind": "Tree", "a.b": "x", "empty": "", "quote": "it's"},
        "tags": {"team": "Red"},
        "datasets": [("Iris", "d1", "train"), ("wine", "d2", "eval")],
    },
    "beta": {
        "start": 2000,
        "end": 6000,
        "status": "FAILED",
        "metrics": {"loss": 0.25, "big": -1e300},
        "params": {"lr": "0.01", "kind": "tree"},
        "tags": {"team": "red", "only": "1"},
        "datasets": [("Iris", "d3", "train")],
    },
    "gamma": {
        "start": 3000,
        "metrics": {"loss": math.nan},
        "params": {"lr": "1e-3", "kind": "linear"},
        "tags": {"team": "blue_1"},
        "datasets": [("wine", "d2", "")],
    },
    "delta": {"start": 4000, "end": 7000, "status": "KILLED"},
}.items():
    NAMES[a_run(name, **has)] = name
IDS = {name: run for run, name in NAMES.items()}


def found(text: str) -> set[str]:
    return {NAMES[run.info.run_id] for run in client.search_runs([EXPERIMENT], text)}


def each_finds(cases: dict[str, str]) -> None:
    """The names are given as their first letters: `ab` is alpha and beta."""
    wrong = {}
    for text, wanted in cases.items():
        try:
            letters = "".join(sorted(name[0] for name in found(text)))
        except Exception as error:
            letters = f"{type(error).__name__}: {error}"[:200]
        if letters != "".join(sorted(wanted)):
            wrong[text] = f"wanted {wanted!r}, found {letters!r}"
    same(wrong, {})


@check()
def numbers_are_compared() -> None:
    each_finds(
        {
            "": "abgd",
            "metrics.loss > 0.25": "a",
            "metrics.loss >= 0.25": "ab",
            "metrics.loss < 0.5": "b",
            "metrics.loss <= 0.5": "ab",
            "metrics.loss = 0.5": "a",
            "metrics.loss = .5": "a",
            "metrics.loss = 5e-1": "a",
            "metrics.loss > -1": "ab",
            "metric.loss = 0.5": "a",
            "metrics.`loss` = 0.5": "a",
            'metrics."loss" = 0.5': "a",
            "metrics.`a/b` = 1": "a",
            'metrics."with space" > 1': "a",
            "metrics.big > 1e299": "a",
            "metrics.big < -1e299": "b",
            "metrics.never > 0": "",
            "metrics.never != 0": "",
            "metrics.loss>0.25": "a",
            "  metrics.loss   >   0.25  ": "a",
        }
    )


@check()
def not_a_number_is_only_unequal() -> None:
    each_finds(
        {
            "metrics.loss != 0.5": "bg",
            "metrics.loss != 7": "abg",
            "metrics.loss = 7": "",
        }
    )


@check()
def texts_are_compared() -> None:
    each_finds(
        {
            "params.kind = 'tree'": "b",
            "params.kind != 'tree'": "ag",
            'params.kind = "tree"': "b",
            "param.kind = 'tree'": "b",
            "parameter.kind = 'tree'": "b",
            "parameters.kind = 'tree'": "b",
            "params.`a.b` = 'x'": "a",
            "params.\"a.b\" = 'x'": "a",
            "params.lr = '0.1'": "a",
            "params.empty = ''": "a",
            'params.quote = "it\'s"': "a",
            "params.never = 'x'": "",
            "params.never != 'x'": "",
            "tags.team = 'red'": "b",
            "tags.team != 'red'": "ag",
            "tag.team = 'Red'": "a",
            "tags.`team` = 'Red'": "a",
            "tags.only != '2'": "b",
            "tags.mlflow.runName = 'alpha'": "a",
            "tags.`mlflow.runName` = 'alpha'": "a",
        }
    )


@check()
def patterns_are_compared() -> None:
    each_finds(
        {
            "params.kind LIKE 'tree'": "b",
            "params.kind LIKE 't%'": "b",
            "params.kind LIKE 'T%'": "a",
            "params.kind LIKE '%ee'": "ab",
            "params.kind LIKE '_ree'": "ab",
            "params.kind LIKE '%'": "abg",
            "params.kind ILIKE 'tr%'": "ab",
            "params.kind ilike 'TREE'": "ab",
            "params.kind like 'x%'": "",
            "tags.team LIKE '%e%'": "abg",
            "tags.team LIKE 'blue_1'": "g",
            "tags.team LIKE 'blue__'": "g",
            "tags.team ILIKE 'RED'": "ab",
            "params.lr LIKE '0.%'": "ab",
        }
    )


@check()
def what_a_run_is_can_be_asked() -> None:
    each_finds(
        {
            "attributes.status = 'FINISHED'": "a",
            "status = 'FAILED'": "b",
            "attribute.status != 'FINISHED'": "bgd",
            "attr.status = 'RUNNING'": "g",
            "run.status = 'KILLED'": "d",
            "status LIKE 'F%'": "ab",
            "run_name = 'alpha'": "a",
            "attributes.run_name != 'alpha'": "bgd",
            "run_name LIKE '%ta'": "bd",
            "run_name ILIKE 'ALPHA'": "a",
            "attributes.`run name` = 'alpha'": "a",
            "attributes.`Run name` = 'beta'": "b",
            f"run_id = '{IDS['alpha']}'": "a",
            f"run_id != '{IDS['alpha']}'": "bgd",
            f"run_id IN ('{IDS['alpha']}', '{IDS['delta']}')": "ad",
            f"attributes.run_id in ('{IDS['alpha']}')": "a",
            f"run_id NOT IN ('{IDS['alpha']}', '{IDS['delta']}')": "bg",
            f"run_id LIKE '{IDS['alpha'][:12]}%'": "a",
            f"artifact_uri LIKE '%{IDS['beta']}/artifacts'": "b",
            "start_time > 2000": "gd",
            "attributes.start_time >= 2000": "bgd",
            "attributes.start_time != 2000": "agd",
            "created < 2000": "a",
            "attributes.created = 3000": "g",
            "end_time > 5000": "bd",
            "end_time <= 6000": "ab",
            "end_time != 5000": "bd",
        }
    )


@check(since=3)
def absence_can_be_asked() -> None:
    each_finds(
        {
            "params.kind IS NULL": "d",
            "params.kind IS NOT NULL": "abg",
            "params.empty IS NOT NULL": "a",
            "params.never IS NULL": "abgd",
            "tags.only IS NULL": "agd",
            "tags.only is not null": "b",
            "tags.`only` IS NOT NULL AND params.kind IS NOT NULL": "b",
        }
    )


@check()
def datasets_can_be_asked() -> None:
    each_finds(
        {
            "datasets.name = 'Iris'": "ab",
            "dataset.name = 'Iris'": "ab",
            "datasets.name != 'Iris'": "ag",
            "datasets.name LIKE 'I%'": "ab",
            "datasets.name ILIKE 'iris'": "ab",
            "dataset.digest = 'd2'": "ag",
            "dataset.digest IN ('d1', 'd3')": "ab",
            "dataset.name NOT IN ('Iris')": "ag",
            "datasets.context = 'train'": "ab",
            "dataset.context = 'eval'": "a",
            "dataset.context LIKE 'ev%'": "a",
            "dataset.name = 'Iris' AND dataset.digest = 'd3'": "b",
            "dataset.name = 'never'": "",
        }
    )


@check()
def conditions_are_joined() -> None:
    each_finds(
        {
            "metrics.loss > 0 AND params.kind = 'tree'": "b",
            "metrics.loss > 0 and tags.team = 'Red' And status = 'FINISHED'": "a",
            "metrics.loss > 0.25 AND metrics.loss < 1": "a",
            "params.lr = '0.1' AND params.kind = 'Tree' AND params.`a.b` = 'x'": "a",
            "params.lr = '0.1' AND params.lr = '0.01'": "",
            "tags.team LIKE 'R%' AND tags.team LIKE '%d'": "a",
            "run_name = 'alpha' AND metrics.loss = 0.5 AND tags.team = 'Red'": "a",
        }
    )


@check()
def nonsense_is_refused() -> None:
    accepted = []
    for text in (
        "metrics.loss > 'a'",
        "metrics.loss > '0.5'",
        "metrics.loss LIKE '0'",
        "metrics.loss",
        "loss > 1",
        "metrics.loss >> 1",
        "NOT metrics.loss > 1",
        "params.kind = tree",
        "params.kind = 1",
        "params.kind > 'a'",
        "params.kind IN ('a', 'b')",
        "tags.team = 5",
        "tags.team < 'a'",
        "status > 'A'",
        "start_time = 'x'",
        "start_time LIKE '1%'",
        "run_id IN 'a'",
        "status IN ('FINISHED')",
        "nothing.here = 'a'",
        "attributes.nothing = 'a'",
        "attributes.lifecycle_stage = 'active'",
        "dataset.nothing = 'a'",
        "dataset.name = 1",
        "params.a = 'unclosed",
        "metrics.loss > 1; metrics.loss < 1",
        "'a' = params.kind",
    ):
        try:
            with refused(INVALID):
                client.search_runs([EXPERIMENT], text)
        except AssertionError as error:
            accepted.append(f"{text}: {error}")
    same(accepted, [])


@check()
def messages_say_what_is_wrong() -> None:
    with refused(INVALID, "Invalid clause(s) in filter string"):
        client.search_runs([EXPERIMENT], "NOT metrics.loss > 1")
    with refused(INVALID, "attributes support comparison with a list", "Only"):
        client.search_runs([EXPERIMENT], "status IN ('FINISHED')")
    with refused(INVALID, "nothing"):
        client.search_runs([EXPERIMENT], "nothing.here = 'a'")


@check()
def stages_choose() -> None:
    run = a_run("omega", metrics={"only_here": 1.0})
    NAMES[run] = "omega"
    client.delete_run(run)
    wanted = {ViewType.ACTIVE_ONLY: [], ViewType.DELETED_ONLY: [run], ViewType.ALL: [run]}
    for view, runs in wanted.items():
        hits = client.search_runs([EXPERIMENT], "metrics.only_here = 1", view)
        same([each.info.run_id for each in hits], runs)


@check()
def several_experiments_are_searched_at_once() -> None:
    other = client.create_experiment(fresh("other"))
    run = client.create_run(other).info.run_id
    hits = {each.info.run_id for each in client.search_runs([EXPERIMENT, other])}
    assert hits >= {run, IDS["alpha"]}, hits
    same(client.search_runs(["987654321"]), [])
    same(client.search_runs([]), [])


if __name__ == "__main__":
    judge()
