"""Made-up rows have the shape of the real ones, and say what they are."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trivet.core.errors import Invalid
from trivet.data.synthetic import fit_copula


@pytest.fixture(scope="module")
def real() -> pl.DataFrame:
    random = np.random.default_rng(7)
    distance = random.gamma(3, 300, 4000)
    minutes = np.round(distance / 8 + random.normal(0, 5, 4000)).astype(int)
    first = datetime(2020, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "distance": np.round(distance, 1),
            "minutes": pl.Series(minutes).set(pl.Series(random.random(4000) < 0.1), None),
            "carrier": random.choice(["AA", "UA", "DL"], 4000, p=[0.7, 0.2, 0.1]),
            "late": random.random(4000) < 0.25,
            "at": [first + timedelta(minutes=int(m)) for m in random.integers(0, 500_000, 4000)],
            "mail": [f"user{row}@example.org" for row in range(4000)],
            "never": pl.Series([None] * 4000, dtype=pl.Float64),
        }
    )


def test_columns_types_and_distributions_are_kept(real: pl.DataFrame) -> None:
    made = fit_copula(real).sample(4000, seed=1)
    assert made.schema == real.schema
    assert made["never"].null_count() == 4000
    assert made["minutes"].null_count() / 4000 == pytest.approx(0.1, abs=0.02)
    assert made["late"].mean() == pytest.approx(0.25, abs=0.03)
    shares = dict(made["carrier"].value_counts(normalize=True).rows())
    assert shares["AA"] == pytest.approx(0.7, abs=0.03)
    for level in (0.1, 0.5, 0.9):
        wanted = real["distance"].quantile(level)
        assert made["distance"].quantile(level) == pytest.approx(wanted, rel=0.1)


def test_columns_that_move_together_still_do(real: pl.DataFrame) -> None:
    ranks = pl.corr("distance", "minutes", method="spearman")
    wanted = real.drop_nulls("minutes").select(ranks).item()
    found = fit_copula(real).sample(4000).drop_nulls("minutes").select(ranks).item()
    assert wanted > 0.9
    assert found > 0.75


def test_numbers_are_as_fine_as_they_were(real: pl.DataFrame) -> None:
    made = fit_copula(real).sample(500)
    assert (made["distance"].round(1) == made["distance"]).all()
    assert made["distance"].is_between(real["distance"].min(), real["distance"].max()).all()


def test_text_that_names_a_person_is_not_copied(real: pl.DataFrame) -> None:
    made = fit_copula(real).sample(500)
    assert not set(made["mail"]) & set(real["mail"])


def test_the_same_seed_makes_the_same_rows(real: pl.DataFrame) -> None:
    copula = fit_copula(real)
    assert_frame_equal(copula.sample(50, seed=3), fit_copula(real).sample(50, seed=3))
    assert not copula.sample(50, seed=3).equals(copula.sample(50, seed=4))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "x": st.none() | st.floats(-1e9, 1e9) | st.just(float("nan")),
                "same": st.just(1),
                "w": st.none() | st.sampled_from("ab"),
                "day": st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)),
            }
        ),
        min_size=2,
        max_size=80,
    ),
    st.integers(1, 30),
)
def test_any_small_table_can_be_imitated(rows: list[dict[str, object]], wanted: int) -> None:
    schema = {"x": pl.Float64, "same": pl.Int64, "w": pl.String, "day": pl.Date}
    real = pl.DataFrame(rows, schema=schema)
    made = fit_copula(real).sample(wanted)
    assert made.schema == real.schema
    assert made.height == wanted
    for name in ("w", "day"):
        assert set(made[name].drop_nulls()) <= set(real[name].drop_nulls())


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(Invalid, match="1 rows"):
        fit_copula(pl.DataFrame({"a": [1]}))
    with pytest.raises(Invalid, match="'list'"):
        fit_copula(pl.DataFrame({"list": [[1], [2]]}))
    with pytest.raises(Invalid, match="rows must lie"):
        fit_copula(pl.DataFrame({"a": [1, 2]})).sample(0)
