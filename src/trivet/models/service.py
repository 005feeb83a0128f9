"""The models room's service: candidates are packaged, judged, registered, named and opened."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import UNSET, UnsetType

from trivet.core.catalog import Position
from trivet.core.facts import HeadMove, Scope, draft, read
from trivet.core.gates import Evidence, Gate, Verdict
from trivet.core.ids import check_name
from trivet.core.ports import Flavour, Stores
from trivet.data.facts import DataCommit
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.checklist import build_gate
from trivet.models.contest import withheld
from trivet.models.encoding import Frame
from trivet.models.exam import Exam, against, prepare_exam
from trivet.models.facts import GateVerdict, Model
from trivet.models.finding import FoundVersions, VersionFinder
from trivet.models.holdout import hold_out
from trivet.models.looks import next_look, question_of
from trivet.models.moving import warn_of_deprecation
from trivet.models.packaging import Package, open_package
from trivet.models.parity import TOLERANCE
from trivet.models.questions import exam_question, labels_digest
from trivet.models.reading import entry_of
from trivet.models.registry import ATTEMPTS, Registry, too_busy
from trivet.models.rules import ChecklistSpec
from trivet.models.verdicts import verdict_heads
from trivet.pipelines.memo import pickled_of
from trivet.tracking.facts import Run


class ModelsService(Registry):
    """Packages, verdicts, and the registry of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        flavours: The machine-learning libraries of this installation.
    """

    def __init__(self, stores: Stores, scope: Scope, flavours: Sequence[Flavour]) -> None:
        super().__init__(stores, scope)
        self._flavours = tuple(flavours)

    def search(
        self,
        filter: str = "",  # noqa: A002  # what everybody calls it
        *,
        order: str | Sequence[str] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundVersions:
        """Find versions of registered models, packaged and logged.

        Args:
            filter: Such as `metrics.auc > 0.9 AND alias = 'champion'`; see `VersionFinder.find`.
            order: Names to order by, each with ASC or DESC behind it when it matters.
            after: The `after` of an earlier page of the same search.
            limit: 1 to 50,000.

        Raises:
            Invalid: The filter or an order does not follow the grammar, or names what no version
                has (code `unknown-column`).
        """
        finder = VersionFinder(self._stores, self._scope.project)
        orders = [order] if isinstance(order, str) else order
        return finder.find(filter, order=orders, after=after, limit=limit)

    def package(
        self,
        candidate: Candidate,
        *,
        run: Run | str,
        holdout: Frame | None = None,
        time: str | None = None,
        tolerance: float = TOLERANCE,
    ) -> Package:
        """Convert a candidate, prove that its serving form answers as it does, and store both.

        Nothing names the package yet; the same candidate gives the same one.

        Args:
            candidate: What the run's training step returned.
            run: The run; its environment lock goes into the package.
            holdout: Held-out rows with the target: their losses, day by day, are what monitors
                take for natural.
            time: Their column of event time, by which days are told apart.
            tolerance: The greatest accepted difference of the two forms; see `parity`.

        Raises:
            Unsupported: No flavour takes the model, it does not convert, or the two forms differ.
            Invalid: The model or the rows do not fit the signature.
            NotFound: There is no such run.
        """
        run = self._run(run)
        held = None if holdout is None else hold_out(holdout, candidate.signature, time=time)
        with self._stores.blobs.open(run.started.environment.lock) as lock:
            requirements = lock.read()
        return build_package(
            self._stores.blobs,
            candidate,
            self._flavours,
            requirements=requirements,
            holdout=held,
            tolerance=tolerance,
        )

    def open(self, model: Model | str) -> Package:
        """Open a package, every byte checked. A version that is deprecated comes with a warning.

        Args:
            model: A model, its reference as for `get`, or a package's digest (`b3:...`).

        Raises:
            NotFound: There is no such model or package.
            Corrupt: A file is not as it was recorded.
        """
        if isinstance(model, str) and model.startswith("b3:"):
            return open_package(self._stores.blobs, model)
        found = model if isinstance(model, Model) else self.get(model)
        warn_of_deprecation(self._stores.ledger, self._scope.project, found.id, found.label)
        return open_package(self._stores.blobs, found.version.package)

    def examine(
        self,
        name: str,
        package: Package,
        spec: ChecklistSpec,
        *,
        holdout: Frame,
        training: Frame,
        run: Run | str,
        data: Sequence[str] = (),
    ) -> tuple[str, GateVerdict]:
        """Judge a package by the standard checklist, and record the verdict, yes or no.

        It is compared with the version that the alias `champion` points at, on the same rows.
        With a champion or without, what it must show is judged at the level that this look at the
        rows is worth. The same package, champion, rows, labels, groups and demands are the same
        look; anything else is another.

        Args:
            name: The registry name the candidate wants.
            package: What is judged.
            spec: What the project's gate demands.
            holdout: Raw rows that no training saw, with the target.
            training: The table it was trained on, raw, with the target.
            run: The run that made it.
            data: Data commits of the held-out rows, besides those of the run.

        Returns:
            The verdict's identifier and the verdict.

        Raises:
            Invalid: The rows do not fit the signature, or lack a column that the gate names.
            Refused: The shelf life of these rows is over.
            NotFound: There is no such run or data commit.
        """
        check_name(name, "model")
        run = self._run(run)
        behind = tuple(dict.fromkeys((*self._data(run), *data)))
        exam = prepare_exam(
            package,
            spec,
            holdout=holdout,
            training=training,
            columns=self._columns(behind),
            pickled=pickled_of(self._stores, self._scope.project, run),
        )
        gate = build_gate(spec)
        labels = labels_digest(exam.holdout.labels)
        for _ in range(ATTEMPTS):
            heads = self._heads(name, labels)
            champion = self.champion(name)
            met = exam if champion is None else self._against(exam, champion)
            ready = self._priced(name, met, labels)
            verdict = self._verdict(name, ready, gate.judge({"exam": ready}), champion, run)
            recorded = self._record(verdict, run, behind, heads)
            if recorded is not None:
                return recorded, verdict
        raise too_busy(name)

    def judge(
        self,
        name: str,
        package: Package,
        gate: Gate,
        evidence: Evidence,
        *,
        run: Run | str,
        data: Sequence[str] = (),
        champion: Model | None = None,
    ) -> tuple[str, GateVerdict]:
        """Judge a package by a gate of one's own, and record the verdict.

        Args:
            name: The registry name the candidate wants.
            package: What is judged.
            gate: The gate.
            evidence: What its checks ask about.
            run: The run that made it.
            data: Data commits of the held-out rows, besides those of the run.
            champion: The version it was compared with, if any.

        Raises:
            NotFound: There is no such run or data commit.
        """
        run = self._run(run)
        found = gate.judge(evidence)
        earlier = {question_of(verdict) for _, verdict in self.verdicts.of(name)}
        verdict = GateVerdict(
            model=check_name(name, "model"),
            gate=found.gate,
            subject=package.digest,
            passed=found.passed,
            findings=found.findings,
            champion=champion.id if champion else None,
            look=len(earlier | {package.digest}),
            run=run.id,
        )
        behind = tuple(dict.fromkeys((*self._data(run), *data)))
        recorded = self._record(
            verdict, run, behind, dict.fromkeys(verdict_heads(name, None), UNSET)
        )
        assert recorded is not None  # noqa: S101  # a head that may stand anywhere always moves
        return recorded, verdict

    def _columns(self, data: Sequence[str]) -> dict[str, str]:
        columns: dict[str, str] = {}
        for id_ in data:
            commit = read(entry_of(self._stores, self._scope.project, id_, "data"), DataCommit)
            for table in commit.tables:
                columns.update(table.columns)
        return columns

    def _heads(self, name: str, labels: str | None) -> dict[str, str | None]:
        """Return the heads that a verdict will move, and where they point."""
        ledger, project = self._stores.ledger, self._scope.project
        heads = {head: ledger.head(project, head) for head in verdict_heads(name, labels)}
        return {head: found and found.target for head, found in heads.items()}

    def _against(self, exam: Exam, champion: Model) -> Exam:
        return against(exam, champion.label, self.open(champion.version.package))

    def _priced(self, name: str, exam: Exam, labels: str | None) -> Exam:
        """Give an exam the level that this look at its rows is worth, champion or none."""
        earlier = [verdict for _, verdict in self.verdicts.of(name, labels)]
        question, rules = exam_question(exam), exam.spec.champion
        look = next_look(earlier, question, exam.holdout.span_us, rules, labels)
        return replace(exam, alpha=look.alpha, look=look.number, question=question)

    def _verdict(
        self, name: str, exam: Exam, found: Verdict, champion: Model | None, run: Run
    ) -> GateVerdict:
        first, last = exam.holdout.span_us
        rules = exam.spec.champion
        findings = found.findings if found.passed else withheld(found.findings, rules)
        return GateVerdict(
            model=name,
            gate=found.gate,
            subject=exam.package.digest,
            passed=found.passed,
            findings=findings,
            champion=champion.id if champion else None,
            look=exam.look,
            alpha=exam.alpha,
            question=exam.question,
            labels=labels_digest(exam.holdout.labels),
            first_us=first,
            last_us=last,
            rows=exam.holdout.size,
            run=run.id,
        )

    def _record(
        self,
        verdict: GateVerdict,
        run: Run,
        data: Sequence[str],
        heads: Mapping[str, str | UnsetType | None],
    ) -> str | None:
        """Commit a verdict, and the heads that must stand where they did; None when one moved."""
        parents = [run.finished_id or run.id, *data]
        if verdict.champion:
            parents.append(verdict.champion)
        item = draft(verdict, parents=dict.fromkeys(parents))
        word = "passed" if verdict.passed else "refused"
        moves = [HeadMove(name=head, to=item.id, expect=was) for head, was in heads.items()]
        return item.id if self._commit(f"gate {verdict.gate} {word}", [item], moves) else None
