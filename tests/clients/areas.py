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
    Area("media", FULL),
    Area("system_metrics", FULL),
    Area("logged_models", THIRD),
    Area("flavours", FULL),
    Area("torch_flavour", ("mlflow3",)),
    Area("autologging", FULL),
    Area("registry", EVERY),
    Area("registry_models", FULL),
    Area("prompts", ("mlflow3", "mlflow3-skinny")),
    Area("tracing", EVERY),
    Area("webhooks", THIRD),
    Area("rest_requests", PLAIN),
    Area("rest_errors", PLAIN),
    Area("rest_artifacts", PLAIN),
)

# Whether `test_sweep.py` may send its odd requests to Trivet's server.
SWEPT = False
