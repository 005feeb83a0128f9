"""The files `meta.yaml` of MLflow's folders."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from trivet.core.errors import Invalid, Unsupported

_MOST_BYTES: Final = 32 << 20


class Meta:
    """What one file says.

    Args:
        values: By name.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def text(self, name: str) -> str:
        """Return a text; empty when there is none."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    def optional(self, name: str) -> str | None:
        """Return a text, or None."""
        return None if self.values.get(name) is None else self.text(name)

    def integer(self, name: str) -> int | None:
        """Return a whole number, or None."""
        value = self.values.get(name)
        try:
            return None if value is None else int(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def texts(self, name: str) -> dict[str, str]:
        """Return a mapping of texts."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            return {}
        return {str(k): str(v) for k, v in cast("dict[object, object]", value).items()}

    def stage(self) -> Any:
        """Return `active` or `deleted`."""
        return "deleted" if self.text("lifecycle_stage") == "deleted" else "active"


def read_meta(path: Path) -> Meta:
    """Read a file.

    Raises:
        OSError: It cannot be read.
        Invalid: It is no mapping in YAML, or larger than 32 MiB.
        Unsupported: PyYAML is not installed.
    """
    yaml = _yaml()
    if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
        raise Invalid(f"{path} is a link, or larger than 32 MiB", code="bad-meta")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(path.read_bytes(), Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Invalid(f"{path} is no YAML: {error}", code="bad-meta") from error
    if not isinstance(found, dict):
        raise Invalid(f"{path} is no mapping", code="bad-meta")
    return Meta(cast("dict[str, Any]", found))


def _yaml() -> Any:
    try:
        return import_module("yaml")
    except ModuleNotFoundError as error:
        raise Unsupported(
            "reading folders of MLflow needs the library PyYAML, which is not installed",
            code="no-library",
            hint="Install it: `pip install 'trivet[moving]'`.",
        ) from error
