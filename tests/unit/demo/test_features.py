import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.demo.features import CATEGORIES, FEATURES, NUMBERS, build_features
from trivet.demo.flights import LEAD, NEW_YORK, FlightTables, observed_until

Invent = Callable[..., Any]
Row = dict[str, Any]
KNOWN = ("flight_id", "predicted_at", *CATEGORIES)


def assert_same_bits(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert one.select(KNOWN).equals(other.select(KNOWN))
    for name in NUMBERS:
        assert one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes(), name


def until(features: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    return features.filter(pl.col("predicted_at") <= instant)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), hour=st.integers(12, 84))
def test_no_feature_looks_into_the_future(
    invent: Invent, start: datetime, seed: int, hour: int
) -> None:
    invented, instant = invent(seed), start + timedelta(hours=hour)
    tables = invented.tables()
    rewritten = invented.future_rewritten(tables, instant)
    assert not rewritten.flights.equals(tables.flights)
    before, after = build_features(tables), build_features(rewritten)
    assert_same_bits(until(before, instant), until(after, instant))


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), hour=st.integers(12, 84))
def test_tables_as_they_stood_give_the_same_features_as_the_whole_year(
    invent: Invent, start: datetime, seed: int, hour: int
) -> None:
    tables, instant = invent(seed).tables(), start + timedelta(hours=hour)
    then = build_features(tables, instant)
    assert then["predicted_at"].max() <= instant
    assert_same_bits(then, until(build_features(tables), instant))


def test_labels_come_only_after_landing(invent: Invent, start: datetime) -> None:
    tables, instant = invent().tables(), start + timedelta(hours=50)
    then = build_features(tables, instant)
    has_landed = until(build_features(tables), instant)["landed_at"] <= instant
    assert then["late"].is_not_null().equals(has_landed.fill_null(value=False))
    assert 0 < then["late"].null_count() < then.height


def test_real_flights_do_not_change_when_the_future_is_taken_away(
    real_tables: FlightTables,
) -> None:
    first = real_tables.flights["scheduled_at"].min()
    assert isinstance(first, datetime)
    fortnight = observed_until(real_tables, first + timedelta(days=14))
    flights = fortnight.flights.filter(pl.col("scheduled_at") < first + timedelta(days=14))
    tables = FlightTables(
        flights, fortnight.weather, fortnight.planes, fortnight.airports, fortnight.airlines
    )
    whole = build_features(tables)
    for hours in (31, 100, 205, 300):
        instant = first + timedelta(hours=hours)
        assert_same_bits(build_features(tables, instant), until(whole, instant))


@pytest.mark.parametrize(
    ("column", "feature"),
    [
        ("departure_delay_min", "carrier_delay_3h_min"),
        ("arrival_delay_min", "destination_delay_6h_min"),
        ("late", "late_24h"),
        ("seats", "route_seats_30d"),
        ("wind_speed_mph", "wind_speed_mph"),
        ("precipitation_in", "precipitation_3h_in"),
    ],
)
def test_the_past_does_count(invent: Invent, column: str, feature: str) -> None:
    tables = invent().tables()

    def changed(frame: pl.DataFrame) -> pl.DataFrame:
        if column not in frame.columns:
            return frame
        other = ~pl.col(column) if column == "late" else pl.col(column) + 1
        return frame.with_columns(other.alias(column))

    moved = FlightTables(
        changed(tables.flights),
        changed(tables.weather),
        changed(tables.planes),
        tables.airports,
        tables.airlines,
    )
    before, after = build_features(tables)[feature], build_features(moved)[feature]
    assert (before.fill_nan(None) != after.fill_nan(None)).sum() > before.len() / 2


class Witness:
    """Answers the same questions by going through all flights, one question at a time."""

    def __init__(self, tables: FlightTables) -> None:
        self.flights = tables.flights.to_dicts()
        self.weather = tables.weather.to_dicts()
        self.seats = dict(tables.planes.select("tail_number", "seats").iter_rows())

    def seen(self, now: datetime, when: str, hours: float | None, **same: object) -> Iterator[Row]:
        for flight in self.flights:
            at = flight[when]
            is_known = at is not None and at <= now
            is_recent = is_known and (hours is None or at > now - timedelta(hours=hours))
            if is_recent and all(flight[name] == value for name, value in same.items()):
                yield flight

    @staticmethod
    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else math.nan

    def share(self, now: datetime, overall: float, flights: list[Row]) -> float:
        return (sum(f["late"] for f in flights) + 20 * overall) / (len(flights) + 20)

    def figures(self, row: Row) -> dict[str, float]:
        now = row["scheduled_at"] - LEAD
        origin, carrier, to = (row[name] for name in ("origin", "carrier", "destination"))
        number, hour = row["flight_number"], row["hour"]
        left, landed = "departed_at", "landed_at"

        def delays(when: str, value: str, hours: float, **same: object) -> float:
            return self.mean([f[value] for f in self.seen(now, when, hours, **same)])

        reports = [w for w in self.weather if w["origin"] == origin and w["known_at"] <= now]
        report = max(reports, key=lambda w: w["known_at"])
        rain = [w for w in reports if w["known_at"] > now - timedelta(hours=3)]
        route = list(self.seen(now, landed, None, carrier=carrier, destination=to))
        to_there = list(self.seen(now, landed, None, destination=to))
        overall = self.mean([f["late"] for f in self.seen(now, landed, None)])
        waiting = [
            f
            for f in self.flights
            if f["origin"] == origin
            and f["scheduled_at"] <= now
            and all(f[name] is None or f[name] > now for name in (left, "cancelled_at"))
        ]
        seats = [
            self.seats[f["tail_number"]]
            for f in self.seen(now, left, 30 * 24, carrier=carrier, destination=to)
            if f["tail_number"] in self.seats
        ]
        last = max(route, key=lambda f: (f[landed], f["arrival_delay_min"]), default=None)
        return {
            "wind_speed_mph": report["wind_speed_mph"],
            "precipitation_3h_in": sum(w["precipitation_in"] for w in rain) if rain else math.nan,
            "origin_delay_2h_min": delays(left, "departure_delay_min", 2, origin=origin),
            "origin_overdue": len(waiting),
            "carrier_delay_3h_min": delays(
                left, "departure_delay_min", 3, origin=origin, carrier=carrier
            ),
            "carrier_late_24h": delays(landed, "late", 24, origin=origin, carrier=carrier),
            "destination_delay_6h_min": delays(landed, "arrival_delay_min", 6, destination=to),
            "delay_3h_min": delays(landed, "arrival_delay_min", 3),
            "late_24h": delays(landed, "late", 24),
            "late_7d": delays(landed, "late", 7 * 24),
            "flight_delay_30d_min": delays(
                landed, "arrival_delay_min", 30 * 24, carrier=carrier, flight_number=number
            ),
            "route_last_delay_min": last["arrival_delay_min"] if last else math.nan,
            "route_seats_30d": self.mean(seats),
            "destination_late": self.share(now, overall, to_there),
            "destination_hour_late": self.share(
                now, overall, [f for f in to_there if f["hour"] == hour]
            ),
        }


def with_hour(tables: FlightTables) -> FlightTables:
    local = pl.col("scheduled_at").dt.convert_time_zone(NEW_YORK)
    flights = tables.flights.with_columns(local.dt.hour().alias("hour"))
    return FlightTables(flights, tables.weather, tables.planes, tables.airports, tables.airlines)


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_agree_with_a_walk_through_all_flights(invent: Invent, seed: int) -> None:
    tables = invent(seed, flights=500).tables()
    features = build_features(tables)
    told = with_hour(tables)
    witness = Witness(told)
    generator = np.random.default_rng(seed)
    for at in generator.integers(60, 500, 40):
        row = told.flights.row(int(at), named=True)
        found = features.row(int(at), named=True)
        assert found["flight_id"] == row["flight_id"]
        for name, expected in witness.figures(row).items():
            assert found[name] == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True), name


def test_the_calendar_is_that_of_new_york(real_tables: FlightTables) -> None:
    day = real_tables.flights.filter(pl.col("day").dt.to_string() == "2013-07-04")
    tables = FlightTables(
        day, real_tables.weather, real_tables.planes, real_tables.airports, real_tables.airlines
    )
    features = build_features(tables)
    assert set(features["weekday"]) == {4.0}
    by_id = dict(features.select("flight_id", "departure_minute").iter_rows())
    clock = day.select("flight_id", "scheduled_at").row(7, named=True)
    local = clock["scheduled_at"].astimezone(ZoneInfo(NEW_YORK))
    assert by_id[clock["flight_id"]] == 60 * local.hour + local.minute


def test_every_feature_is_a_column_with_a_meaning(invent: Invent) -> None:
    features = build_features(invent().tables())
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)
    for feature in FEATURES:
        expected = pl.String if feature.kind == "category" else pl.Float32
        assert features.schema[feature.name] == expected
        assert feature.meaning
        assert features[feature.name].null_count() == 0


def test_old_weather_is_no_weather(invent: Invent, start: datetime) -> None:
    tables = invent().tables()
    early = tables.weather.filter(pl.col("known_at") <= start + timedelta(hours=20))
    dry = FlightTables(tables.flights, early, tables.planes, tables.airports, tables.airlines)
    features = build_features(dry)
    late = features.filter(pl.col("predicted_at") > start + timedelta(hours=27))
    fresh = features.filter(
        pl.col("predicted_at").is_between(start + timedelta(hours=8), start + timedelta(hours=20))
    )
    assert late["wind_speed_mph"].is_nan().all()
    assert not fresh["wind_speed_mph"].is_nan().any()


def test_before_anything_happened_everything_recent_is_missing(
    invent: Invent, start: datetime
) -> None:
    tables = invent().tables()
    first = tables.flights["scheduled_at"].min() - LEAD
    features = build_features(tables, first)
    assert features.height == 1
    for name in ("origin_delay_2h_min", "late_24h", "route_last_delay_min", "destination_late"):
        assert np.isnan(features[name].item())
    assert build_features(tables, start - timedelta(days=9)).height == 0


def test_an_instant_without_a_zone_is_refused(invent: Invent) -> None:
    with pytest.raises(Invalid, match="time zone"):
        build_features(invent().tables(), datetime(2013, 1, 12))  # noqa: DTZ001  # the point
