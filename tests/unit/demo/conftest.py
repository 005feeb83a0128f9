"""Made-up flights over a few days, and the real ones where they are installed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import polars as pl
import pytest

from trivet.demo.flights import (
    CANCELLATION_LAG,
    LATE_AFTER_MIN,
    NEW_YORK,
    PACKAGE,
    WEATHER_LAG,
    FlightTables,
    load_tables,
)

START = datetime(2013, 1, 10, 5, tzinfo=UTC)
CARRIERS, ORIGINS, DESTINATIONS = ("AA", "B6", "UA"), ("EWR", "JFK"), ("BOS", "LAX", "SJU", "ORD")
READINGS = (
    "temperature_f",
    "dew_point_f",
    "humidity_pct",
    "wind_direction_deg",
    "wind_speed_mph",
    "wind_gust_mph",
    "pressure_mb",
    "visibility_miles",
)


@dataclass(frozen=True)
class Invented:
    """Tables made from a seed."""

    seed: int
    flights: int
    days: int

    def outcomes(self, generator: np.random.Generator, flights: pl.DataFrame) -> pl.DataFrame:
        """Decide what happens to scheduled flights."""
        n = flights.height
        fate = generator.random(n)
        delay = generator.integers(-12, 150, n)
        arrival = delay + generator.integers(-25, 40, n)
        departs, arrives = pl.Series(fate > 0.05), pl.Series(fate > 0.08)
        tails = pl.Series([f"N{tail}" for tail in generator.integers(0, 20, n)])
        return flights.with_columns(
            pl.when(departs)
            .then(pl.col("scheduled_at") + pl.duration(minutes=pl.Series(delay)))
            .alias("departed_at"),
            pl.when(departs).then(pl.Series(delay, dtype=pl.Int32)).alias("departure_delay_min"),
            pl.when(departs).then(tails).alias("tail_number"),
            pl.when(arrives)
            .then(pl.col("scheduled_arrival_at") + pl.duration(minutes=pl.Series(arrival)))
            .alias("landed_at"),
            pl.when(arrives).then(pl.Series(arrival, dtype=pl.Int32)).alias("arrival_delay_min"),
            pl.when(arrives).then(pl.Series(arrival > LATE_AFTER_MIN)).alias("late"),
            pl.when(~departs).then(pl.col("scheduled_at") + CANCELLATION_LAG).alias("cancelled_at"),
        )

    def weather(self, generator: np.random.Generator) -> pl.DataFrame:
        hours = self.days * 24
        observed = [START + timedelta(hours=hour) for hour in range(-3, hours)]
        table = pl.DataFrame({"observed_at": observed}).join(
            pl.DataFrame({"origin": ORIGINS}), how="cross"
        )
        table = table.filter(pl.Series(generator.random(table.height) > 0.1))
        wet = generator.random(table.height) < 0.3
        return table.select(
            "origin",
            "observed_at",
            (pl.col("observed_at") + WEATHER_LAG).alias("known_at"),
            *(
                pl.Series(name, generator.integers(0, 100, table.height), dtype=pl.Float64)
                for name in READINGS
            ),
            pl.Series("precipitation_in", wet * generator.integers(1, 50, table.height) / 100),
        )

    def schedule(self, generator: np.random.Generator) -> pl.DataFrame:
        n = self.flights
        minutes = np.sort(generator.integers(5 * 60, self.days * 24 * 60, n))
        block = generator.integers(50, 400, n)

        def drawn(values: tuple[str, ...]) -> list[str]:
            return [values[at] for at in generator.integers(0, len(values), n)]

        scheduled = pl.Series([START + timedelta(minutes=int(m)) for m in minutes])
        return pl.DataFrame(
            {
                "flight_id": [f"f{at:05}" for at in range(n)],
                "day": scheduled.dt.convert_time_zone(NEW_YORK).dt.date(),
                "carrier": drawn(CARRIERS),
                "flight_number": pl.Series(generator.integers(1, 15, n), dtype=pl.Int32),
                "origin": drawn(ORIGINS),
                "destination": drawn(DESTINATIONS),
                "distance_miles": pl.Series(generator.integers(150, 2500, n), dtype=pl.Int32),
                "scheduled_at": scheduled,
                "scheduled_arrival_at": [
                    START + timedelta(minutes=int(m + b))
                    for m, b in zip(minutes, block, strict=True)
                ],
            }
        )

    def tables(self) -> FlightTables:
        generator = np.random.default_rng(self.seed)
        return FlightTables(
            flights=self.outcomes(generator, self.schedule(generator)),
            weather=self.weather(generator),
            planes=pl.DataFrame(
                {
                    "tail_number": [f"N{tail}" for tail in range(15)],
                    "built_year": pl.Series([2000] * 15, dtype=pl.Int32),
                    "seats": pl.Series(range(50, 200, 10), dtype=pl.Int32),
                }
            ),
            airports=pl.DataFrame({"airport": ["BOS"], "name": ["Logan"], "zone": [NEW_YORK]}),
            airlines=pl.DataFrame({"carrier": ["AA"], "name": ["American"]}),
        )

    def future_rewritten(self, tables: FlightTables, instant: datetime) -> FlightTables:
        """Change everything that becomes known after an instant, and nothing known by then."""
        generator = np.random.default_rng(self.seed + 1)
        old, new = tables.flights, self.outcomes(generator, tables.flights)

        def is_ahead(frame: pl.DataFrame, name: str) -> pl.Series:
            return frame[name].is_null() | (frame[name] > instant)

        # A flight may meet another fate where neither its old nor its new one is known yet.
        ahead = pl.Series([True] * old.height)
        for name in ("departed_at", "landed_at", "cancelled_at"):
            ahead &= is_ahead(old, name) & is_ahead(new, name)
        # A flight that is in the air may land at another minute.
        flying = (old["departed_at"] <= instant).fill_null(value=False)
        flying &= is_ahead(old, "landed_at") & is_ahead(new, "landed_at")
        fates = {
            name: pl.when(ahead).then(new[name]).otherwise(old[name])
            for name in ("departed_at", "departure_delay_min", "tail_number", "cancelled_at")
        }
        arrivals = {
            name: pl.when(ahead | flying).then(new[name]).otherwise(old[name])
            for name in ("landed_at", "arrival_delay_min", "late")
        }
        noise = pl.Series(generator.integers(0, 1000, tables.weather.height), dtype=pl.Float64)
        weather = tables.weather.with_columns(
            pl.when(pl.col("known_at") > instant).then(noise).otherwise(pl.col(name)).alias(name)
            for name in (*READINGS, "precipitation_in")
        )
        return FlightTables(
            flights=old.with_columns(**fates, **arrivals),
            weather=weather,
            planes=tables.planes,
            airports=tables.airports,
            airlines=tables.airlines,
        )


@pytest.fixture(scope="session")
def invent() -> Callable[..., Invented]:
    def make(seed: int = 0, *, flights: int = 400, days: int = 4) -> Invented:
        return Invented(seed, flights, days)

    return make


@pytest.fixture(scope="session")
def start() -> datetime:
    return START


@pytest.fixture(scope="session")
def real_tables() -> FlightTables:
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed")
    return load_tables()
