"""Every check of the standard gate, seen to pass and seen to fail, on real models."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.core.gates import Finding, Gate
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.checklist import build_gate
from trivet.models.exam import Exam, against, prepare_exam
from trivet.models.packaging import Package
from trivet.models.rules import ChecklistSpec, read_checklist
from trivet.models.signatures import fit_signature
from trivet.testing.memory_stores import MemoryBlobs

COLUMNS = {
    "weight": "double",
    "distance": "int64",
    "depot": "large_string",
    "express": "bool",
    "sent": "timestamp[us]",
    "late": "bool",
}
Ask = Callable[..., Finding]


@pytest.fixture(scope="module")
def package(trained: Any, flavours: Any) -> Package:
    return build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"")


@pytest.fixture(scope="module")
def weak_package(weak: Any, flavours: Any) -> Package:
    return build_package(MemoryBlobs(), weak.candidate, flavours, requirements=b"")


@pytest.fixture(scope="module")
def timed_package(timed: Any, flavours: Any) -> Package:
    return build_package(MemoryBlobs(), timed.candidate, flavours, requirements=b"")


@pytest.fixture
def ask(package: Package, trained: Any) -> Ask:
    """Asks one check of a gate about the good model, unless told otherwise."""

    def about(name: str, toml: str = "", *, exam: Exam | None = None, **tables: Any) -> Finding:
        spec = read_checklist(toml)
        used = tables.pop("package", package)
        if exam is None:
            exam = prepare_exam(
                used,
                spec,
                **{"holdout": trained.holdout, "training": trained.training, "columns": COLUMNS}
                | tables,
            )
        (check,) = [item for item in build_gate(spec).checks if item.name == name]
        return Gate(name="one", checks=(check,)).judge({"exam": exam}).findings[0]

    return about


DAYS = '[rows]\ntime = "sent"\n'


def test_a_good_model_passes_the_whole_gate(package: Package, trained: Any) -> None:
    spec = read_checklist(
        DAYS
        + """
        [quality]
        threshold = 0.7
        [slices]
        columns = ["depot", "express"]
        [[must_hold]]
        row = { weight = 25.0, distance = 850, depot = "a", express = false }
        at_least = 0.8
        answer = "true"
        [[directions]]
        input = "weight"
        by = 6
        answer = "up"
        limit = 0.2
        """
    )
    exam = prepare_exam(
        package, spec, holdout=trained.holdout, training=trained.training, columns=COLUMNS
    )
    verdict = build_gate(spec).judge({"exam": exam})
    assert [(f.check, f.summary) for f in verdict.reasons] == []
    assert verdict.passed
    assert all(finding.summary for finding in verdict.findings)


def test_findings_can_be_written_down(package: Package, trained: Any) -> None:
    spec = read_checklist(DAYS + '[slices]\ncolumns = ["depot"]\n')
    exam = prepare_exam(package, spec, holdout=trained.holdout, training=trained.training)
    verdict = build_gate(spec).judge({"exam": exam})
    again = msgspec.json.decode(msgspec.json.encode(verdict.findings), type=tuple[Finding, ...])
    assert [f.check for f in again] == [f.check for f in verdict.findings]


def test_an_input_that_the_data_commit_lacks_is_found(ask: Ask) -> None:
    columns = {name: kind for name, kind in COLUMNS.items() if name != "depot"}
    found = ask("schema", columns=columns)
    assert found.ok is False
    assert "'depot'" in found.summary


def test_an_input_of_another_type_in_the_data_commit_is_found(ask: Ask) -> None:
    found = ask("schema", columns={**COLUMNS, "weight": "string"})
    assert found.ok is False
    assert "'weight'" in found.summary
    assert ask("schema").ok is True


def test_rows_that_the_contract_would_refuse_are_counted_and_not_judged(
    ask: Ask, weak_package: Package, trained: Any
) -> None:
    gaps = pl.int_range(pl.len()) % 10 == 0
    holed = trained.holdout.with_columns(distance=pl.when(~gaps).then(pl.col("distance")))
    found = ask("contract", package=weak_package, holdout=holed)
    assert found.ok is False
    assert found.value == pytest.approx(0.1)
    assert ask("contract", "[rows]\nrefused = 0.2\n", package=weak_package, holdout=holed).ok
    assert ask("quality", package=weak_package, holdout=holed).rows == 3600
    assert ask("contract").value == 0.0


def leaking(trained: Any, flavours: Any, **columns: pl.Expr) -> tuple[Package, dict[str, Any]]:
    """Train on a table with more columns than it should have."""
    training = trained.training.with_columns(**columns)
    holdout = trained.holdout.with_columns(**columns)
    names = ["weight", "distance", "express", *columns]
    signature = fit_signature(training.select(*names, "late"), "late", categories=())
    from lightgbm import Dataset, train

    from trivet.models.encoding import Encoder

    encoder = Encoder(signature)
    model = train(
        {"objective": "binary", "num_threads": 1, "verbose": -1},
        Dataset(encoder.encode_frame(training), encoder.encode_target(training)),
        5,
    )
    candidate = Candidate.of(model, signature, sample=training)
    built = build_package(MemoryBlobs(), candidate, flavours, requirements=b"")
    return built, {"training": training, "holdout": holdout, "columns": None}


def test_a_copy_of_the_target_is_found(ask: Ask, trained: Any, flavours: Any) -> None:
    copy = pl.col("late").cast(pl.String)
    built, tables = leaking(trained, flavours, outcome=copy)
    found = ask("target-not-an-input", package=built, **tables)
    assert found.ok is False
    assert "'outcome'" in found.summary
    assert ask("target-not-an-input").ok is True


def test_a_single_input_that_tells_all_is_found_even_when_it_is_no_copy(
    ask: Ask, trained: Any, flavours: Any
) -> None:
    # Late parcels lie in the middle of the column: no straight line sees that.
    telling = pl.when(pl.col("late")).then(0.5).otherwise(pl.col("distance") % 2 * 1.0)
    built, tables = leaking(trained, flavours, refund=telling)
    found = ask("no-telling-input", package=built, **tables)
    assert found.ok is False
    assert "'refund'" in found.summary
    assert found.value is not None
    assert found.value > 0.99
    clean = ask("no-telling-input")
    assert clean.ok is True
    assert clean.value is not None
    assert 0.5 < clean.value < 0.9


def test_an_identifier_among_the_inputs_is_found(ask: Ask, trained: Any, flavours: Any) -> None:
    built, tables = leaking(trained, flavours, tracking_number=(pl.int_range(pl.len()) * 37) % 1999)
    training = tables["training"].with_columns(tracking_number=pl.int_range(pl.len()))
    found = ask("no-identifiers", package=built, **{**tables, "training": training})
    assert found.ok is False
    assert "'tracking_number'" in found.summary
    assert ask("no-identifiers").ok is True


def test_held_out_rows_that_were_trained_on_are_found(ask: Ask, trained: Any) -> None:
    mixed = pl.concat([trained.holdout, trained.training.head(100)])
    found = ask("rows-apart", holdout=mixed)
    assert found.ok is False
    assert found.value == pytest.approx(100 / mixed.height)
    assert ask("rows-apart").ok is True


def test_a_key_decides_which_rows_are_the_same(ask: Ask, trained: Any) -> None:
    keyed = '[rows]\nkey = ["sent"]\n'
    changed = trained.training.with_columns(weight=pl.col("weight") + 1000.0)
    mixed = pl.concat([trained.holdout, changed.head(10)])
    assert ask("rows-apart", holdout=mixed).ok is True
    assert ask("rows-apart", keyed, holdout=mixed).ok is False


def test_tables_that_repeat_themselves_are_no_leak(ask: Ask, trained: Any) -> None:
    coarse = [
        table.with_columns(
            weight=pl.col("weight").round(0),
            distance=pl.col("distance") // 300,
            sent=pl.col("sent").dt.truncate("1d"),
            hours=pl.lit(0.0),
        )
        for table in (trained.training, trained.holdout)
    ]
    assert ask("rows-apart", training=coarse[0], holdout=coarse[1]).ok is True


def test_held_out_rows_before_the_end_of_training_are_found(ask: Ask, trained: Any) -> None:
    found = ask("time-order", DAYS, holdout=trained.training, training=trained.holdout)
    assert found.ok is False
    assert ask("time-order", DAYS).ok is True
    assert "no time" in ask("time-order").summary


def test_quality_must_clear_the_threshold_with_its_whole_interval(ask: Ask) -> None:
    free = ask("quality", DAYS)
    assert free.value is not None
    assert free.low is not None
    between = (free.low + free.value) / 2
    assert ask("quality", f"{DAYS}[quality]\nthreshold = {free.low - 0.01}").ok is True
    found = ask("quality", f"{DAYS}[quality]\nthreshold = {between}")
    assert found.ok is False
    assert found.threshold == between
    assert found.evidence["groups"] == 14


@pytest.mark.parametrize("metric", ["auc", "brier", "accuracy"])
def test_a_later_look_must_clear_the_threshold_and_the_baseline_by_more(
    ask: Ask, package: Package, trained: Any, metric: str
) -> None:
    toml = f"[quality]\nmetric = {metric!r}\nthreshold = 0.5\n"
    exam = prepare_exam(
        package, read_checklist(toml), holdout=trained.holdout, training=trained.training
    )
    looks = [replace(exam, alpha=alpha, look=k) for k, alpha in ((1, 0.025), (2, 0.05 / 6))]
    first, second = (ask("quality", toml, exam=look) for look in looks)
    assert first.low is not None
    assert first.high is not None
    assert [first.low, first.high] == first.evidence["metrics"][metric][1:]
    assert second.low is not None
    assert second.high is not None
    assert second.low < first.low < first.high < second.high
    assert [ask("baseline", toml, exam=look).evidence["alpha"] for look in looks] == [
        0.025,
        0.05 / 6,
    ]


def test_what_is_measured_by_resampling_grows_by_more_than_a_normal_law(
    timed_package: Package, trained: Any, ask: Ask
) -> None:
    toml = f"{DAYS}[quality]\nmetric = 'r2'\nthreshold = 0.5\n"
    exam = prepare_exam(
        timed_package, read_checklist(toml), holdout=trained.holdout, training=trained.training
    )
    first, twentieth = (
        ask("quality", toml, exam=replace(exam, alpha=0.05 / (k * (k + 1)), look=k))
        for k in (1, 20)
    )
    assert first.value is not None
    assert first.low is not None
    assert twentieth.low is not None
    # 3.68 and 1.96 standard errors by a normal law; 14 days make it more.
    assert first.value - twentieth.low > 3.68 / 1.96 * (first.value - first.low)


def falsely_passed(exam: Exam, check: str, repetitions: int, rounds: int = 20) -> tuple[int, int]:
    """Count repetitions in which noise about coin flips passes a check: as priced, and at 5 %."""
    (asked,) = [item for item in build_gate(exam.spec).checks if item.name == check]
    gate = Gate(name="one", checks=(asked,))
    priced = plain = 0
    for seed in range(repetitions):
        random = np.random.default_rng(seed)
        coins = (random.random(exam.holdout.size) < 0.5).astype(float)
        held = replace(exam, holdout=replace(exam.holdout, labels=coins))
        answers = [random.random((exam.holdout.size, 1)) for _ in range(rounds)]
        for levels in ([0.05 / (k * (k + 1)) for k in range(1, rounds + 1)], [0.05] * rounds):
            passed = any(
                gate.judge({"exam": replace(held, answers=made, alpha=alpha)}).passed
                for made, alpha in zip(answers, levels, strict=True)
            )
            priced += passed and levels[0] < 0.05
            plain += passed and levels[0] == 0.05
    return priced, plain


@pytest.mark.parametrize(("check", "repetitions"), [("baseline", 100), ("quality", 20)])
def test_noise_about_coin_flips_seldom_passes_in_any_of_twenty_rounds(
    package: Package, trained: Any, check: str, repetitions: int
) -> None:
    spec = read_checklist("[quality]\nmetric = 'auc'\nthreshold = 0.5\n")
    holdout = trained.holdout.head(500)
    exam = prepare_exam(package, spec, holdout=holdout, training=trained.training)
    exam = replace(exam, baseline=np.full((500, 1), 0.5))
    priced, plain = falsely_passed(exam, check, repetitions)
    assert priced <= 0.05 * repetitions + 3.09 * (repetitions * 0.05 * 0.95) ** 0.5
    assert plain > 0.15 * repetitions


def test_where_less_is_better_the_threshold_lies_above(ask: Ask) -> None:
    assert ask("quality", "[quality]\nmetric = 'brier'\nthreshold = 0.3").ok is True
    assert ask("quality", "[quality]\nmetric = 'brier'\nthreshold = 0.1").ok is False


def test_a_model_without_skill_does_not_beat_a_constant(ask: Ask, trained: Any) -> None:
    shuffled = trained.holdout.with_columns(late=pl.col("late").shuffle(seed=0))
    assert ask("baseline", holdout=shuffled).ok is False
    assert ask("baseline").ok is True


def test_a_forecast_of_ones_own_is_the_baseline(ask: Ask, trained: Any) -> None:
    oracle = trained.holdout.with_columns(rate=pl.when("late").then(0.9).otherwise(0.1))
    found = ask("baseline", "[quality]\nbaseline = 'rate'", holdout=oracle)
    assert found.ok is False
    assert "'rate'" in found.summary


def test_without_a_champion_there_is_nothing_to_lose(ask: Ask) -> None:
    found = ask("champion")
    assert found.ok is True
    assert "no champion" in found.summary


def duel(
    challenger: Package, champion: Package, trained: Any, toml: str, alpha: float = 0.025
) -> Exam:
    exam = prepare_exam(
        challenger, read_checklist(toml), holdout=trained.holdout, training=trained.training
    )
    return replace(against(exam, "parcels:1", champion), alpha=alpha)


def test_a_better_model_beats_the_champion_and_a_worse_one_does_not(
    ask: Ask, package: Package, weak_package: Package, trained: Any
) -> None:
    up = ask("champion", DAYS, exam=duel(package, weak_package, trained, DAYS))
    down = ask("champion", DAYS, exam=duel(weak_package, package, trained, DAYS))
    assert up.ok is True
    assert down.ok is False
    assert up.value == pytest.approx(-(down.value or 0))
    assert up.evidence["detectable"] > 0
    assert up.evidence["groups"] == 14
    assert "parcels:1" in up.summary


def test_the_champion_itself_passes_only_where_a_margin_is_granted(
    ask: Ask, package: Package, trained: Any
) -> None:
    strict, margin = DAYS, DAYS + "[champion]\nmargin = 0.01\n"
    assert ask("champion", strict, exam=duel(package, package, trained, strict)).ok is False
    assert ask("champion", margin, exam=duel(package, package, trained, margin)).ok is True


def test_a_look_that_is_worth_nothing_is_not_passed(
    ask: Ask, package: Package, weak_package: Package, trained: Any
) -> None:
    exam = duel(package, weak_package, trained, DAYS, alpha=1e-300)
    assert ask("champion", DAYS, exam=exam).ok is False


def test_a_champion_that_cannot_answer_leaves_the_question_open(
    ask: Ask, package: Package, timed_package: Package, trained: Any
) -> None:
    found = ask("champion", exam=duel(package, timed_package, trained, ""))
    assert found.ok is None
    assert "another question" in found.summary


def test_a_champion_is_not_punished_for_categories_it_never_saw(
    ask: Ask, package: Package, weak_package: Package, trained: Any
) -> None:
    strange = trained.holdout.with_columns(depot=pl.lit("zz"), weight=pl.lit(None, pl.Float64))
    exam = prepare_exam(weak_package, ChecklistSpec(), holdout=strange, training=trained.training)
    answered = against(exam, "parcels:1", package).champion
    assert answered is not None
    assert answered.answers is not None


def test_a_slice_that_is_left_behind_is_named(ask: Ask, trained: Any) -> None:
    toml = '[slices]\ncolumns = ["depot"]\nmin_rows = 200\n'
    spoilt = trained.holdout.with_columns(
        late=pl.when(pl.col("depot") == "b")
        .then(pl.col("late").shuffle(seed=1))
        .otherwise(pl.col("late"))
    )
    found = ask("slices", toml, holdout=spoilt)
    assert found.ok is False
    assert "depot=b" in found.summary
    assert found.rows is not None
    assert found.rows > 200
    assert ask("slices", toml).ok is True


def test_slices_of_a_few_rows_are_listed_and_not_judged(ask: Ask) -> None:
    found = ask("slices", '[slices]\ncolumns = ["depot"]\nmin_rows = 100000\n')
    assert found.ok is None


def test_a_column_that_is_not_there_cannot_be_sliced_by(ask: Ask) -> None:
    found = ask("slices", '[slices]\ncolumns = ["carrier"]\n')
    assert found.ok is None
    assert "'carrier'" in found.summary


def test_promises_that_do_not_come_true_are_found(ask: Ask, trained: Any) -> None:
    # Half of the late parcels turn out in time: everything is promised too often.
    luckier = trained.holdout.with_columns(late=pl.col("late") & (pl.int_range(pl.len()) % 2 == 0))
    assert ask("calibration", holdout=luckier).ok is False
    fine = ask("calibration")
    assert fine.ok is True
    assert fine.evidence["table"]


def test_a_regression_that_is_off_as_a_whole_is_found(
    ask: Ask, timed_package: Package, trained: Any
) -> None:
    later = trained.holdout.with_columns(hours=pl.col("hours") + 3.0)
    assert ask("calibration", package=timed_package).ok is True
    assert ask("calibration", package=timed_package, holdout=later).ok is False


@pytest.mark.parametrize(
    ("rule", "ok"),
    [
        ("row = { weight = 30.0, depot = 'a' }\nat_least = 0.5", True),
        ("row = { weight = 30.0, depot = 'a' }\nat_most = 0.5", False),
        (
            "row = { weight = 0.1, distance = 1, express = true, depot = 'b' }\nanswer = 'false'",
            True,
        ),
        (
            "row = { weight = 0.1, distance = 1, express = true, depot = 'b' }\nanswer = 'true'",
            False,
        ),
        ("row = {}\nanswer = 'perhaps'", False),
        ("row = { colour = 'red' }\nat_least = 0.0", None),
    ],
)
def test_examples_must_hold(ask: Ask, rule: str, ok: bool | None) -> None:
    found = ask("must-hold", f"[[must_hold]]\n{rule}\nbecause = 'we know'\n")
    assert found.ok is ok
    if ok is False:
        assert "we know" in found.summary


def test_an_input_that_should_not_matter_and_does_is_found(ask: Ask) -> None:
    found = ask("invariance", '[[invariances]]\ninput = "depot"\nto = ["a", "b"]\n')
    assert found.ok is False
    assert found.evidence["largest"] > 0.05
    loose = '[[invariances]]\ninput = "depot"\nto = ["b"]\ntolerance = 0.9\n'
    assert ask("invariance", loose).ok is True


def test_an_answer_that_moves_the_wrong_way_is_found(ask: Ask) -> None:
    rule = '[[directions]]\ninput = "weight"\nby = 6.0\nanswer = "{}"\nlimit = 0.2\n'
    assert ask("direction", rule.format("up")).ok is True
    found = ask("direction", rule.format("down"))
    assert found.ok is False
    assert found.low is not None
    assert found.low > 0.2


def test_a_direction_of_words_is_a_mistake_in_the_gate(ask: Ask) -> None:
    found = ask("direction", '[[directions]]\ninput = "depot"\nby = 1\nanswer = "up"\n')
    assert found.ok is None
    assert "number" in found.summary


def test_what_is_too_slow_or_too_large_is_found(ask: Ask) -> None:
    assert ask("latency", "[latency]\np99_ms = 1e-6").ok is False
    assert ask("latency", "[latency]\np99_ms = 1e6").ok is True
    assert ask("size", "[size]\nmib = 1e-6").ok is False
    assert ask("size").ok is True


def test_a_gate_that_asks_for_another_task_s_metric_is_a_mistake(
    package: Package, trained: Any
) -> None:
    with pytest.raises(Invalid, match="no metric"):
        prepare_exam(
            package,
            read_checklist("[quality]\nmetric = 'r2'"),
            holdout=trained.holdout,
            training=trained.training,
        )


def test_a_check_that_only_warns_does_not_stop_a_model(package: Package, trained: Any) -> None:
    spec = read_checklist('warn = ["latency"]\n[latency]\np99_ms = 1e-6\n')
    exam = prepare_exam(package, spec, holdout=trained.holdout, training=trained.training)
    verdict = build_gate(spec).judge({"exam": exam})
    assert verdict.passed
    assert any(f.check == "latency" and f.ok is False for f in verdict.findings)


def test_figures_of_the_exam_come_from_the_serving_form(package: Package, trained: Any) -> None:
    exam = prepare_exam(
        package, ChecklistSpec(), holdout=trained.holdout, training=trained.training
    )
    original = trained.candidate.predict(trained.holdout)
    served = package.session().run(exam.encoder.encode_frame(trained.holdout))
    assert np.array_equal(exam.answers, served.astype(np.float64))
    assert not np.array_equal(exam.answers, original)


def test_a_run_that_kept_a_pickle_is_found_and_its_step_named(ask: Ask) -> None:
    assert ask("no-pickle").ok is True
    found = ask("no-pickle", pickled=("what step 'tokenise' returned", "output 'tokens'"))
    assert found.ok is False
    assert found.severity == "block"
    assert "step 'tokenise'" in found.summary
    assert "pickle" in found.summary
    assert found.evidence["pickled"] == ["what step 'tokenise' returned", "output 'tokens'"]
    assert ask("no-pickle", 'warn = ["no-pickle"]', pickled=("x",)).severity == "warn"


@pytest.mark.parametrize("figures", ["shown", "hidden"])
def test_by_guessed_labels_the_share_of_twins_tells_nothing_where_figures_are_hidden(
    ask: Ask, trained: Any, figures: str
) -> None:
    toml = f'[champion]\nfigures = "{figures}"\n'
    guessed = trained.holdout.head(100).with_columns(late=pl.lit(value=True))
    training = pl.concat([trained.training, guessed])
    truth = trained.holdout.head(100)["late"].sum()
    found = ask("rows-apart", toml, training=training)
    rows = {"shown": truth, "hidden": 100}[figures]
    assert found.value == pytest.approx(rows / 4000)
