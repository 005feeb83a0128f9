"""Environments that steps name: a file of the project, known by its content."""

from hashlib import sha256
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.fingerprints.fingerprint import Fingerprint
from trivet.core.ids import sha256_hex
from trivet.pipelines.context import Definition

_PART = "environment "
_READ = "requirements as `uv pip compile` writes them, or a pylock.toml"


class Environment(msgspec.Struct, frozen=True):
    """A file of requirements, and the digest of its content."""

    path: str
    digest: str


def environment_of(definition: Definition, folder: Path) -> Environment | None:
    """Return the environment that a step names, None when it has none of its own.

    Args:
        definition: The step.
        folder: Where relative paths begin.

    Raises:
        NotFound: There is no such file.
        Invalid: It is a file of another kind.
    """
    if not definition.env:
        return None
    path = folder / definition.env
    if path.name in {"uv.lock", "poetry.lock", "pyproject.toml", "Pipfile.lock"}:
        raise Invalid(
            f"step {definition.name!r} has env={definition.env!r}; expected {_READ}",
            code="bad-environment",
            hint="Write one: `uv export --no-emit-project -o requirements.txt`.",
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(
            f"there is no file {definition.env!r}, which step {definition.name!r} names as its env",
            code="no-file",
            hint=f"Write {_READ}, with the path relative to the project's folder.",
        ) from error
    return Environment(str(path.absolute()), sha256(content).hexdigest())


def with_environment(code: Fingerprint, environment: Environment | None) -> Fingerprint:
    """Return the fingerprint of code that runs in an environment of its own."""
    if environment is None:
        return code
    parts = {**code.parts, f"{_PART}{Path(environment.path).name}": environment.digest}
    digest = sha256_hex(code.digest.encode(), f"environment:{environment.digest}".encode())
    return Fingerprint(digest, dict(sorted(parts.items())), code.limits)


def environment_in(code: Fingerprint) -> str:
    """Return the digest of the environment that a fingerprint covers, empty when there is none."""
    return next((d for name, d in code.parts.items() if name.startswith(_PART)), "")
