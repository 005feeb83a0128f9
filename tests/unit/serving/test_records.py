import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.clock import EPOCH, to_micros
from trivet.core.errors import Corrupt, Invalid
from trivet.core.ids import new_id
from trivet.serving.facts import Label, Prediction
from trivet.serving.records import (
    decode_label,
    decode_prediction,
    encode_record,
    event_time,
    holds_id,
    output_bytes,
    output_values,
)

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.floats(allow_nan=False),
)
SINGLES = st.floats(width=32, allow_nan=False)
MICROS = st.integers(0, 2**52)


def a_prediction(**changes: Any) -> Prediction:
    plain: dict[str, Any] = {
        "id": new_id(),
        "time_us": 1_362_128_400_000_000,
        "endpoint": "late",
        "release": new_id(),
        "variant": "champion",
        "role": "live",
        "assignment": "random",
        "share": 1.0,
        "unit": None,
        "event_us": None,
        "inputs": (1, "JFK"),
        "output": output_bytes((0.25,)),
        "package": "b3:" + "0" * 64,
        "micros": 50,
    }
    return Prediction(**(plain | changes))


@given(inputs=st.lists(VALUES), output=st.lists(SINGLES), unit=st.none() | st.text(), when=MICROS)
def test_a_prediction_reads_back_as_it_was_written(
    inputs: list[Any], output: list[float], unit: str | None, when: int
) -> None:
    written = a_prediction(
        inputs=tuple(inputs), output=output_bytes(tuple(output)), unit=unit, event_us=when
    )
    found = decode_prediction(encode_record(written))
    assert found == written
    assert [type(value) for value in found.inputs] == [type(value) for value in inputs]
    assert output_values(found.output) == tuple(output)


@given(value=st.floats(allow_nan=False), arrived=MICROS, source=st.text())
def test_a_label_reads_back_as_it_was_written(value: float, arrived: int, source: str) -> None:
    written = Label(prediction=new_id(), value=value, arrived_us=arrived, source=source)
    assert decode_label(encode_record(written)) == written


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**30])
def test_a_whole_number_that_could_not_be_replayed_is_refused(value: int) -> None:
    with pytest.raises(Invalid):
        encode_record(a_prediction(inputs=(value,)))


def test_output_bits_survive_whatever_they_mean() -> None:
    bits = b"\x01\x00\xc0\x7f" + b"\x00\x00\x80\xff"
    nan, infinite = output_values(bits)
    assert math.isnan(nan)
    assert infinite == -math.inf
    assert decode_prediction(encode_record(a_prediction(output=bits))).output == bits


def test_a_record_of_a_newer_trivet_with_fields_at_its_end_is_still_read() -> None:
    written = a_prediction()
    newer = [*msgspec.msgpack.decode(encode_record(written)), "something new", 7]
    assert decode_prediction(msgspec.msgpack.encode(newer)) == written


def test_a_record_without_the_newest_fields_is_still_read() -> None:
    fields = msgspec.msgpack.decode(encode_record(a_prediction()))[:-2]
    found = decode_prediction(msgspec.msgpack.encode(fields))
    assert (found.of, found.warnings) == (None, ())


def test_a_record_names_its_identifier_at_its_beginning() -> None:
    one, other = a_prediction(), a_prediction()
    assert holds_id(encode_record(one), one.id)
    assert not holds_id(encode_record(one), other.id)
    doubled = a_prediction(of=other.id, unit=other.id)
    assert not holds_id(encode_record(doubled), other.id)
    label = Label(prediction=one.id, value=1.0, arrived_us=1)
    assert holds_id(encode_record(label), one.id)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"{}", encode_record(a_prediction())[:-3]])
def test_bytes_that_are_no_record_are_called_corrupt(data: bytes) -> None:
    for decode in (decode_prediction, decode_label):
        with pytest.raises(Corrupt):
            decode(data)


def test_the_event_is_when_the_caller_says_else_when_it_was_answered() -> None:
    assert to_micros(event_time(a_prediction(event_us=5))) == 5
    assert to_micros(event_time(a_prediction())) == 1_362_128_400_000_000
    assert event_time(a_prediction(event_us=0)) == EPOCH
