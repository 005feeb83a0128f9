"""What is known of a flight two hours before it should leave.

Every feature is a function of the schedule and of events known at `predicted_at`. Recent and
historical figures are sums over such events alone: departures from the minute a flight left, delays
on arrival from the minute it reached the gate, cancellations and weather from the instant at which
they are out. A flight that is overdue at that moment is known to be overdue, and no more. Which
aircraft will fly is not used: the file names the one that did.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl

from trivet.demo.flights import LEAD, NEW_YORK, FlightTables, observed_until
from trivet.demo.history import Floats, History, Integers, gather, ratio

HOUR = 60
_STALE_MIN = 6 * HOUR
_PRIOR_FLIGHTS = 20
"""A rate of few flights is drawn towards the rate of all, as if so many of these had been seen."""


@dataclass(frozen=True)
class Feature:
    """One column of the model's input.

    Attributes:
        name: Of the column.
        kind: Whether its values are names or amounts.
        meaning: In words.
        effect: What more of it must do to the forecast, all else being equal: common sense that
            the model is held to, and that a gate can check.
    """

    name: str
    kind: Literal["category", "number"]
    meaning: str
    effect: Literal["rises", "falls", "free"] = "free"


FEATURES = (
    Feature("carrier", "category", "airline, two letters or digits"),
    Feature("origin", "category", "airport of departure"),
    Feature("destination", "category", "airport of arrival"),
    Feature("departure_minute", "number", "scheduled departure, minutes after midnight, New York"),
    Feature("weekday", "number", "of the scheduled departure, 1 Monday to 7 Sunday"),
    Feature("distance_miles", "number", "from origin to destination"),
    Feature("block_min", "number", "minutes from scheduled departure to scheduled arrival"),
    Feature("departures_around", "number", "scheduled at the origin, half an hour to either side"),
    Feature("route_seats_30d", "number", "seats of the carrier's aircraft to the destination"),
    Feature("wind_direction_deg", "number", "at the origin, from where, clockwise from north"),
    Feature("wind_speed_mph", "number", "at the origin"),
    Feature("wind_gust_mph", "number", "at the origin; missing when none was reported", "rises"),
    Feature("humidity_pct", "number", "at the origin, relative"),
    Feature("visibility_miles", "number", "at the origin, at most 10", "falls"),
    Feature("precipitation_3h_in", "number", "at the origin, three hours together", "rises"),
    Feature("origin_delay_2h_min", "number", "mean delay of departures from the origin", "rises"),
    Feature(
        "origin_overdue", "number", "flights that should have left the origin and have not", "rises"
    ),
    Feature(
        "carrier_delay_3h_min", "number", "mean delay of its departures from the origin", "rises"
    ),
    Feature("carrier_late_24h", "number", "share of its arrivals from the origin, late", "rises"),
    Feature("destination_delay_6h_min", "number", "mean delay of arrivals there", "rises"),
    Feature("delay_3h_min", "number", "mean delay of all arrivals"),
    Feature("late_24h", "number", "share of all arrivals, late"),
    Feature("late_7d", "number", "share of all arrivals, late"),
    Feature(
        "flight_delay_30d_min", "number", "mean delay of this flight number's arrivals", "rises"
    ),
    Feature(
        "flight_last_delay_min", "number", "delay of this flight number's last arrival", "rises"
    ),
    Feature("route_last_delay_min", "number", "delay of the carrier's last arrival there", "rises"),
    Feature(
        "destination_late", "number", "share of arrivals there, late, all days so far", "rises"
    ),
    Feature(
        "destination_hour_late", "number", "the same, of departures in that hour alone", "rises"
    ),
)
CATEGORIES = tuple(feature.name for feature in FEATURES if feature.kind == "category")
NUMBERS = tuple(feature.name for feature in FEATURES if feature.kind == "number")


def _minutes(instants: pl.Series) -> Integers:
    """Whole minutes since 1970; nulls must be gone."""
    return instants.dt.epoch("s").to_numpy() // 60


def _integers(values: pl.Series) -> Integers:
    return values.cast(pl.Int64).to_numpy()


def _codes(frame: pl.DataFrame, *columns: str) -> Integers:
    """Number the rows' groups from 0; a null is a group of its own."""
    code = np.zeros(frame.height, np.int64)
    for name in columns:
        part = _integers(frame[name].rank("dense").fill_null(0))
        code = code * (int(part.max(initial=0)) + 1) + part
    return code


def _events(tables: FlightTables) -> pl.DataFrame:
    """Number each flight's groups over the whole schedule, which is the same at every instant."""
    flights = tables.flights.join(
        tables.planes.select("tail_number", "seats"),
        on="tail_number",
        how="left",
        maintain_order="left",
    )
    hour = pl.col("scheduled_at").dt.convert_time_zone(NEW_YORK).dt.hour()
    flights = flights.with_columns(hour.alias("hour"))
    groups = {
        "all": np.zeros(flights.height, np.int64),
        "origin_code": _codes(flights, "origin"),
        "carrier_origin": _codes(flights, "carrier", "origin"),
        "destination_code": _codes(flights, "destination"),
        "destination_hour": _codes(flights, "destination", "hour"),
        "flight": _codes(flights, "carrier", "flight_number"),
        "route": _codes(flights, "carrier", "destination"),
    }
    return flights.with_columns(
        pl.Series(name, code) for name, code in groups.items()
    ).with_columns(
        (pl.col("scheduled_at") - LEAD).alias("predicted_at"),
        # No longer waiting: gone, at the earliest when due, or given up.
        pl.when(pl.col("departed_at").is_not_null())
        .then(pl.max_horizontal("departed_at", "scheduled_at"))
        .otherwise("cancelled_at")
        .alias("settled_at"),
    )


@dataclass(frozen=True)
class _Known:
    """The events of some flights, and the moments at which questions are asked of them.

    Attributes:
        events: All flights, with their group numbers.
        asked: The flights asked about.
        now: The minute at which each of these is asked about.
    """

    events: pl.DataFrame
    asked: pl.DataFrame
    now: Integers

    def history(self, group: str, when: str, *values: str) -> History:
        """Gather the flights of which `when` and `values` are known, by group."""
        seen = self.events.filter(pl.all_horizontal(pl.col(when, *values).is_not_null()))
        return gather(
            _integers(seen[group]),
            _minutes(seen[when]),
            *(_integers(seen[name]) for name in values),
        )

    def totals(
        self, group: str, when: str, *values: str, window_min: int | None = None
    ) -> Integers:
        """Add up what is known to each question: shape (questions, 1 + values)."""
        history = self.history(group, when, *values)
        return history.totals(_integers(self.asked[group]), self.now, window_min=window_min)

    def mean(self, group: str, when: str, value: str, hours: int) -> Floats:
        """Average what became known in the last hours; NaN where nothing did."""
        totals = self.totals(group, when, value, window_min=hours * HOUR)
        return ratio(totals[:, 1], totals[:, 0])

    def last(self, group: str, when: str, value: str) -> Floats:
        """Give the value that became known last; NaN where there is none yet."""
        history = self.history(group, when, value)
        at, _ = history.latest(_integers(self.asked[group]), self.now)
        return history.value(at)


def _calendar(known: _Known) -> dict[str, Floats | Integers]:
    local = known.asked.select(pl.col("scheduled_at").dt.convert_time_zone(NEW_YORK)).to_series()
    block = known.asked["scheduled_arrival_at"] - known.asked["scheduled_at"]
    schedule = known.history("origin_code", "scheduled_at")
    around = schedule.totals(
        _integers(known.asked["origin_code"]),
        _minutes(known.asked["scheduled_at"]) + HOUR // 2,
        window_min=HOUR,
    )
    return {
        "departure_minute": _integers(local.dt.hour()) * 60 + _integers(local.dt.minute()),
        "weekday": _integers(local.dt.weekday()),
        "distance_miles": _integers(known.asked["distance_miles"]),
        "block_min": _integers(block.dt.total_minutes()),
        "departures_around": around[:, 0],
    }


def _weather(known: _Known, weather: pl.DataFrame) -> dict[str, Floats]:
    codes = known.events.select("origin", "origin_code").unique()
    rain = (pl.col("precipitation_in") * 100).round().fill_null(0).cast(pl.Int64)
    # In the order in which the reports are gathered, so that a position is a row.
    weather = (
        weather.join(codes, on="origin", how="inner", maintain_order="left")
        .with_columns(rain.alias("rain"))
        .sort("origin_code", "known_at", "rain", maintain_order=True)
    )
    reports = gather(
        _integers(weather["origin_code"]), _minutes(weather["known_at"]), _integers(weather["rain"])
    )
    origin = _integers(known.asked["origin_code"])
    at, minute = reports.latest(origin, known.now)
    at = np.where(known.now - minute <= _STALE_MIN, at, -1)
    readings = (
        "wind_direction_deg",
        "wind_speed_mph",
        "wind_gust_mph",
        "humidity_pct",
        "visibility_miles",
    )
    found = {
        name: np.append(weather[name].cast(pl.Float64).to_numpy(), np.nan)[at] for name in readings
    }
    total = reports.totals(origin, known.now, window_min=3 * HOUR)
    found["precipitation_3h_in"] = ratio(total[:, 1], np.where(total[:, 0] > 0, 100, 0))
    return found


def _recent(known: _Known) -> dict[str, Floats | Integers]:
    due = known.totals("origin_code", "scheduled_at")
    settled = known.totals("origin_code", "settled_at")
    left, landed = ("departed_at", "departure_delay_min"), ("landed_at", "arrival_delay_min")
    return {
        "origin_delay_2h_min": known.mean("origin_code", *left, hours=2),
        "origin_overdue": due[:, 0] - settled[:, 0],
        "carrier_delay_3h_min": known.mean("carrier_origin", *left, hours=3),
        "carrier_late_24h": known.mean("carrier_origin", "landed_at", "late", hours=24),
        "destination_delay_6h_min": known.mean("destination_code", *landed, hours=6),
        "delay_3h_min": known.mean("all", *landed, hours=3),
        "late_24h": known.mean("all", "landed_at", "late", hours=24),
        "late_7d": known.mean("all", "landed_at", "late", hours=7 * 24),
        "flight_delay_30d_min": known.mean("flight", *landed, hours=30 * 24),
        "flight_last_delay_min": known.last("flight", *landed),
        "route_last_delay_min": known.last("route", *landed),
        "route_seats_30d": known.mean("route", "departed_at", "seats", hours=30 * 24),
    }


def _rates(known: _Known) -> dict[str, Floats]:
    """Historical rates, drawn towards the rate of all flights known by then."""
    everything = known.totals("all", "landed_at", "late")
    overall = ratio(everything[:, 1], everything[:, 0])

    def rate(group: str) -> Floats:
        totals = known.totals(group, "landed_at", "late")
        return (totals[:, 1] + _PRIOR_FLIGHTS * overall) / (totals[:, 0] + _PRIOR_FLIGHTS)

    return {
        "destination_late": rate("destination_code"),
        "destination_hour_late": rate("destination_hour"),
    }


def build_features(tables: FlightTables, until: datetime | None = None) -> pl.DataFrame:
    """Describe flights by what was known two hours before their scheduled departure.

    A pure function of the tables. A row does not change when anything changes that became known
    after its `predicted_at`: not by a bit.

    Args:
        tables: As `load_tables` or `observed_until` gives them.
        until: Stand at this aware instant: rows with a later `predicted_at` are left out, and
            labels that were not known yet are null. All rows and labels when None.

    Returns:
        In the order of departures: `flight_id`, `day`, `predicted_at`, `scheduled_at`; the columns
        of `FEATURES`, categories as text and numbers as 32-bit floats, NaN where nothing is known;
        `late`, the label, null for flights that never arrived, and `landed_at`, when it was known.

    Raises:
        Invalid: `until` names no time zone.
    """
    if until is not None:
        tables = observed_until(tables, until)
    events = _events(tables)
    asked = events if until is None else events.filter(pl.col("predicted_at") <= until)
    known = _Known(events, asked, _minutes(asked["predicted_at"]))
    columns = _calendar(known) | _weather(known, tables.weather) | _recent(known) | _rates(known)
    return asked.select(
        "flight_id",
        "day",
        "predicted_at",
        "scheduled_at",
        *CATEGORIES,
        *(pl.Series(name, columns[name].astype(np.float32)) for name in NUMBERS),
        "late",
        "landed_at",
    )
