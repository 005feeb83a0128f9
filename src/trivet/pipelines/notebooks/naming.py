"""Names for what is made: steps, the flow, the module."""

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from trivet.core.fingerprints.modules import origin_of_module
from trivet.pipelines.notebooks.blocks import Block


def identifier(text: str, fallback: str) -> str:
    """Make an ASCII identifier of a file's name or a heading.

    Example:
        >>> identifier("1. Load & clean", "step")
        'load_clean'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    name = re.sub(r"^[0-9_]+", "", name)[:48].strip("_")
    return name or fallback


def module_name(wanted: str) -> str:
    """Return a name under which a module hides no library: `polars` becomes `polars_flow`.

    A file `polars.py` would be imported in place of the library by everything in its folder.
    """
    is_word = keyword.iskeyword(wanted) or keyword.issoftkeyword(wanted)
    is_library = wanted in sys.stdlib_module_names or origin_of_module(wanted) == "package"
    return f"{wanted}_flow" if is_word or is_library else wanted


def step_names(blocks: Sequence[Block], taken: Iterable[str]) -> list[str]:
    """Name each block's step: by its mark, or by what it returns.

    Args:
        blocks: The blocks in order.
        taken: Names of the notebook, which no step may hide.
    """
    used = {*taken, *dir(builtins), *keyword.kwlist, *keyword.softkwlist}
    names: list[str] = []
    known: set[str] = set()
    for number, block in enumerate(blocks, 1):
        wanted = identifier(block.group.title, "") or _by_outputs(block, known, number)
        name = wanted if wanted not in used else f"{wanted}_step"
        count = 2
        while name in used:
            name, count = f"{wanted}_{count}", count + 1
        used.add(name)
        known |= set(block.outputs)
        names.append(name)
    return names


def free_name(wanted: str, taken: Iterable[str], ending: str) -> str:
    """Return a name that is not taken, with an ending when the wanted one is."""
    used = {*taken, *dir(builtins), *keyword.kwlist}
    name = wanted
    while name in used:
        name = f"{name}_{ending}"
    return name


def _by_outputs(block: Block, known: set[str], number: int) -> str:
    new = [name for name in block.outputs if name not in known]
    if new:
        return f"make_{identifier(new[-1] if len(new) == 1 else new[0], 'values')}"
    if block.outputs:
        return f"update_{identifier(block.outputs[0], 'values')}"
    return f"act_{number}" if block.is_effect else f"show_{number}"
