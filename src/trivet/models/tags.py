"""Tags of versions and models that mean something to Trivet, and are not set like others."""

from typing import Final

from trivet.core.errors import Invalid

DEPRECATED: Final = "trivet.deprecated"
"""Why a version or a model shall not be used any more."""
INSTEAD: Final = "trivet.deprecated.instead"
"""What to use in its place."""
MEANING: Final = frozenset({DEPRECATED, INSTEAD})


def check_free_tag(key: str) -> None:
    """Make sure that a tag is nobody's but its author's.

    Raises:
        Invalid: It says that something is deprecated.
    """
    if key in MEANING:
        raise Invalid(
            f"the tag {key!r} says that something is deprecated",
            code="reserved-tag",
            hint="`trivet models deprecate` sets it, or takes it away.",
        )
