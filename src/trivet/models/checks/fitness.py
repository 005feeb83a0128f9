"""Checks of fitness for service: what an answer costs, and how much there is to carry."""

from trivet.core.gates import Finding
from trivet.models.exam import Exam
from trivet.models.rules import Latency, Size


def latency(exam: Exam, rules: Latency) -> Finding:
    """One answer in a hundred may take longer than the limit."""
    found = exam.latency
    return Finding(
        check="",
        ok=found.single_p99_us <= 1000 * rules.p99_ms,
        summary=f"99 of 100 single rows are answered within {found.single_p99_us / 1000:.3f} ms "
        f"(half within {found.single_p50_us / 1000:.3f} ms); allowed are {rules.p99_ms:g} ms",
        value=found.single_p99_us / 1000,
        low=found.single_p99_low_us / 1000,
        high=found.single_p99_high_us / 1000,
        threshold=rules.p99_ms,
        rows=found.repeats,
        evidence={
            "single_p50_us": found.single_p50_us,
            "batch_rows": found.batch_rows,
            "batch_p50_us": found.batch_p50_us,
            "per_row_us": found.per_row_us,
        },
    )


def size(exam: Exam, rules: Size) -> Finding:
    """The package is no larger than the limit."""
    mib = exam.package.size_bytes / (1 << 20)
    return Finding(
        check="",
        ok=mib <= rules.mib,
        summary=f"the package has {mib:.2f} MiB; allowed are {rules.mib:g} MiB",
        value=mib,
        threshold=rules.mib,
        evidence={"serving_bytes": len(exam.package.onnx)},
    )
