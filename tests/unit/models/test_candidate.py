from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.models.candidate import SAMPLE_ROWS, Candidate, candidate_materialiser, flavour_for
from trivet.models.encoding import Encoder
from trivet.models.signatures import fit_signature
from trivet.pipelines.materialising.values import Values


def test_a_candidate_keeps_the_inputs_of_its_sample_and_nothing_else(trained: Any) -> None:
    names = [item.name for item in trained.signature.inputs]
    assert trained.candidate.sample.columns == names
    assert "late" not in names


def test_a_large_sample_is_thinned_evenly(trained: Any) -> None:
    table = pl.concat([trained.training] * 4)
    found = Candidate.of(trained.candidate.model, trained.signature, sample=table)
    assert SAMPLE_ROWS / 2 < found.sample.height <= SAMPLE_ROWS


def test_a_sample_of_a_few_rows_is_refused(trained: Any) -> None:
    with pytest.raises(Invalid, match="expected at least"):
        Candidate.of(trained.candidate.model, trained.signature, sample=trained.training.head(3))


def test_a_sample_that_does_not_fit_the_signature_is_refused(trained: Any) -> None:
    with pytest.raises(Invalid):
        Candidate.of(
            trained.candidate.model, trained.signature, sample=trained.training.drop("depot")
        )


def test_a_candidate_predicts_the_positive_class(trained: Any) -> None:
    answers = trained.candidate.predict(trained.holdout)
    late = trained.holdout["late"].to_numpy()
    assert answers.shape == (trained.holdout.height, 1)
    assert answers[late].mean() > answers[~late].mean()


def test_a_candidate_that_was_kept_answers_bit_for_bit_as_before(
    trained: Any, flavours: Any
) -> None:
    values = Values((candidate_materialiser(flavours),))
    form = values.save(trained.candidate, "the model")
    restored = values.load(form)
    assert isinstance(restored, Candidate)
    before, after = (c.predict(trained.holdout) for c in (trained.candidate, restored))
    assert before.tobytes() == after.tobytes()
    assert restored.signature == trained.signature
    assert restored.sample.equals(trained.candidate.sample)


def test_keeping_a_candidate_twice_gives_the_same_files(trained: Any, flavours: Any) -> None:
    keeper = candidate_materialiser(flavours)
    once = keeper.save(trained.candidate)
    assert keeper.save(trained.candidate) == once
    assert keeper.save(keeper.load(once)) == once


@pytest.mark.parametrize("lost", ["candidate.json", "signature.json", "sample.parquet"])
def test_a_candidate_with_a_broken_file_does_not_come_back(
    trained: Any, flavours: Any, lost: str
) -> None:
    keeper = candidate_materialiser(flavours)
    files = dict(keeper.save(trained.candidate))
    with pytest.raises(Corrupt):
        keeper.load({**files, lost: b"{"})
    del files[lost]
    with pytest.raises(Corrupt):
        keeper.load(files)


def test_a_flavour_that_is_gone_is_named(trained: Any, flavours: Any) -> None:
    files = candidate_materialiser(flavours).save(trained.candidate)
    with pytest.raises(Unsupported, match="lightgbm"):
        candidate_materialiser(()).load(files)


def test_a_model_that_no_flavour_takes_is_named_with_those_that_are_there(flavours: Any) -> None:
    with pytest.raises(Unsupported) as caught:
        flavour_for(object(), flavours)
    assert "lightgbm, sklearn" in caught.value.hint


def words(training: pl.DataFrame) -> pl.DataFrame:
    return training.with_columns(
        late=pl.when(pl.col("late")).then(pl.lit("late")).otherwise(pl.lit("early")),
        weight=pl.col("weight").fill_null(0.0),
    ).select("weight", "distance", "late")


def test_a_model_trained_on_words_fits_when_the_words_stand_in_order(
    training: pl.DataFrame,
) -> None:
    table = words(training)
    signature = fit_signature(table, "late")
    model = LogisticRegression(max_iter=5000)
    model.fit(Encoder(signature).encode_frame(table), table["late"].to_numpy())
    assert Candidate.of(model, signature, sample=table).signature.classes == ("early", "late")


def test_classes_in_another_order_are_refused(training: pl.DataFrame) -> None:
    table = words(training)
    signature = fit_signature(table, "late", positive="early")
    model = DummyClassifier().fit(np.zeros((table.height, 2)), table["late"].to_numpy())
    with pytest.raises(Invalid) as caught:
        Candidate.of(model, signature, sample=table)
    assert caught.value.code == "other-classes"
    assert "encode_target" in caught.value.hint
