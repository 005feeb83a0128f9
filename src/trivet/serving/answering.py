"""Answering: from decoded rows to predictions and the records that will explain them.

This is the hot path. No data frame, no thread hop, no copy that is not needed: rows are encoded
into one float32 matrix per variant, the session runs inline, and the records are MessagePack.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from trivet.core.ids import new_id
from trivet.models.rows import Row
from trivet.releases.assign import Assignment
from trivet.serving.endpoints import Live
from trivet.serving.exchange import Answer
from trivet.serving.facts import Prediction
from trivet.serving.predictor import LoadedModel
from trivet.serving.records import encode_record


class Asked(NamedTuple):
    """Decoded rows with what came along."""

    rows: Sequence[Row]
    units: Sequence[str] | None
    event_us: Sequence[int] | None
    variant: str | None


class Answered(NamedTuple):
    """Predictions in the order of the rows, and their records for the log."""

    answers: list[Answer]
    outputs: list[tuple[float, ...]]
    records: list[bytes]
    ids: list[str]


def answer(live: Live, asked: Asked) -> Answered:
    """Predict all rows by the release in force.

    Raises:
        Invalid: A value is not what the signature expects; nothing was predicted then.
        NotFound: The named variant does not exist.
    """
    started = time.perf_counter_ns()
    rows = asked.rows
    assignments = _assign(live, asked)
    count = len(rows)
    answers: list[Answer | None] = [None] * count
    outputs: list[tuple[float, ...]] = [()] * count
    records: list[bytes] = [b""] * count
    ids = [new_id() for _ in range(count)]
    for name in {assignment.variant.name for assignment in assignments}:
        model = live.variants.named(name)
        members = [i for i in range(count) if assignments[i].variant.name == name]
        values = [model.encoder.arrange(rows[i]) for i in members]
        result = model.predict(model.encoder.encode_rows(values))
        now_us = time.time_ns() // 1000
        micros = (time.perf_counter_ns() - started) // 1000
        for position, i in enumerate(members):
            output = tuple(result[position].tolist())
            warnings = model.encoder.unknown_in(values[position])
            outputs[i] = output
            answers[i] = model.answer(ids[i], output, warnings)
            chosen = assignments[i]
            records[i] = encode_record(
                Prediction(
                    id=ids[i],
                    time_us=now_us,
                    endpoint=live.release.plan.endpoint,
                    release=live.release.id,
                    variant=name,
                    role="live",
                    assignment=chosen.how,
                    share=chosen.share,
                    unit=asked.units[i] if asked.units else None,
                    event_us=asked.event_us[i] if asked.event_us else None,
                    inputs=tuple(values[position]),
                    output=result[position].tobytes(),
                    package=model.package,
                    micros=micros,
                    warnings=warnings,
                )
            )
    return Answered([a for a in answers if a is not None], outputs, records, ids)


def shadow(live: Live, asked: Asked, ids: Sequence[str]) -> list[bytes]:
    """Let the shadow answer copies of rows that were answered; return its records.

    Raises:
        Invalid: The candidate's signature does not take these rows.
    """
    variant = live.assigner.shadow
    if variant is None:
        return []
    started = time.perf_counter_ns()
    model = live.variants.named(variant.name)
    values = [model.encoder.arrange(row) for row in asked.rows]
    result = model.predict(model.encoder.encode_rows(values))
    now_us = time.time_ns() // 1000
    micros = (time.perf_counter_ns() - started) // 1000
    return [
        encode_record(
            Prediction(
                id=new_id(),
                time_us=now_us,
                endpoint=live.release.plan.endpoint,
                release=live.release.id,
                variant=variant.name,
                role="shadow",
                assignment="shadow",
                share=0.0,
                unit=asked.units[i] if asked.units else None,
                event_us=asked.event_us[i] if asked.event_us else None,
                inputs=tuple(row),
                output=result[i].tobytes(),
                package=model.package,
                micros=micros,
                of=ids[i],
                warnings=model.encoder.unknown_in(row),
            )
        )
        for i, row in enumerate(values)
    ]


def recompute(model: LoadedModel, values: Sequence[Any]) -> bytes:
    """Run a recorded row again and return its output bits."""
    return model.predict(model.encoder.encode_rows([values]))[0].tobytes()


def _assign(live: Live, asked: Asked) -> list[Assignment]:
    if asked.variant is not None:
        return [live.assigner.name(asked.variant)] * len(asked.rows)
    choose = live.assigner.choose
    units = asked.units or [None] * len(asked.rows)
    return [choose(unit) for unit in units]
