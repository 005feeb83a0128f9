"""A gate over plain answers: is a candidate better than the champion on held-out rows?

For loops whose candidates are not packages yet, or never will be. Each answer of the gate spends
a look, and looks are counted in the ledger: over all rounds, runs and people of a name. Numeric:
imports NumPy.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
import numpy.typing as npt

from trivet.core.clock import as_utc, to_micros
from trivet.core.errors import Conflict, Invalid
from trivet.core.facts import HeadMove, draft
from trivet.core.gates import Verdict
from trivet.core.ids import check_name, sha256_hex
from trivet.models.answers import check_answers
from trivet.models.contest import decide_contest, withheld
from trivet.models.evaluation import compare
from trivet.models.facts import GateVerdict, Task
from trivet.models.looks import Look, next_look
from trivet.models.metrics import Groups, default_metric, metric_named
from trivet.models.questions import answers_question, labels_digest
from trivet.models.registry import ATTEMPTS, Registry, too_busy
from trivet.models.rules import Champion
from trivet.models.verdicts import verdict_heads
from trivet.pipelines.looping.place import Place
from trivet.statistics.paired import Comparison

_GATE = "better-than-the-champion"


class HoldoutGate:
    """Compares candidates' answers with the champion's, and records every verdict.

    Called with a candidate's answers on the held-out rows, shape (n,) or (n, m), it returns the
    verdict. The same answers against the same champion, on the same labels and groups, by the same
    metric and margin are the same question: asking it again spends nothing. Looks at equal labels
    are counted together whatever name they were taken under.

    The error rate holds for candidates that were made from yes and no alone. Whoever tunes by the
    *figures* of refused verdicts learns more of the rows than a look is priced at; see
    `docs/how-to/until.md` for what that costs.

    Args:
        workspace: Where looks are counted.
        name: The model's name; its looks are counted together.
        labels: Shape (n,): class numbers, or values.
        champion: The champion's answers, shape (n,) or (n, m); for `binary` the positive class's
            probability, for `multiclass` all classes'.
        task: The kind of answer.
        metric: By what they are compared; the task's own when None.
        groups: One label per row for rows that belong together (a day, a customer).
        rules: How strict, and what counts as a look.
        period: Event time of the first and the last row: looks at other labels of another period
            do not count. None: all looks of the name do.

    Raises:
        Invalid: Shapes do not fit, the metric has no meaning for the task, or the period is not
            two moments in their order.
    """

    def __init__(  # noqa: PLR0913  # each names one thing about the held-out rows
        self,
        workspace: Place,
        name: str,
        labels: npt.ArrayLike,
        champion: npt.ArrayLike,
        *,
        task: Task = "binary",
        metric: str | None = None,
        groups: Groups = None,
        rules: Champion | None = None,
        period: tuple[datetime, datetime] | None = None,
    ) -> None:
        self._place = workspace
        self._name = check_name(name, "model")
        self._task: Task = task
        self._labels, self._champion = check_answers(labels, champion, task)
        self._metric = metric_named(metric or default_metric(task), task)
        self._groups = groups
        self._rules = rules or Champion()
        self._span: tuple[int | None, int | None] = (
            (None, None) if period is None else _micros(period)
        )
        self._rows = labels_digest(self._labels)
        self._registry = Registry(workspace.stores, workspace.scope)

    def __call__(self, answers: npt.ArrayLike) -> Verdict:
        """Judge a candidate by its answers on the held-out rows.

        Raises:
            Invalid: The answers do not fit the rows.
            Refused: The shelf life of these rows is over (code `looks-exhausted`).
            Unavailable: Others kept judging for this name.
        """
        _, candidate = check_answers(self._labels, answers, self._task)
        found = compare(
            self._metric,
            self._labels,
            self._champion,
            candidate,
            groups=self._groups,
            margin=self._rules.margin,
        )
        question = answers_question(
            self._labels,
            self._champion,
            candidate,
            groups=self._groups,
            metric=self._metric.name,
            margin=self._rules.margin,
        )
        subject = sha256_hex(self._champion.tobytes(), candidate.tobytes())
        for _ in range(ATTEMPTS):
            stand = self._stand()
            earlier = [verdict for _, verdict in self._registry.verdicts.of(self._name, self._rows)]
            look = next_look(earlier, question, self._span, self._rules, self._rows)
            verdict = self._verdict(found, subject, question, look)
            if _is_known(verdict, earlier) or self._record(verdict, stand):
                return Verdict(gate=_GATE, passed=verdict.passed, findings=verdict.findings)
        raise too_busy(self._name)

    def _stand(self) -> dict[str, str | None]:
        """Return the heads that a verdict will move, and where they point."""
        ledger, project = self._place.stores.ledger, self._place.scope.project
        heads = {name: ledger.head(project, name) for name in verdict_heads(self._name, self._rows)}
        return {name: head and head.target for name, head in heads.items()}

    def _verdict(self, found: Comparison, subject: str, question: str, look: Look) -> GateVerdict:
        finding = decide_contest(
            found,
            metric=self._metric.name,
            champion="the champion",
            rules=self._rules,
            look=look,
        )
        return GateVerdict(
            model=self._name,
            gate=_GATE,
            subject=subject,
            passed=finding.ok is True,
            findings=(finding,) if finding.ok else withheld((finding,), self._rules),
            look=look.number,
            alpha=look.alpha,
            question=question,
            labels=self._rows,
            first_us=self._span[0],
            last_us=self._span[1],
            rows=self._labels.size,
        )

    def _record(self, verdict: GateVerdict, stand: Mapping[str, str | None]) -> bool:
        """Commit a verdict as the next one of its name and rows; False when another was quicker."""
        item = draft(verdict)
        moves = [HeadMove(name=name, to=item.id, expect=was) for name, was in stand.items()]
        word = "passed" if verdict.passed else "refused"
        batch = self._place.scope.batch(f"gate {verdict.gate} {word}", [item], heads=moves)
        try:
            self._place.stores.ledger.commit(batch)
        except Conflict as error:
            if error.code != "head-moved":
                raise
            return False
        return True


def _is_known(verdict: GateVerdict, earlier: list[GateVerdict]) -> bool:
    """Say whether this very verdict is on record, as when a loop goes on after a crash."""
    return any(
        item.subject == verdict.subject and _content(item) == _content(verdict) for item in earlier
    )


def _content(verdict: GateVerdict) -> bytes:
    return msgspec.json.encode(verdict, order="deterministic")


def _micros(period: object) -> tuple[int, int]:
    """Read a period's two ends as microseconds since 1970 (UTC)."""
    given: Any = period
    ends: tuple[object, ...] = tuple(given) if isinstance(period, tuple | list) else ()
    if len(ends) != 2 or not all(isinstance(end, datetime) for end in ends):
        kinds = ", ".join(type(end).__name__ for end in ends) or type(given).__name__
        raise Invalid(
            f"period is ({kinds}); expected two datetimes, of the first and the last row",
            code="bad-period",
            hint="Pass period=(first, last) with time zones, or leave it out: all looks count.",
        )
    first, last = (to_micros(as_utc(cast("datetime", end), "period")) for end in ends)
    if first > last:
        raise Invalid(
            f"period begins at {ends[0]} and ends before, at {ends[1]}",
            code="bad-period",
            hint="Pass the event time of the first row, then of the last.",
        )
    return first, last
