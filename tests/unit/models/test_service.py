import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

from trivet.core.errors import Conflict, Invalid, NotFound, Refused, TrivetError, Unsupported
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.gates import Gate, check
from trivet.core.lineage import ancestors
from trivet.core.ports import Stores
from trivet.models.facts import GateVerdict, Model
from trivet.models.holdout_gate import HoldoutGate
from trivet.models.packaging import Package
from trivet.models.rules import ChecklistSpec, read_checklist
from trivet.models.service import ModelsService
from trivet.pipelines.facts import StepDone
from trivet.tracking.facts import Output, Run

SPEC = read_checklist('[rows]\ntime = "sent"\n')
MakeRun = Callable[..., Run]


@pytest.fixture
def passed(service: ModelsService, a_run: MakeRun, trained: Any) -> tuple[Run, Package, str]:
    """A run, its package, and the verdict that lets it be registered."""
    run = a_run()
    package = service.package(trained.candidate, run=run)
    id_, verdict = examine(service, package, run, trained)
    assert verdict.passed
    return run, package, id_


def examine(
    service: ModelsService, package: Package, run: Run, trained: Any, spec: ChecklistSpec = SPEC
) -> tuple[str, GateVerdict]:
    return service.examine(
        "parcels", package, spec, holdout=trained.holdout, training=trained.training, run=run
    )


def test_the_gate_refuses_a_model_whose_run_kept_a_pickle(
    service: ModelsService, stores: Stores, scope: Scope, a_run: MakeRun, trained: Any
) -> None:
    run = a_run()
    kept = Output(name="tokenise", format="pickle", digest="b3:" + "0" * 64, size_bytes=1)
    step = StepDone(
        run=run.id,
        flow="train",
        step="tokenise",
        place="train.tokenise",
        key="k",
        code="c",
        status="remembered",
        seconds=0.0,
        output=kept,
    )
    stores.ledger.commit(scope.batch("a step", [draft(step, parents=[run.id])]))
    package = service.package(trained.candidate, run=run)
    _, verdict = examine(service, package, run, trained)
    assert not verdict.passed
    (reason,) = [finding for finding in verdict.findings if finding.ok is not True]
    assert (reason.check, reason.ok) == ("no-pickle", False)
    assert "step 'tokenise'" in reason.summary


def code_of(action: Callable[[], object], kind: type[TrivetError] = Refused) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert caught.value.hint
    return caught.value.code


def test_a_model_knows_run_data_and_verdict(
    service: ModelsService, stores: Stores, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    assert model.label == "parcels:1"
    assert model.version.data == run.started.data
    kinds = {entry.kind for entry in ancestors(stores.ledger, model.id).entries}
    assert kinds == {"model", "gate.verdict", "run.finished", "run", "data.commit"}
    assert service.open(model).digest == package.digest
    assert service.open(model).requirements == "lightgbm==4.7.0\n"


def test_the_figures_of_the_verdict_become_those_of_the_model(
    service: ModelsService, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    metrics = service.register("parcels", package, run=run, verdict_id=verdict).version.metrics
    assert set(metrics) == {"auc", "brier", "log-loss", "accuracy"}
    assert metrics["auc"].low < metrics["auc"].value < metrics["auc"].high
    assert metrics["auc"].rows == 4000


def test_registering_again_gives_the_same_version(
    service: ModelsService, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    first = service.register("parcels", package, run=run, verdict_id=verdict)
    assert service.register("parcels", package, run=run.id, verdict_id=verdict) == first
    assert len(service.versions("parcels")) == 1


def test_versions_count_up_and_the_newest_comes_first(
    service: ModelsService, passed: tuple[Run, Package, str], trained: Any
) -> None:
    run, package, verdict = passed
    first = service.register("parcels", package, run=run, verdict_id=verdict)
    again, _ = examine(service, package, run, trained)
    second = service.register("parcels", package, run=run, verdict_id=again)
    assert [model.label for model in service.versions("parcels")] == ["parcels:2", "parcels:1"]
    assert service.get("parcels") == second
    assert service.get("parcels:1") == service.get(first.id) == first
    assert service.names() == ("parcels",)


def test_four_threads_get_four_versions(
    service: ModelsService, passed: tuple[Run, Package, str]
) -> None:
    run, package, _ = passed
    gate = Gate(name="open", checks=(check("yes")(lambda evidence: True),))
    verdicts = [service.judge("parcels", package, gate, {}, run=run)[0] for _ in range(12)]
    start = threading.Barrier(4)
    made: list[Model] = []

    def register(mine: list[str]) -> None:
        start.wait()
        made.extend(
            service.register("parcels", package, run=run, verdict_id=verdict) for verdict in mine
        )

    threads = [threading.Thread(target=register, args=(verdicts[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(model.version.version for model in made) == list(range(1, 13))
    assert service.get("parcels").version.version == 12


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"status": "running"}, "run-not-finished"),
        ({"status": "failed"}, "run-not-finished"),
        ({"data": False}, "no-data"),
        ({"code": False}, "no-code"),
    ],
)
def test_no_model_without_a_run_that_has_everything(
    service: ModelsService, a_run: MakeRun, trained: Any, how: dict[str, Any], code: str
) -> None:
    run = a_run(**how)
    package = service.package(trained.candidate, run=run)
    id_, _ = examine(service, package, run, trained)
    assert code_of(lambda: service.register("parcels", package, run=run, verdict_id=id_)) == code
    assert service.versions("parcels") == ()


def test_no_model_without_its_environment_lock(
    service: ModelsService, stores: Stores, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    stores.blobs.delete(run.started.environment.lock)

    def register() -> object:
        return service.register("parcels", package, run=run, verdict_id=verdict)

    assert code_of(register) == "no-lock"


def test_a_run_that_does_not_exist_is_not_found(
    service: ModelsService, passed: tuple[Run, Package, str]
) -> None:
    _, package, verdict = passed
    with pytest.raises(NotFound):
        service.register("parcels", package, run="0" * 32, verdict_id=verdict)


def test_a_package_of_another_environment_is_refused(
    service: ModelsService, a_run: MakeRun, passed: tuple[Run, Package, str], trained: Any
) -> None:
    other = a_run(lock=b"lightgbm==3.0.0\n")
    _, package, _ = passed
    id_, _ = examine(service, package, other, trained)

    def register() -> object:
        return service.register("parcels", package, run=other, verdict_id=id_)

    assert code_of(register) == "other-lock"


def test_a_verdict_that_is_a_no_carries_its_reasons(
    service: ModelsService, a_run: MakeRun, trained: Any
) -> None:
    run = a_run()
    package = service.package(trained.candidate, run=run)
    strict = read_checklist("[quality]\nthreshold = 0.999\n")
    id_, verdict = examine(service, package, run, trained, strict)
    assert not verdict.passed
    with pytest.raises(Refused) as caught:
        service.register("parcels", package, run=run, verdict_id=id_)
    assert caught.value.code == "gate-refused"
    assert [f["check"] for f in caught.value.detail["findings"]] == ["quality"]
    assert service.verdicts.get(id_) == verdict


def test_a_verdict_about_something_else_is_refused(
    service: ModelsService,
    a_run: MakeRun,
    passed: tuple[Run, Package, str],
    weak: Any,
) -> None:
    run, package, verdict = passed
    other = service.package(weak.candidate, run=run)
    for action in (
        lambda: service.register("letters", package, run=run, verdict_id=verdict),
        lambda: service.register("parcels", other, run=run, verdict_id=verdict),
        lambda: service.register("parcels", package, run=a_run(), verdict_id=verdict),
    ):
        assert code_of(action) == "other-verdict"


def test_a_package_whose_bytes_are_gone_is_not_registered(
    service: ModelsService, stores: Stores, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    stores.blobs.delete(package.manifest.files["model/serving.onnx"].digest)
    with pytest.raises(NotFound):
        service.register("parcels", package, run=run, verdict_id=verdict)
    assert service.versions("parcels") == ()


def test_the_champion_is_what_the_next_candidate_must_face(
    service: ModelsService, passed: tuple[Run, Package, str], weak: Any, trained: Any
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    assert service.champion("parcels") is None
    service.set_alias("parcels", "champion", model, "the first")
    assert service.champion("parcels") == model
    weaker = service.package(weak.candidate, run=run)
    id_, found = service.examine(
        "parcels", weaker, SPEC, holdout=trained.holdout, training=trained.training, run=run
    )
    assert not found.passed
    assert found.champion == model.id
    assert (found.look, found.alpha) == (2, 0.025 / 2)  # the yes before it shares its level
    (reason,) = [f for f in found.findings if f.check == "champion"]
    assert reason.ok is False
    assert "parcels:1" in reason.summary
    assert service.verdicts.of("parcels")[-1] == (id_, found)


def test_each_further_look_at_the_same_rows_is_judged_more_strictly(
    service: ModelsService, a_run: MakeRun, passed: tuple[Run, Package, str], trained: Any
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    service.set_alias("parcels", "champion", model, "the first")
    levels: list[float | None] = []
    for number in range(3):
        other = a_run(lock=b"lightgbm==4.7.%d\n" % number)
        candidate = service.package(trained.candidate, run=other)
        _, found = examine(service, candidate, other, trained)
        _, again = examine(service, candidate, other, trained)
        assert (again.alpha, again.look) == (found.alpha, found.look)
        levels.append(found.alpha)
    assert levels == pytest.approx([0.025 / (k * (k + 1)) for k in (1, 2, 3)])
    later = trained.holdout.with_columns(pl.col("sent").dt.offset_by("60d"), ~pl.col("late"))
    other = a_run(lock=b"fresh==1\n")
    fresh = service.package(trained.candidate, run=other)
    _, found = service.examine(
        "parcels", fresh, SPEC, holdout=later, training=trained.training, run=other
    )
    assert found.alpha == 0.025


def test_other_rows_or_another_champion_are_other_looks_for_the_same_package(
    service: ModelsService, a_run: MakeRun, trained: Any, weak: Any
) -> None:
    run = a_run()
    spec = read_checklist("[quality]\nthreshold = 0.999\n")  # a no leaves the level in one piece
    package, other = (service.package(item.candidate, run=run) for item in (trained, weak))

    def look(holdout: pl.DataFrame = trained.holdout, rules: ChecklistSpec = spec) -> int:
        _, found = service.examine(
            "parcels", package, rules, holdout=holdout, training=trained.training, run=run
        )
        assert found.alpha == pytest.approx(0.05 / (found.look * (found.look + 1)))
        return found.look

    assert [look(), look()] == [1, 1]
    sample = trained.holdout.sample(3000, seed=1)
    assert [look(sample), look(sample.reverse()), look(sample)] == [2, 3, 2]
    changed = trained.holdout.with_columns(late=pl.col("late") ^ (pl.int_range(pl.len()) == 7))
    assert look(changed) == 4
    moved = trained.holdout.with_columns(distance=pl.col("distance") + 1)
    assert look(moved) == 5
    assert look(rules=read_checklist("[quality]\nthreshold = 0.998\n")) == 6
    id_, _ = service.examine(
        "parcels", other, spec, holdout=trained.holdout, training=trained.training, run=run
    )
    service.verdicts.override(id_, "to have a champion")
    champion = service.register("parcels", other, run=run, verdict_id=id_)
    service.set_alias("parcels", "champion", champion, "the first")
    assert [look(), look()] == [8, 8]
    assert look(rules=read_checklist("[quality]\nthreshold = 0.999\n[latency]\np99_ms = 50")) == 8


@dataclass(frozen=True)
class Place:
    stores: Stores
    scope: Scope


def test_names_over_the_same_rows_share_their_looks(
    service: ModelsService, stores: Stores, scope: Scope, a_run: MakeRun, trained: Any
) -> None:
    spec = read_checklist("[quality]\nthreshold = 0.999\n")
    levels: list[float | None] = []
    for number, name in enumerate(("parcels", "letters")):
        other = a_run(lock=b"lightgbm==4.7.%d\n" % number)
        package = service.package(trained.candidate, run=other)
        _, found = service.examine(
            name, package, spec, holdout=trained.holdout, training=trained.training, run=other
        )
        levels.append(found.alpha)
    assert levels == pytest.approx([0.025, 0.05 / 6])
    labels = trained.holdout["late"].to_numpy()
    gate = HoldoutGate(Place(stores, scope), "boxes", labels, np.full(labels.size, 0.5))
    assert gate(np.full(labels.size, 0.4)).findings[0].evidence["look"] == 3


def test_aliases_move_with_a_reason_and_leave_a_trace(
    service: ModelsService, stores: Stores, scope: Scope, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    service.set_alias("parcels", "champion", model, "approved by Ada")
    assert service.get("parcels@champion") == model
    assert service.aliases("parcels") == {"champion": model}
    moved = stores.ledger.find(
        "head.moved", where={"name": "model/parcels@champion"}, project=scope.project
    )
    assert [entry.reason for entry in moved.entries] == ["approved by Ada"]
    assert service.names() == ("parcels",)


def test_an_alias_needs_a_reason_and_a_version_of_its_own_name(
    service: ModelsService, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    for action in (
        lambda: service.set_alias("parcels", "champion", model, " "),
        lambda: service.set_alias("letters", "champion", model, "why not"),
        lambda: service.set_alias("parcels", "Champion!", model, "why not"),
    ):
        assert code_of(action, Invalid)


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("letters", NotFound),
        ("parcels:9", NotFound),
        ("parcels@nobody", NotFound),
        ("0" * 32, NotFound),
        ("parcels:x", Invalid),
    ],
)
def test_a_reference_that_points_at_nothing_is_explained(
    service: ModelsService,
    passed: tuple[Run, Package, str],
    reference: str,
    kind: type[TrivetError],
) -> None:
    run, package, verdict = passed
    service.register("parcels", package, run=run, verdict_id=verdict)
    code_of(lambda: service.get(reference), kind)


def test_another_project_sees_nothing(
    service: ModelsService, stores: Stores, flavours: Any, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    other = ModelsService(stores, Scope(project="letters", actor="eve"), flavours)
    assert other.names() == ()
    for action in (
        lambda: other.get(model.id),
        lambda: other.verdicts.get(verdict),
        lambda: other.register("parcels", package, run=run, verdict_id=verdict),
    ):
        with pytest.raises(NotFound):
            action()


def test_a_gate_of_ones_own_is_recorded_too(
    service: ModelsService, stores: Stores, a_run: MakeRun, trained: Any
) -> None:
    run = a_run()
    package = service.package(trained.candidate, run=run)
    gate = Gate(name="mine", checks=(check("small")(lambda evidence: evidence["size"] < 10),))
    id_, verdict = service.judge("parcels", package, gate, {"size": 20}, run=run)
    assert (verdict.gate, verdict.passed, verdict.subject) == ("mine", False, package.digest)
    entry = stores.ledger.get(id_)
    assert entry is not None
    assert entry.parents == (run.finished_id, *run.started.data)


def test_a_model_that_does_not_convert_leaves_nothing_behind(
    service: ModelsService, stores: Stores, a_run: MakeRun, trained: Any
) -> None:
    run = a_run()
    before = set(stores.blobs.list())
    with pytest.raises(Unsupported):
        service.package(trained.candidate, run=run, tolerance=0.0)
    assert set(stores.blobs.list()) == before


def test_a_head_that_moved_meanwhile_is_read_again(
    service: ModelsService, stores: Stores, scope: Scope, passed: tuple[Run, Package, str]
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    stale = HeadMove(name="model/parcels", to=model.id, expect=None)
    with pytest.raises(Conflict):
        stores.ledger.commit(scope.batch("too late", heads=[stale]))
    assert service.get("parcels") == model


def test_a_refusal_can_be_overruled_in_ones_own_name_and_stays_on_record(
    service: ModelsService, stores: Stores, a_run: MakeRun, trained: Any
) -> None:
    run = a_run()
    package = service.package(trained.candidate, run=run)
    spec = read_checklist("[quality]\nthreshold = 0.999\n")
    id_, verdict = examine(service, package, run, trained, spec)
    assert not verdict.passed

    def register() -> Model:
        return service.register("parcels", package, run=run, verdict_id=id_)

    assert code_of(register) == "gate-refused"
    assert code_of(lambda: service.verdicts.override(id_, "  "), Invalid) == "no-reason"
    bob = ModelsService(stores, Scope(project="parcels", actor="bob"), ())
    override, found = bob.verdicts.override(id_, "the old model is down")
    assert (found.by, found.reason) == ("bob", "the old model is down")
    assert found.overruled == ("quality",)
    model = register()
    assert model.version.override == override
    assert register() == model
    assert service.verdicts.get(id_) == verdict
    entry = stores.ledger.get(override)
    assert entry is not None
    assert (entry.actor, entry.parents) == ("bob", (id_,))
    kinds = [item.kind for item in ancestors(stores.ledger, model.id).entries]
    assert {"gate.override", "gate.verdict"} <= set(kinds)
    assert service.verdicts.overrides("parcels") == ((override, found),)


def test_a_yes_needs_no_override(service: ModelsService, passed: tuple[Run, Package, str]) -> None:
    *_, verdict = passed
    assert code_of(lambda: service.verdicts.override(verdict, "to be sure"), Invalid) == "passed"


def test_a_refusal_may_hide_its_figures(
    service: ModelsService, passed: tuple[Run, Package, str], a_run: MakeRun, weak: Any
) -> None:
    run, package, verdict = passed
    model = service.register("parcels", package, run=run, verdict_id=verdict)
    service.set_alias("parcels", "champion", model, "first")
    spec = read_checklist('[champion]\nfigures = "hidden"\n')
    other = service.package(weak.candidate, run=run)
    _, refused = examine(service, other, run, weak, spec)
    assert not refused.passed
    by_name = {finding.check: finding for finding in refused.findings}
    measured = ("no-telling-input", "quality", "baseline", "champion", "calibration")
    for name in measured:
        told = by_name[name]
        assert (told.value, told.low, told.high, told.threshold, told.rows) == (None,) * 5
        assert set(told.evidence) <= {"alpha", "look", "method", "groups"}
        assert told.ok is False
    assert len({by_name[name].summary for name in measured}) == 1
    assert by_name["latency"].value is not None
