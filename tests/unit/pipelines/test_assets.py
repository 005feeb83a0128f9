"""What flows return becomes versioned assets, which other flows are given."""

import threading
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from trivet.core.errors import NotFound, TrivetError
from trivet.core.facts import Batch
from trivet.core.lineage import ancestors
from trivet.pipelines.facts import AssetVersion
from trivet.pipelines.memo import pickled_of
from trivet.pipelines.requests import PAST, RunRequest, new_task

FEATURES = """
import polars as pl

@step
def fill(rows: int):
    return pl.DataFrame({"n": range(rows)})

@flow
def features(rows: int = 3):
    return {"table": fill(rows), "names": ["n"], "rows": rows}

@step
def total(table):
    return int(pl.DataFrame(table)["n"].sum())

@flow
def main(table: Data = "asset:features.table"):
    return {"total": total(table)}
"""


def labels(project: Any) -> list[str]:
    return [asset.label for asset in project.pipelines.assets()]


def test_each_new_content_is_a_version_and_figures_are_none(project: Any) -> None:
    project.write(FEATURES)
    first = project.run("pipeline:features")
    assert labels(project) == ["features.names@1", "features.table@1"]
    project.run("pipeline:features")
    assert labels(project) == ["features.names@1", "features.table@1"]
    third = project.run("pipeline:features", rows=4)
    assert labels(project) == ["features.names@1", "features.table@2"]
    found = project.pipelines.asset_versions("features.table")
    assert [(a.version.number, a.version.run) for a in found] == [(2, third.id), (1, first.id)]


def test_a_content_that_returns_is_a_version_again(project: Any) -> None:
    project.write(FEATURES)
    for rows in (3, 4, 3):
        project.run("pipeline:features", rows=rows)
    versions = project.pipelines.asset_versions("features.table")
    digests = [asset.version.output.digest for asset in versions]
    assert digests[0] == digests[2] != digests[1]


def test_versions_are_read_back_by_their_number(project: Any) -> None:
    project.write(FEATURES)
    for rows in (3, 4):
        project.run("pipeline:features", rows=rows)
    value = project.pipelines.asset_value
    assert value("features.table").height == value("features.table@2").height == 4
    assert value("features.table@1").equals(pl.DataFrame({"n": range(3)}))


@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ("features.tabel", "features.table"),
        ("features.table@9", "The newest is 1"),
        ("features.table@x", "features.table"),
        ("features.table@", "features.table"),
        ("features.table@²", "features.table"),
        ("", "features.names"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    project: Any, label: str, hint: str
) -> None:
    project.write(FEATURES)
    project.run("pipeline:features")
    with pytest.raises(NotFound) as refused:
        project.pipelines.asset(label)
    assert refused.value.code == "no-asset"
    assert hint in refused.value.hint


def test_a_run_that_fails_makes_no_version(project: Any) -> None:
    project.write("@flow\ndef main(n: int):\n    return {'a': [n], 'b': object()}\n")
    with pytest.raises(TrivetError):
        project.run(n=1)
    assert project.pipelines.assets() == ()


def test_a_flow_is_given_the_newest_version_or_a_certain_one(project: Any) -> None:
    project.write(FEATURES)
    project.run("pipeline:features")
    old = project.pipelines.asset("features.table")
    project.run("pipeline:features", rows=5)
    newest = project.pipelines.asset("features.table")
    run = project.run()
    assert run.finished.metrics == {"total": 10.0}
    assert run.started.parameters == {"table": "asset:features.table@2"}
    assert run.started.assets == (newest.id,)
    for given in ("asset:features.table@1", old):
        earlier = project.run(table=given)
        assert earlier.finished.metrics == {"total": 3.0}
        assert earlier.started.assets == (old.id,)
    behind = ancestors(project.stores.ledger, run.id).of_kind(AssetVersion.KIND)
    assert [entry.id for entry in behind] == [newest.id]
    assert project.pipelines.plan("pipeline:main").to_run == ()


def test_equal_content_in_another_version_is_remembered(project: Any) -> None:
    project.write(FEATURES)
    for rows in (3, 4, 3):
        project.run("pipeline:features", rows=rows)
        last = project.run()
    assert last.started.parameters == {"table": "asset:features.table@3"}
    assert project.statuses(last) == [("total", "remembered")]


def test_runs_that_end_at_once_number_their_versions_without_gaps(project: Any) -> None:
    source = "@flow\ndef main(n: int):\n    return {'values': [n], 'all': [n, n]}\n"
    project.write(source)
    project.pipelines.load_flow("pipeline:main")
    threads = [threading.Thread(target=project.run, kwargs={"n": n}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("main.values", "main.all"):
        numbers = [asset.version.number for asset in project.pipelines.asset_versions(name)]
        assert numbers == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_forgotten_version_keeps_its_number(project: Any) -> None:
    project.write("@flow\ndef main(n: int):\n    return {'values': [n]}\n")
    for n in (1, 2):
        project.run(n=n)
    secret = project.pipelines.asset("main.values")
    scope = project.scope
    project.stores.ledger.commit(
        Batch(project=scope.project, actor=scope.actor, reason="asked to", forget=(secret.id,))
    )
    assert labels(project) == []
    project.run(n=3)
    assert labels(project) == ["main.values@3"]
    numbers = [asset.version.number for asset in project.pipelines.asset_versions("main.values")]
    assert numbers == [3, 1]


PICKLED = """
class Odd:
    def __reduce__(self):
        return Odd, ()

@step(pickle=True)
def make():
    return {"odd": Odd()}

@step(pickle=True)
def look(odd) -> int:
    return 7

@flow(pickle=True)
def source():
    made = make()
    return {"odd": made, "plain": [look(made)]}

@flow
def main(value: Data):
    return {"seen": [str(value)]}

@flow
def after(value: Data):
    return {"seen": [str(value)]}
"""


def test_a_pickled_asset_needs_the_consent_of_the_flow_that_takes_it(project: Any) -> None:
    project.write(PICKLED)
    project.run("pipeline:source")
    with pytest.raises(NotFound) as refused:
        project.run(value="asset:source.odd")
    assert refused.value.code == "no-consent"
    assert len(project.tracking.runs("main")) == 0


def test_a_pickle_behind_an_asset_shows_in_every_run_that_comes_after(project: Any) -> None:
    project.write(PICKLED)
    source = project.run("pipeline:source")
    project.run(value="asset:source.plain")
    last = project.run("pipeline:after", value="asset:main.seen")
    found = pickled_of(project.stores, project.scope.project, last)
    assert found == (f"what step 'make' returned in run {source.id}",)


def test_two_flows_of_one_name_are_told_that_they_share_their_assets(project: Any) -> None:
    source = "@flow\ndef main():\n    return {'table': [1.5]}\n"
    project.write(source, "explore")
    project.write(source)
    told: list[str] = []
    for entry in ("pipeline:main", "pipeline:main", "explore:main"):
        project.run(
            entry, on_event=lambda event: event.kind == "warned" and told.append(event.text)
        )
    (text,) = told
    assert "'main.table' was made by pipeline:main before and is made by explore:main now" in text


def test_runs_over_the_past_make_no_versions(project: Any) -> None:
    project.write("@flow\ndef main(day: int):\n    return {'rows': [day]}\n")
    project.run(day=3)
    request = RunRequest(flow="pipeline:main", parameters={"day": 1})
    task = replace(new_task(request), queue=PAST)
    project.stores.ledger.commit(project.scope.batch("fill", tasks=[task]))
    (held,) = project.stores.journal.claim(PAST, owner="runner", lease_s=60)
    run = project.pipelines.execute(held)
    assert project.pipelines.value(run.id, "rows") == [1]
    assert labels(project) == ["main.rows@1"]
    assert project.pipelines.asset_value("main.rows") == [3]


def test_an_asset_that_is_not_there_is_refused_with_parameter_and_flow(project: Any) -> None:
    project.write("@flow\ndef main(old: Data = None):\n    return {'was': [old]}\n")
    with pytest.raises(NotFound) as refused:
        project.run(old="asset:features.table")
    assert refused.value.message == "parameter 'old': no asset 'features.table'"
    assert "Run the flow that returns it: `trivet run features`" in refused.value.hint
    assert project.run(old="null").status == "succeeded"  # a command line has no other word
    assert project.run(old="asset:main.was").started.parameters == {"old": "asset:main.was@1"}
