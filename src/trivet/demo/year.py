"""The year as it is replayed: what was known when, and which flights are asked about.

Every flight's features were known two hours before its scheduled departure (a test of `features`
proves it), so they are computed once for the whole year; what is *published* for training at a
moment are the flights whose outcome was known by then.
"""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl

from trivet.demo.features import FEATURES, build_features
from trivet.demo.flights import load_tables

START = datetime(2013, 3, 1, 5, tzinfo=UTC)
"""Midnight of the first of March in New York: the moment of the first release."""
END = datetime(2014, 1, 1, 5, tzinfo=UTC)

_encode = msgspec.json.Encoder().encode
_NAMES = tuple(feature.name for feature in FEATURES)


class Question(NamedTuple):
    """A flight that is asked about: the request, and what will turn out."""

    flight_id: str
    day: date
    body: bytes
    late: bool | None
    landed_at: datetime | None


class Year:
    """The flights of 2013 with their features, in the order of departures.

    Args:
        per_day: How many flights of each day are asked about.
        seed: Chooses them.
    """

    def __init__(self, *, per_day: int, seed: int = 2013) -> None:
        self.per_day = per_day
        self.flights = build_features(load_tables())
        replayed = self.flights.filter(pl.col("predicted_at").is_between(START, END, closed="left"))
        shuffled = replayed.select("flight_id", "day").sample(fraction=1.0, shuffle=True, seed=seed)
        kept = shuffled.group_by("day", maintain_order=True).head(per_day)
        self.asked = replayed.join(
            kept.select("flight_id"), on="flight_id", how="semi", maintain_order="left"
        ).sort("predicted_at")

    @property
    def sampling(self) -> str:
        """The sampling, in words."""
        whole = self.flights.filter(pl.col("predicted_at").is_between(START, END, closed="left"))
        return (
            f"{self.per_day} flights of each day, chosen at random (seeded) among "
            f"{whole.height:,} from March to December: {self.asked.height:,} in all"
        )

    def known(self, after: datetime | None, until: datetime) -> pl.DataFrame:
        """Return the flights whose outcome became known in (after, until], as they are published.

        Flights that never arrived have no outcome and are not among them.
        """
        seen = pl.col("landed_at") <= until
        if after is not None:
            seen &= pl.col("landed_at") > after
        return self.flights.filter(pl.col("late").is_not_null() & seen)

    def windows(self) -> Iterator[tuple[datetime, list[Question]]]:
        """Yield (end of the day, questions asked during it), days in UTC, in order."""
        start = START.replace(hour=0)
        while start < END:
            end = start + timedelta(days=1)
            rows = self.asked.filter(pl.col("predicted_at").is_between(start, end, closed="left"))
            yield end, [_question(row) for row in rows.iter_rows(named=True)]
            start = end


def _question(row: dict[str, Any]) -> Question:
    values = {name: _plain(row[name]) for name in _NAMES}
    body = {
        "rows": [values],
        "units": [str(row["flight_id"])],
        "event_times": [row["predicted_at"]],
    }
    return Question(
        flight_id=str(row["flight_id"]),
        day=row["day"],
        body=_encode(body),
        late=row["late"],
        landed_at=row["landed_at"],
    )


def _plain(value: Any) -> Any:  # noqa: ANN401  # a cell
    # JSON has no NaN: what is not known is null.
    return None if isinstance(value, float) and math.isnan(value) else value
