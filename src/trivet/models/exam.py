"""Everything a gate's checks are asked about, worked out once.

The answers are those of the package's serving form: what is judged is what will serve. Numeric:
imports NumPy and Polars.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.gates import Evidence
from trivet.core.ids import sha256_hex
from trivet.models.encoding import Encoder, Frame, as_frame
from trivet.models.evaluation import Evaluation, check_answers, evaluate
from trivet.models.facts import Signature
from trivet.models.holdout import Holdout, Times, hold_out, row_times
from trivet.models.latency import Latency, measure_latency
from trivet.models.metrics import Metric, Values, default_metric, metric_named
from trivet.models.packaging import Package
from trivet.models.rules import ChecklistSpec
from trivet.models.session import Session


@dataclass(frozen=True)
class Incumbent:
    """The champion on the candidate's held-out rows.

    Attributes:
        label: As people write it.
        identity: Digest of its package, and of the rows as it reads them.
        answers: Shape (n, m), or None when it cannot answer these rows.
        problem: Why it cannot.
    """

    label: str
    identity: str
    answers: Values | None
    problem: str = ""


@dataclass(frozen=True)
class Exam:
    """A package, the rows it is judged on, and its answers.

    Attributes:
        package: What is judged.
        encoder: Of its signature.
        session: Its serving form, loaded.
        spec: What the gate demands.
        holdout: Held-out rows.
        answers: The package's answers on them, shape (n, m).
        training: The table it was trained on, raw.
        training_times: Event times of the training rows, where the gate names a time.
        baseline: The answers of a simple forecast, shape (n, m): always the same, or a column
            of the held-out rows.
        metric: By what models are judged.
        latency: What an answer costs here.
        columns: Column names and Arrow types of the training data's commits; empty when unknown.
        pickled: The steps and outputs of its run that were kept as pickles.
        champion: The model in use, if there is one.
        alpha: The one-sided level of this look: of every claim that the model is good enough.
        look: How often held-out rows of this model's name were looked at, this look included.
        question: Digest of what this look asks.
    """

    package: Package
    encoder: Encoder
    session: Session
    spec: ChecklistSpec
    holdout: Holdout
    answers: Values
    training: pl.DataFrame
    training_times: Times | None
    baseline: Values
    metric: Metric
    latency: Latency
    columns: Mapping[str, str]
    pickled: tuple[str, ...] = ()
    champion: Incumbent | None = None
    alpha: float = 0.05
    look: int = 1
    question: str = ""

    @property
    def signature(self) -> Signature:
        """The contract."""
        return self.package.signature

    @cached_property
    def evaluation(self) -> Evaluation:
        """The candidate's figures, whole and by slices."""
        columns = self.spec.slices.columns if self.spec.slices else ()
        return evaluate(
            self.holdout.labels,
            self.answers,
            self.signature.task,
            groups=self.holdout.groups,
            slices={name: self._slice_column(name) for name in columns},
            level=self.spec.quality.level,
        )

    @property
    def spread(self) -> float:
        """What answers are measured in: 1 for probabilities, the target's standard deviation.

        The target's in the held-out rows; in the training rows where figures of those are hidden.
        """
        if self.signature.task != "regression":
            return 1.0
        hides = self.spec.champion.figures == "hidden"
        target = self.encoder.encode_target(self.training) if hides else self.holdout.labels
        return float(target.std()) or 1.0

    def predict(self, frame: pl.DataFrame) -> Values:
        """Answer raw rows, shape (n, m)."""
        return self.session.run(self.encoder.encode_frame(frame)).astype(np.float64)

    def _slice_column(self, name: str) -> Any:  # noqa: ANN401  # an array of whatever it holds
        if name not in self.holdout.rows.columns:
            raise Invalid(
                f"the held-out rows have no column {name!r} to slice by",
                code="absent-field",
                hint=f"They have: {', '.join(self.holdout.rows.columns[:30])}.",
            )
        return np.array(self.holdout.rows.get_column(name).to_list(), dtype=object)


def prepare_exam(
    package: Package,
    spec: ChecklistSpec,
    *,
    holdout: Frame,
    training: Frame,
    columns: Mapping[str, str] | None = None,
    pickled: tuple[str, ...] = (),
) -> Exam:
    """Let a package answer its held-out rows, and gather what its gate will ask about.

    Args:
        package: What is judged.
        spec: What the gate demands.
        holdout: Raw rows that no training saw, with the target.
        training: The table it was trained on, raw, with the target.
        columns: Column names and Arrow types of the data commits behind it, when known.
        pickled: The steps and outputs of its run that were kept as pickles, as people name them.

    Raises:
        Invalid: The rows do not fit the signature, or lack a column that the gate names.
    """
    signature = package.signature
    held = hold_out(holdout, signature, time=spec.rows.time, group=spec.rows.group)
    encoder = Encoder(signature)
    table = as_frame(training).drop_nulls(signature.target)
    table = table.filter(encoder.acceptable(table))
    session = package.session()
    metric = metric_named(spec.quality.metric or default_metric(signature.task), signature.task)
    _, answers = check_answers(
        held.labels, session.run(encoder.encode_frame(held.rows)), signature.task
    )
    return Exam(
        package=package,
        encoder=encoder,
        session=session,
        spec=spec,
        holdout=held,
        answers=answers,
        training=table,
        training_times=None if spec.rows.time is None else row_times(table, spec.rows.time),
        baseline=_baseline(
            spec.quality.baseline, held, encoder.encode_target(table), metric, signature
        ),
        metric=metric,
        latency=measure_latency(encoder, session, package.golden.rows),
        columns=columns or {},
        pickled=pickled,
    )


def against(exam: Exam, label: str, champion: Package) -> Exam:
    """Let the champion answer the same rows.

    It is given every chance: a category or a gap that it would refuse in a request counts as a
    missing value here.

    Args:
        exam: The candidate's.
        label: The champion's name for people.
        champion: Its package.
    """
    signature = champion.signature
    if (signature.task, signature.classes) != (exam.signature.task, exam.signature.classes):
        found = Incumbent(label, champion.digest, None, "it answers another question")
        return replace(exam, champion=found)
    inputs = (
        msgspec.structs.replace(item, missing="allow", unknown="missing")
        for item in signature.inputs
    )
    lenient = Encoder(msgspec.structs.replace(signature, inputs=tuple(inputs)))
    try:
        matrix = lenient.encode_frame(exam.holdout.rows)
    except Invalid as error:
        found = Incumbent(label, champion.digest, None, error.message)
    else:
        identity = sha256_hex(champion.digest.encode(), matrix.tobytes())
        raw = champion.session().run(matrix)
        _, answers = check_answers(exam.holdout.labels, raw, signature.task)
        silent = int(np.isnan(answers).any(axis=1).sum())
        problem = f"it has no answer for {silent} of {len(answers)} rows" if silent else ""
        found = Incumbent(label, identity, None if silent else answers, problem)
    return replace(exam, champion=found)


def exam_of(evidence: Evidence) -> Exam:
    """Take the exam out of a gate's evidence.

    Raises:
        KeyError: The evidence has none.
    """
    return evidence["exam"]


def _baseline(
    wanted: bool | str,  # noqa: FBT001  # as the gate says it
    held: Holdout,
    labels: Values,
    metric: Metric,
    signature: Signature,
) -> Values:
    """Answer as a simple forecast does: a column's, class shares, or one value for every row."""
    if isinstance(wanted, str):
        if wanted not in held.rows.columns:
            raise Invalid(
                f"the held-out rows have no column {wanted!r} with a simple forecast",
                code="absent-field",
                hint="Name a column in [quality] baseline, or set it to true.",
            )
        forecast = held.rows.get_column(wanted).cast(pl.Float64).to_numpy()
        return check_answers(held.labels, forecast, signature.task)[1]
    return constant_answers(labels, held.size, metric, signature)


def constant_answers(labels: Values, rows: int, metric: Metric, signature: Signature) -> Values:
    """Answer every row alike: class shares, or the value that the metric is kindest to.

    Args:
        labels: Of the training rows: class numbers, or values.
        rows: How many rows to answer, n.
        metric: By which answers will be judged.
        signature: For the task and the classes.

    Returns:
        Shape (n, m).
    """
    if signature.task == "multiclass":
        counts = np.bincount(labels.astype(np.intp), minlength=len(signature.classes))
        return np.tile(counts / counts.sum(), (rows, 1))
    value = np.median(labels) if metric.name == "mean-absolute-error" else labels.mean()
    return np.full((rows, 1), float(value))
