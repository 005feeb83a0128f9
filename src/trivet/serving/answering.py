"""Answering: from decoded rows to predictions and the records that will explain them.

This is the hot path. No data frame, no thread hop, no copy that is not needed: rows are encoded
into one float32 matrix per variant, the session runs inline, and the records are MessagePack.
"""

import time
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from trivet.core.errors import Invalid
from trivet.core.ids import new_id
from trivet.models.rows import Matrix, Row
from trivet.serving.endpoints import Live
from trivet.serving.exchange import Answer
from trivet.serving.facts import Prediction
from trivet.serving.predictor import LoadedModel
from trivet.serving.records import encode_record

_FIRST: Final = (0,)


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


class Choice(NamedTuple):
    """Which variant answers a row, how it was chosen, and with which probability."""

    variant: str
    how: Literal["sticky", "random", "explicit", "shadow"]
    share: float


class Part(NamedTuple):
    """Rows that one model answered together."""

    model: LoadedModel
    members: Sequence[int]
    """Their places among the rows that were asked for."""
    values: list[Sequence[Any]]
    result: Matrix
    time_us: int
    micros: int


def answer(live: Live, asked: Asked) -> Answered:
    """Predict all rows by the release in force.

    Raises:
        Invalid: A value is not what the signature expects; nothing was predicted then.
        NotFound: The named variant does not exist.
    """
    started = time.perf_counter_ns()
    choices = _choose(live, asked)
    count = len(choices)
    if count == 1:
        return _answer_one(live, asked, choices[0], started)
    answers: dict[int, Answer] = {}
    outputs: list[tuple[float, ...]] = [()] * count
    records: list[bytes] = [b""] * count
    ids = [new_id() for _ in range(count)]
    for name in {choice.variant for choice in choices}:
        members = [row for row in range(count) if choices[row].variant == name]
        part = _run(live.variants.named(name), asked, members, started)
        for position, row in enumerate(members):
            record = _record(live, asked, part, position, ids[row], choices[row])
            outputs[row] = tuple(part.result[position].tolist())
            answers[row] = part.model.answer(ids[row], outputs[row], record.warnings)
            records[row] = encode_record(record)
    return Answered([answers[row] for row in range(count)], outputs, records, ids)


def shadow(live: Live, asked: Asked, ids: Sequence[str]) -> list[bytes]:
    """Let the shadow answer copies of rows that were answered; return its records.

    Raises:
        Invalid: The candidate's signature does not take these rows.
    """
    variant = live.assigner.shadow
    if variant is None:
        return []
    model = live.variants.named(variant.name)
    part = _run(model, asked, range(len(ids)), time.perf_counter_ns())
    choice = Choice(variant.name, "shadow", 0.0)
    return [
        encode_record(_record(live, asked, part, row, new_id(), choice, of=doubled))
        for row, doubled in enumerate(ids)
    ]


def recompute(model: LoadedModel, values: Sequence[Any]) -> bytes:
    """Run a recorded row again and return its output bits."""
    return model.predict(model.encoder.encode_rows([values]))[0].tobytes()


def _choose(live: Live, asked: Asked) -> list[Choice]:
    assigner = live.assigner
    if asked.variant is not None:
        found = [assigner.name(asked.variant)] * len(asked.rows)
    else:
        found = [assigner.choose(unit) for unit in asked.units or [None] * len(asked.rows)]
    return [Choice(item.variant.name, item.how, item.share) for item in found]


def _answer_one(live: Live, asked: Asked, choice: Choice, started: int) -> Answered:
    """Do what `answer` does for the one row that most requests have, without sorting it."""
    part = _run(live.variants.named(choice.variant), asked, _FIRST, started)
    id_ = new_id()
    record = _record(live, asked, part, 0, id_, choice)
    output = tuple(part.result[0].tolist())
    answered = part.model.answer(id_, output, record.warnings)
    return Answered([answered], [output], [encode_record(record)], [id_])


def _run(model: LoadedModel, asked: Asked, members: Sequence[int], started: int) -> Part:
    encoder = model.encoder
    rows = [asked.rows[row] for row in members]
    try:
        matrix = encoder.encode_rows(rows)
    except Invalid as error:
        raise _renumbered(error, members, asked) from None
    result = model.predict(matrix)
    micros = (time.perf_counter_ns() - started) // 1000
    values = [encoder.arrange(row) for row in rows]
    return Part(model, members, values, result, time.time_ns() // 1000, micros)


def _renumbered(error: Invalid, members: Sequence[int], asked: Asked) -> Invalid:
    """Let an error about some of the rows speak of the row that the client sent."""
    number: int | None = error.detail.get("row")
    if number is None or len(members) == len(asked.rows):
        return error
    row = members[number]
    return Invalid(
        f"row {row}: {error.message.removeprefix(f'row {number}: ')}",
        code=error.code,
        hint=error.hint,
        detail={**error.detail, "row": row},
    )


def _record(
    live: Live,
    asked: Asked,
    part: Part,
    position: int,
    id: str,  # the record's own name for it
    choice: Choice,
    of: str | None = None,
) -> Prediction:
    row = part.members[position]
    values = part.values[position]
    return Prediction(
        id=id,
        time_us=part.time_us,
        endpoint=live.release.plan.endpoint,
        release=live.release.id,
        variant=choice.variant,
        role="live" if of is None else "shadow",
        assignment=choice.how,
        share=choice.share,
        unit=asked.units[row] if asked.units else None,
        event_us=asked.event_us[row] if asked.event_us else None,
        inputs=tuple(values),
        output=part.result[position].tobytes(),
        package=part.model.package,
        micros=part.micros,
        of=of,
        warnings=part.model.encoder.unknown_in(values),
    )
