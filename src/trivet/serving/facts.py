"""What serving keeps: prediction and label records in the log, endpoints as people see them.

Records are msgpack arrays, not ledger facts: there are too many of them. Each names its release,
through which the ledger knows model, run, data, code and environment.
"""

from typing import Any, Literal

import msgspec

PREDICTIONS = "predictions"
LABELS = "labels"


class Prediction(msgspec.Struct, frozen=True, kw_only=True, array_like=True, omit_defaults=False):
    """One answered row. New fields are only ever appended."""

    id: str
    time_us: int
    """When it was answered, microseconds since 1970 (UTC), by this machine's clock."""
    endpoint: str
    release: str
    variant: str
    role: Literal["live", "shadow"]
    assignment: Literal["sticky", "random", "explicit", "shadow"]
    share: float
    """The probability with which this variant was chosen."""
    unit: str | None
    """The entity that sticky assignment went by."""
    event_us: int | None
    """The event time the caller gave, microseconds since 1970 (UTC)."""
    inputs: tuple[Any, ...]
    """The row's values in the order of the model's signature, as they were received."""
    output: bytes
    """float32 little-endian: the model's output row, bit for bit."""
    package: str
    micros: int
    """Time from the request's last byte to its answer being ready."""
    of: str | None = None
    """For a shadow: the live prediction that it doubles."""
    warnings: tuple[str, ...] = ()


class Label(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A true value that arrived later."""

    prediction: str
    value: float
    """Class index for classification (1.0 is positive for `binary`), or the target's value."""
    arrived_us: int
    event_us: int | None = None
    """When the truth came to be (event time)."""
    source: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint serves at present."""

    name: str
    release: str
    generation: int
    stage: str
    models: tuple[str, ...]
