"""A suite of edits: small projects, one change to each, and whether a step must run again.

Every project has `work.py` with a plain function `compute(x)`, so that any system with a cache can
be put before it. `EDITS` holds changes that alter what `compute` returns (a cache that misses one
serves a stale result) and changes that alter nothing (a cache that reruns them wastes work).
"""

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

PIPELINE = """
import trivet
import work
{imports}

called = trivet.step({options})(work.compute)


@trivet.flow
def main():
    return {{"answer": [called({argument})]}}
"""
"""How Trivet is put before a case; a peer brings its own."""


@dataclass(frozen=True)
class Edit:
    """One project and one change to it."""

    name: str
    reruns: bool
    """Whether the step must run again after the change."""
    files: dict[str, str]
    changes: tuple[tuple[str, str, str], ...]
    """File, text before, text after."""
    argument: str = "3"
    """What `compute` is called with: a Python expression, evaluated in the project's folder."""
    imports: str = ""
    """Lines that `argument` and `options` need."""
    options: str = ""
    """Of `@step`: declared by hand, for what no system can see."""
    tags: frozenset[str] = field(default_factory=frozenset[str])
    """`declared`: needs the option of Trivet; `careful`: reruns although the result is the same."""

    def write(self, folder: Path) -> None:
        """Write the project as it is before the change."""
        for name, text in {**self.files, "pipeline.py": self.pipeline}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def apply(self, folder: Path) -> None:
        """Make the change.

        Raises:
            ValueError: The text before is not there exactly once.
        """
        for name, before, after in self.changes:
            path = folder / name
            text = path.read_text("utf-8")
            if text.count(before) != 1:
                raise ValueError(f"{self.name}: {before!r} is {text.count(before)} times in {name}")
            path.write_text(text.replace(before, after), "utf-8")

    @property
    def pipeline(self) -> str:
        """The flow that calls `compute`."""
        return PIPELINE.format(
            imports=self.imports, options=self.options, argument=self.argument
        ).lstrip()


def edit(
    name: str,
    files: dict[str, str] | str,
    *changes: tuple[str, ...],
    reruns: bool = True,
    argument: str = "3",
    imports: str = "",
    options: str = "",
    tags: str = "",
) -> Edit:
    """Make a case; a text alone is `work.py`, a change of two texts is one in `work.py`."""
    named = {"work.py": files} if isinstance(files, str) else files
    texts = {path: dedent(text).lstrip() for path, text in named.items()}
    made = tuple(
        (one[0], one[1], one[2]) if len(one) == 3 else ("work.py", one[0], one[1])
        for one in changes
    )
    return Edit(name, reruns, texts, made, argument, imports, options, frozenset(tags.split()))


def nothing(name: str, files: dict[str, str] | str, *changes: tuple[str, ...], **more: str) -> Edit:
    return edit(name, files, *changes, reruns=False, **more)


USES_HELPERS = "import helpers\ndef compute(x):\n    return helpers.ratio(x)\n"
RATIO = "def ratio(x):\n    return x * 2\n"
