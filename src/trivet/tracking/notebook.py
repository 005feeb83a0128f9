"""The code of a notebook or an interactive session: the cells executed, in their order."""

import sys
from typing import Any, Final

FILE: Final = "notebook-cells.py"
"""Where the cells stand among the sources of a run."""


def executed_cells() -> tuple[str, ...] | None:
    """Return what IPython has executed in this process, None where no IPython runs."""
    library: Any = sys.modules.get("IPython")
    try:
        shell = library.get_ipython()
        # The first place is kept empty, so that cells are numbered from 1.
        return tuple(map(str, shell.history_manager.input_hist_raw[1:]))
    except AttributeError:  # no IPython, none that runs, or one that keeps no history
        return None


def source_of_cells(cells: tuple[str, ...]) -> bytes:
    """Return cells as one file in percent format, numbered as the notebook shows them."""
    blocks = (f"# %% [{number}]\n{cell.rstrip()}\n" for number, cell in enumerate(cells, 1))
    return "\n".join(blocks).encode("utf-8", "replace")
