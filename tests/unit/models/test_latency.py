from typing import Any

from trivet.models.building import build_package
from trivet.models.latency import measure_latency
from trivet.models.rows import RowEncoder
from trivet.testing.memory_stores import MemoryBlobs


def test_quantiles_and_their_interval_stand_in_order(trained: Any, flavours: Any) -> None:
    package = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"")
    encoder = RowEncoder(package.signature)
    found = measure_latency(encoder, package.session(), package.golden.rows, repeats=300)
    assert 0 < found.single_p50_us <= found.single_p99_us
    assert found.single_p99_low_us <= found.single_p99_us <= found.single_p99_high_us
    assert found.batch_rows == 100
    assert found.per_row_us >= 0
