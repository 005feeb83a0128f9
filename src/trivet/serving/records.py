"""Prediction and label records as bytes: MessagePack arrays that only ever grow at the end."""

from datetime import datetime
from struct import pack, unpack

import msgspec

from trivet.core.clock import from_micros
from trivet.core.errors import Corrupt, Invalid
from trivet.serving.facts import Label, Prediction

_encode = msgspec.msgpack.Encoder().encode
_decode_prediction = msgspec.msgpack.Decoder(Prediction).decode
_decode_label = msgspec.msgpack.Decoder(Label).decode


def encode_record(record: Prediction | Label) -> bytes:
    """Encode a record for the log.

    Raises:
        Invalid: An input is a whole number that no 64 bits hold; it could not be replayed.
    """
    try:
        return _encode(record)
    except OverflowError:
        raise Invalid(
            "a row holds a whole number beyond 64 bits; expected -2**63 to 2**64 - 1",
            code="out-of-range",
            hint="Send such an amount as a number with a fraction, such as 1e20.",
        ) from None


def decode_prediction(data: bytes) -> Prediction:
    """Decode a prediction record.

    Raises:
        Corrupt: The bytes are no prediction record.
    """
    try:
        return _decode_prediction(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"a prediction record does not decode: {error}") from error


def decode_label(data: bytes) -> Label:
    """Decode a label record.

    Raises:
        Corrupt: The bytes are no label record.
    """
    try:
        return _decode_label(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"a label record does not decode: {error}") from error


def holds_id(data: bytes, prediction_id: str) -> bool:
    """Say whether a record begins with this identifier, without decoding it."""
    # An array header of 1 or 3 bytes, a string header of 2 bytes, then the 32 digits.
    return prediction_id.encode() in data[:37]


def output_values(output: bytes) -> tuple[float, ...]:
    """Unpack the float32 values of an output row."""
    return unpack(f"<{len(output) // 4}f", output)


def output_bytes(values: tuple[float, ...]) -> bytes:
    """Pack an output row as float32, little-endian."""
    return pack(f"<{len(values)}f", *values)


def event_time(prediction: Prediction) -> datetime:
    """Return the event time of a prediction; the time of its answer when the caller gave none."""
    return from_micros(prediction.time_us if prediction.event_us is None else prediction.event_us)
