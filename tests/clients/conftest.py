"""A server to be judged, for all programs together: each makes its own experiments and models."""

import os
from collections.abc import Iterator

import pytest
from tests.clients.servers import Server, start_oracle, start_trivet


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Trivet's server, or MLflow's own with TRIVET_CONFORMANCE=oracle."""
    start = start_oracle if os.environ.get("TRIVET_CONFORMANCE") == "oracle" else start_trivet
    with start(tmp_path_factory.mktemp("server")) as started:
        yield started
