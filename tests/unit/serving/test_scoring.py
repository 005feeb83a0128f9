import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from trivet.adapters.lightgbm.flavour import LightGBMFlavour
from trivet.core.errors import Invalid, NotFound
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import Model, ModelVersion, Task
from trivet.models.signatures import fit_signature
from trivet.serving.predictor import LoadedModel
from trivet.serving.scoring import score_file
from trivet.testing.memory_stores import MemoryBlobs

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
BLOBS = MemoryBlobs()
ROWS = 300


def orders(seed: int, rows: int = ROWS) -> pl.DataFrame:
    """Orders with every kind of input, missing values among them, and three targets."""
    random = np.random.default_rng(seed)
    gaps = pl.Series(random.random(rows) < 0.1)
    amount = pl.Series("amount", random.gamma(2, 20, rows).round(2))
    kind = random.choice(["book", "toy", "tool"], rows)
    score = amount.to_numpy() / 40 - 1 + (kind == "toy") + random.normal(0, 0.5, rows)
    return pl.DataFrame(
        {
            "order": [f"o-{n}" for n in range(rows)],
            "amount": amount.zip_with(~gaps, pl.Series([None] * rows, dtype=pl.Float64)),
            "pieces": random.integers(1, 9, rows),
            "gift": random.random(rows) < 0.2,
            "kind": kind,
            "placed": [
                date(2024, 1, 1) + timedelta(days=int(n)) for n in random.integers(0, 90, rows)
            ],
            "binary": score > 0,
            "multiclass": np.select([score < -0.3, score > 0.5], ["low", "high"], "middle"),
            "regression": score.round(4),
        }
    )


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    table = orders(1)
    found: dict[str, Model] = {}
    for task in TASKS:
        signature = fit_signature(
            table,
            task,
            task,
            drop=["order", *(other for other in TASKS if other != task)],
            unknown="missing" if task == "regression" else "reject",
        )
        encoder = Encoder(signature)
        options = {"objective": task, "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 1}
        if task == "multiclass":
            options["num_class"] = 3
        data = lgb.Dataset(
            encoder.encode_frame(table),
            encoder.encode_target(table),
            categorical_feature=list(encoder.categorical),
        )
        candidate = Candidate.of(lgb.train(options, data, 12), signature, sample=table)
        package = build_package(BLOBS, candidate, (LightGBMFlavour(),), requirements=b"")
        version = ModelVersion(
            name="orders",
            version=1,
            package=package.digest,
            size_bytes=package.size_bytes,
            flavour="lightgbm",
            signature=package.signature,
            run="0" * 32,
            verdict="0" * 32,
        )
        found[task] = Model(id=f"{len(found):032x}", version=version)
    return found


def online(model: Model, table: pl.DataFrame) -> np.ndarray[Any, Any]:
    """What serving answers when each row comes in a request of its own, as JSON."""
    loaded = LoadedModel(BLOBS, model)
    rows = Encoder(model.version.signature).rows_of(table)
    answers = [
        loaded.predict(loaded.encoder.encode_rows([json.loads(json.dumps(row))])) for row in rows
    ]
    return np.concatenate(answers)


Write = Callable[[pl.DataFrame, Path], object]
SUFFIXES: dict[str, Write] = {
    ".csv": pl.DataFrame.write_csv,
    ".parquet": pl.DataFrame.write_parquet,
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_scored_file_has_the_bits_that_serving_answers(
    models: dict[str, Model], tmp_path: Path, task: str, suffix: str
) -> None:
    table = orders(2)
    source, target = tmp_path / f"orders{suffix}", tmp_path / "scored.parquet"
    SUFFIXES[suffix](table, source)
    scored = score_file(BLOBS, models[task], source, target)
    assert (scored.rows, scored.model) == (ROWS, "orders:1")
    found = pl.read_parquet(target)
    assert found.columns[: table.width] == table.columns
    expected = online(models[task], table)
    if task == "multiclass":
        classes = models[task].version.signature.classes
        shares = found.select(f"probability_{name}" for name in classes).to_numpy()
        assert shares.astype(np.float32).tobytes() == np.ascontiguousarray(expected).tobytes()
        likeliest = [classes[at] for at in expected.argmax(axis=1)]
        assert found["prediction"].to_list() == likeliest
    else:
        assert found["prediction"].to_numpy().tobytes() == expected[:, 0].tobytes()


def test_a_csv_keeps_every_bit_too(models: dict[str, Model], tmp_path: Path) -> None:
    source, target = tmp_path / "orders.csv", tmp_path / "scored.csv"
    orders(3).write_csv(source)
    score_file(BLOBS, models["binary"], source, target)
    read = pl.read_csv(target)["prediction"].cast(pl.Float32).to_numpy()
    assert read.tobytes() == online(models["binary"], orders(3))[:, 0].tobytes()


def test_a_column_without_any_value_is_missing_whatever_it_should_be(
    models: dict[str, Model], tmp_path: Path
) -> None:
    table = orders(4).with_columns(amount=pl.lit(None, dtype=pl.Float64))
    source, target = tmp_path / "orders.csv", tmp_path / "scored.parquet"
    table.write_csv(source)  # in the file nothing says that they would be numbers
    score_file(BLOBS, models["binary"], source, target)
    found = pl.read_parquet(target)["prediction"].to_numpy()
    assert found.tobytes() == online(models["binary"], table)[:, 0].tobytes()


def scoring(
    models: dict[str, Model], folder: Path, table: pl.DataFrame, task: str = "binary"
) -> Any:
    table.write_parquet(folder / "in.parquet")
    return score_file(BLOBS, models[task], folder / "in.parquet", folder / "out.csv")


def test_an_unknown_category_is_refused_or_counted_as_the_signature_says(
    models: dict[str, Model], tmp_path: Path
) -> None:
    table = orders(5).with_columns(
        kind=pl.when(pl.int_range(pl.len()) < 7).then(pl.lit("boat")).otherwise("kind")
    )
    with pytest.raises(Invalid, match=r"'kind' is a category that was not seen.*in 7 rows"):
        scoring(models, tmp_path, table)
    assert not (tmp_path / "out.csv").exists()
    assert scoring(models, tmp_path, table, "regression").unknown == {"kind": 7}
    found = pl.read_csv(tmp_path / "out.csv")["prediction"].cast(pl.Float32).to_numpy()
    assert found.tobytes() == online(models["regression"], table)[:, 0].tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop("pieces"), "no column 'pieces'"),
        (lambda t: t.with_columns(pieces=pl.lit("many")), "'pieces' is a column of String"),
        (lambda t: t.with_columns(pieces=pl.lit(None, pl.Int64)), "'pieces' is null"),
        (lambda t: t.with_columns(prediction=pl.lit(1)), "a column 'prediction' already"),
        (lambda t: t.clear(), "no rows"),
    ],
)
def test_a_file_that_does_not_suit_the_model_is_refused_and_nothing_is_written(
    models: dict[str, Model],
    tmp_path: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    words: str,
) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        scoring(models, tmp_path, change(orders(6)))
    assert caught.value.hint
    assert [item.name for item in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize(
    ("target", "error"), [("out.xlsx", Invalid), ("out", Invalid), ("no/out.csv", NotFound)]
)
def test_a_target_that_cannot_be_written_is_refused_before_any_work(
    models: dict[str, Model], tmp_path: Path, target: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        score_file(BLOBS, models["binary"], tmp_path / "nowhere.csv", tmp_path / target)


def test_a_scored_file_replaces_an_older_one_whole_or_not_at_all(
    models: dict[str, Model], tmp_path: Path
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("what was there before")
    with pytest.raises(Invalid):
        scoring(models, tmp_path, orders(7).drop("amount"))
    assert target.read_text() == "what was there before"
    scoring(models, tmp_path, orders(7))
    assert pl.read_csv(target).height == ROWS
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.parquet", "out.csv"]
