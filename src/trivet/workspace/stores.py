"""Opening a project's stores: its folder is claimed, and brought to the present format if older."""

from pathlib import Path
from typing import Final

from trivet.workspace import wiring
from trivet.workspace.folders import claim_folder, upgrade_folder
from trivet.workspace.settings import FOLDER, Settings

FORMAT: Final = 2
"""Version of the stored format. A folder of a newer one is refused, an older one upgraded."""


def open_stores(project_folder: Path, settings: Settings, *, actor: str) -> wiring.Opened:
    """Open the stores in the project's `.trivet` folder; make them when there are none.

    Args:
        project_folder: The project's folder.
        settings: What its `trivet.toml` says.
        actor: In whose name an upgrade records what it must.

    Raises:
        Unsupported: The folder was written by a newer Trivet.
        Unavailable: The folder cannot be written, or another process upgrades it.
    """
    folder = project_folder / FOLDER
    if claim_folder(folder, FORMAT) < FORMAT:
        upgrade_folder(folder, FORMAT, lambda _: _upgrade(folder, settings, actor))
    return wiring.open_embedded(folder, settings)


def _upgrade(folder: Path, settings: Settings, actor: str) -> None:
    """Bring stores of format 1 to format 2: other segments of series, and documents of facts."""
    from trivet.adapters.files.points.upgrading import upgrade_series
    from trivet.workspace.rebuilding import make_catalog_anew

    upgrade_series(folder / "series")
    opened = wiring.open_embedded(folder, settings)
    try:
        make_catalog_anew(opened, actor)
    finally:
        opened.close()
