"""Names, aliases and stages of the registry: which are allowed, and which heads stand for them."""

import re
from typing import Final, get_args

from trivet.core.errors import Invalid
from trivet.models.facts import VersionStage

CHAMPION: Final = "champion"
"""The alias of the version that answers by default."""
STAGES: Final[tuple[VersionStage, ...]] = get_args(VersionStage)
ACTIVE_STAGES: Final[tuple[VersionStage, ...]] = ("Staging", "Production")
_MOST_NAME: Final = 256
_MOST_ALIAS: Final = 255
_ALIAS = re.compile(r"[\w\-]+")
_NUMBER_ALIAS = re.compile(r"v\d+", re.IGNORECASE)


def head_of(name: str, alias: str = "") -> str:
    """Return the head of a name's newest version, or of one of its aliases."""
    plain = _plain(name)
    return f"model/{plain}@{alias}" if alias else f"model/{plain}"


def registered_head(name: str) -> str:
    """Return the head of who has a name now."""
    return f"registered/{_plain(name)}"


def stages_head(registered: str) -> str:
    """Return the head of the last change of a stage of a name: such changes come one by one."""
    return f"stages/{registered}"


def name_of(head: str) -> str:
    """Return the name that a head of `head_of` or `registered_head` stands for."""
    plain = head.partition("/")[2].partition("@")[0]
    return plain.replace("%40", "@").replace("%25", "%")


def check_registered_name(name: str) -> str:
    """Return a name that may be registered; packages want a stricter one, see `check_name`.

    Raises:
        Invalid: It is empty, longer than 256 characters, has `/` or `:`, or as a path it is not
            in its normal form.
    """
    if not name.strip():
        raise Invalid("Missing value for required parameter 'name'.", code="bad-name")
    if "/" in name or ":" in name:
        raise Invalid(
            f"Invalid model name '{name[:_MOST_NAME]}'. Names cannot contain '/' or ':'.",
            code="bad-name",
        )
    if name in {".", ".."} or len(name) > _MOST_NAME or not name.isprintable():
        raise Invalid(
            f"Invalid value {name[:_MOST_NAME]!r} for parameter 'name' supplied: expected 1 to "
            f"{_MOST_NAME} printable characters that are not '.' or '..'.",
            code="bad-name",
        )
    return name


def check_alias(alias: str) -> str:
    """Return an alias that may be set.

    Raises:
        Invalid: It is not 1 to 255 letters, digits, `_` and `-`, or it is reserved: `latest`, and
            `v` with a number behind it.
    """
    if not alias:
        raise Invalid("Registered model alias name cannot be empty.", code="bad-alias")
    if len(alias) > _MOST_ALIAS:
        raise Invalid(
            f"the alias has {len(alias)} characters and exceeds the maximum length of "
            f"{_MOST_ALIAS}",
            code="bad-alias",
        )
    if not _ALIAS.fullmatch(alias):
        raise Invalid(
            f"Invalid alias name: '{alias}'; expected letters, digits, '_' and '-'",
            code="bad-alias",
            hint="Write for example champion.",
        )
    if alias.lower() == "latest" or _NUMBER_ALIAS.fullmatch(alias):
        raise Invalid(
            f"'{alias}' alias name is reserved; expected neither 'latest' nor 'v' and a number",
            code="bad-alias",
            hint="Write the number itself, as in name:3.",
        )
    return alias


def stage_of(word: str) -> VersionStage:
    """Return the stage that a word means, whatever its case.

    Raises:
        Invalid: There is none.
    """
    for stage in STAGES:
        if stage.lower() == word.lower():
            return stage
    raise Invalid(
        f"Invalid Model Version stage: {word}. Value must be one of {', '.join(STAGES)}.",
        code="bad-stage",
    )


def _plain(name: str) -> str:
    """Write a name so that no `@` in it is taken for the beginning of an alias."""
    return name.replace("%", "%25").replace("@", "%40")
