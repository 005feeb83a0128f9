"""What the clients are asked to judge, and how far the server of Trivet has come."""

from dataclasses import dataclass

# Each has an environment of its own, `.venv-<name>`; `plain` has none, it speaks HTTP itself.
FULL = ("mlflow3", "mlflow2")
SKINNY = ("mlflow3-skinny", "mlflow2-skinny")
EVERY = (*FULL, *SKINNY)
THIRD = ("mlflow3", "mlflow3-skinny")
PLAIN = ("plain",)


@dataclass(frozen=True)
class Area:
    """One program in `programs/`, and the environments that run it."""

    name: str
    clients: tuple[str, ...]
    supported: bool = False  # whether Trivet's server answers all of it


AREAS = (
    Area("fluent", EVERY, supported=True),
    Area("experiments", EVERY, supported=True),
    Area("runs", EVERY, supported=True),
    Area("metrics", EVERY, supported=True),
    Area("nested", EVERY, supported=True),
    Area("searching", EVERY, supported=True),
    Area("searching_order", EVERY, supported=True),
    Area("datasets", EVERY, supported=True),
    Area("artifacts", EVERY, supported=True),
    Area("media", FULL, supported=True),
    Area("system_metrics", FULL, supported=True),
    Area("logged_models", THIRD, supported=True),
    Area("flavours", FULL, supported=True),
    Area("torch_flavour", ("mlflow3",), supported=True),
    Area("autologging", FULL, supported=True),
    Area("registry", EVERY, supported=True),
    Area("registry_models", FULL, supported=True),
    Area("prompts", ("mlflow3", "mlflow3-skinny"), supported=True),
    Area("tracing", EVERY, supported=True),
    Area("webhooks", THIRD, supported=True),
    Area("rest_requests", PLAIN, supported=True),
    Area("rest_errors", PLAIN, supported=True),
    Area("rest_artifacts", PLAIN, supported=True),
)

# Whether `test_sweep.py` may send its odd requests to Trivet's server.
SWEPT = True
