from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trivet.core.errors import Invalid, Unsupported
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature
from trivet.models.holdout import hold_out
from trivet.models.packaging import open_package
from trivet.models.rows import RowEncoder
from trivet.models.signatures import fit_signature
from trivet.testing.memory_stores import MemoryBlobs


def test_the_same_candidate_gives_the_same_package(trained: Any, flavours: Any) -> None:
    digests = {
        build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"x==1\n").digest
        for _ in range(2)
    }
    assert len(digests) == 1


def test_another_lock_or_holdout_gives_another_package(trained: Any, flavours: Any) -> None:
    held = hold_out(trained.holdout, trained.signature, time="sent")
    digests = {
        build_package(
            MemoryBlobs(), trained.candidate, flavours, requirements=lock, holdout=rows
        ).digest
        for lock, rows in ((b"x==1\n", None), (b"x==2\n", None), (b"x==1\n", held))
    }
    assert len(digests) == 3


@pytest.mark.parametrize("kind", ["trained", "timed"])
def test_golden_rows_give_the_recorded_bits_along_the_request_path(
    request: pytest.FixtureRequest, flavours: Any, kind: str
) -> None:
    candidate = request.getfixturevalue(kind).candidate
    blobs = MemoryBlobs()
    built = build_package(blobs, candidate, flavours, requirements=b"")
    package = open_package(blobs, built.digest)
    rows = package.golden.rows
    answers = package.session().run(RowEncoder(package.signature).encode_rows(rows))
    assert answers.tobytes() == package.golden.output
    assert len(rows) >= 16


def test_golden_rows_include_gaps_and_unseen_categories(trained: Any, flavours: Any) -> None:
    package = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"")
    encoder = RowEncoder(package.signature)
    assert any(row["weight"] is None for row in package.golden.rows)
    assert any(encoder.unknown_in(encoder.arrange(row)) for row in package.golden.rows)


def test_parity_is_proven_on_ordinary_rows_gaps_and_split_points(
    trained: Any, flavours: Any
) -> None:
    report = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"").parity
    assert set(report.parts) == {"sample", "missing", "edges"}
    assert 0 < report.largest < report.tolerance


def test_the_source_is_the_exact_model(trained: Any, flavours: Any) -> None:
    package = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"")
    flavour = flavours[0]
    rows = Encoder(trained.signature).encode_frame(trained.holdout)
    restored = flavour.predict(flavour.load(package.source), rows)
    assert restored.tobytes() == flavour.predict(trained.candidate.model, rows).tobytes()


def test_a_model_of_another_task_leaves_nothing_behind(trained: Any, flavours: Any) -> None:
    signature = Signature(
        inputs=trained.signature.inputs, task="regression", target=trained.signature.target
    )
    wrong = Candidate(trained.candidate.model, signature, trained.candidate.sample)
    blobs = MemoryBlobs()
    with pytest.raises(Invalid):
        build_package(blobs, wrong, flavours, requirements=b"")
    assert list(blobs.list()) == []


def test_a_tolerance_that_nothing_meets_is_a_refusal(trained: Any, flavours: Any) -> None:
    blobs = MemoryBlobs()
    with pytest.raises(Unsupported) as caught:
        build_package(blobs, trained.candidate, flavours, requirements=b"", tolerance=0.0)
    assert caught.value.code == "no-parity"
    assert list(blobs.list()) == []


def test_training_data_and_held_out_losses_become_the_monitors_reference(
    trained: Any, flavours: Any
) -> None:
    held = hold_out(trained.holdout, trained.signature, time="sent")
    package = build_package(
        MemoryBlobs(), trained.candidate, flavours, requirements=b"", holdout=held
    )
    reference = package.reference
    by_name = {item.name: item for item in reference.inputs}
    assert set(by_name) == {"weight", "distance", "depot", "express"}
    assert all(sum(item.counts) == reference.rows for item in reference.inputs)
    assert by_name["weight"].counts[0] == trained.training["weight"].null_count()
    assert sum(window.rows for window in reference.windows) == held.size
    brier = (
        sum(window.losses["brier"].mean * window.rows for window in reference.windows) / held.size
    )
    answers = package.session().run(Encoder(trained.signature).encode_frame(held.rows))[:, 0]
    assert brier == pytest.approx(float(np.square(held.labels - answers).mean()), abs=1e-4)


def fitted(model: Any, data: Any, task: str, **options: Any) -> Candidate:
    """Train a model on one of scikit-learn's real tables, the way a project would."""
    table = pl.DataFrame(data.data, schema=[f"x{at}" for at in range(data.data.shape[1])])
    table = table.with_columns(pl.Series("goal", data.target))
    signature = fit_signature(table, "goal", task, **options)  # pyright: ignore[reportArgumentType]
    encoder = Encoder(signature)
    model.fit(encoder.encode_frame(table), encoder.encode_target(table))
    return Candidate.of(model, signature, sample=table)


@pytest.mark.parametrize(
    ("model", "load", "task", "source"),
    [
        (
            lightgbm.LGBMClassifier(verbose=-1, n_jobs=1),
            load_breast_cancer,
            "binary",
            "lightgbm.txt",
        ),
        (lightgbm.LGBMClassifier(verbose=-1, n_jobs=1), load_wine, "multiclass", "lightgbm.txt"),
        (lightgbm.LGBMRegressor(verbose=-1, n_jobs=1), load_diabetes, "regression", "lightgbm.txt"),
        (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            load_wine,
            "multiclass",
            "skops",
        ),
        (RandomForestClassifier(30, random_state=0), load_breast_cancer, "binary", "skops"),
        (make_pipeline(StandardScaler(), Ridge()), load_diabetes, "regression", "skops"),
    ],
)
def test_real_tables_become_packages_with_proven_parity(
    flavours: Any, model: Any, load: Any, task: str, source: str
) -> None:
    candidate = fitted(model, load(), task)
    package = build_package(MemoryBlobs(), candidate, flavours, requirements=b"")
    assert package.parity.holds
    assert package.manifest.source.endswith(source)
    served = package.session().run(Encoder(package.signature).encode_frame(candidate.sample))
    assert np.abs(served - candidate.predict(candidate.sample)).max() < 1e-3


def test_a_linear_model_that_cannot_take_the_gaps_it_promised_is_explained(flavours: Any) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    candidate = fitted(model, load_breast_cancer(), "binary", allow_missing=True)
    with pytest.raises(Invalid) as caught:
        build_package(MemoryBlobs(), candidate, flavours, requirements=b"")
    assert caught.value.code == "cannot-answer"
    assert "SimpleImputer" in caught.value.hint
