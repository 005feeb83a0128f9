"""A gate over plain answers: is a candidate better than the champion on held-out rows?

For loops whose candidates are not packages yet, or never will be. Each answer of the gate spends
a look, and looks are counted in the ledger: over all rounds, runs and people of a name. Numeric:
imports NumPy.
"""

from datetime import datetime

import msgspec
import numpy.typing as npt

from trivet.core.clock import as_utc, to_micros
from trivet.core.errors import Conflict
from trivet.core.facts import HeadMove, draft
from trivet.core.gates import Verdict
from trivet.core.ids import check_name, sha256_hex
from trivet.models.answers import check_answers
from trivet.models.contest import decide_contest, withheld
from trivet.models.evaluation import compare
from trivet.models.facts import GateVerdict, Task
from trivet.models.looks import next_look
from trivet.models.metrics import Groups, default_metric, metric_named
from trivet.models.registry import ATTEMPTS, Registry, too_busy, verdict_head
from trivet.models.rules import Champion
from trivet.pipelines.looping.place import Place

_GATE = "better-than-the-champion"


class HoldoutGate:
    """Compares candidates' answers with the champion's, and records every verdict.

    Called with a candidate's answers on the held-out rows, shape (n,) or (n, m), it returns the
    verdict. Equal answers are the same candidate: judging them again spends nothing.

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
        period: Event time of the first and the last row: looks at rows of another period do not
            count. None: all looks of the name do.

    Raises:
        Invalid: Shapes do not fit, or the metric has no meaning for the task.
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
        subject = sha256_hex(self._champion.tobytes(), candidate.tobytes())
        ledger, project = self._place.stores.ledger, self._place.scope.project
        for _ in range(ATTEMPTS):
            head = ledger.head(project, verdict_head(self._name))
            earlier = [verdict for _, verdict in self._registry.verdicts(self._name)]
            look = next_look(earlier, subject, self._span, self._rules)
            finding = decide_contest(
                found,
                metric=self._metric.name,
                champion="the champion",
                rules=self._rules,
                look=look,
            )
            verdict = GateVerdict(
                model=self._name,
                gate=_GATE,
                subject=subject,
                passed=finding.ok is True,
                findings=(finding,) if finding.ok else withheld((finding,), self._rules),
                look=look.number,
                alpha=look.alpha,
                first_us=self._span[0],
                last_us=self._span[1],
                rows=self._labels.size,
            )
            if _is_known(verdict, earlier) or self._record(verdict, head and head.target):
                return Verdict(gate=_GATE, passed=verdict.passed, findings=verdict.findings)
        raise too_busy(self._name)

    def _record(self, verdict: GateVerdict, expect: str | None) -> bool:
        """Commit a verdict as the next one of its name; False when another was quicker."""
        item = draft(verdict)
        move = HeadMove(name=verdict_head(self._name), to=item.id, expect=expect)
        word = "passed" if verdict.passed else "refused"
        batch = self._place.scope.batch(f"gate {verdict.gate} {word}", [item], heads=[move])
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


def _micros(period: tuple[datetime, datetime]) -> tuple[int, int]:
    first, last = (to_micros(as_utc(moment, "period")) for moment in period)
    return first, last
