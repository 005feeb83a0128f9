"""Pictures of Pillow as PNG, in the modes that PNG holds exactly."""

import io
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any, Final

from trivet.core.trees import Content
from trivet.pipelines.materialisers import Files, Materialiser, is_instance, open_file
from trivet.pipelines.materialising.structure import NoForm

Image = Any  # Pillow is loaded only once an image is at hand

_MODES: Final = {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}


def _save(image: Image) -> Mapping[str, Content]:
    if image.mode not in _MODES:
        raise NoForm(
            image,
            f"PNG does not hold the image mode {image.mode!r}",
            "Convert it: image.convert('RGB'), or return numpy.asarray(image).",
        )
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return {"image.png": stream.getvalue()}


def _load(files: Files) -> object:
    library = import_module("PIL.Image")
    with open_file(files, "image.png") as stream, library.open(stream, formats=["PNG"]) as image:
        return image.copy()


def _digest(image: Image) -> str:
    # A palette counts by its colours: PNG may write the same ones in another way.
    has_palette = image.mode == "P"
    clear = None if has_palette else image.info.get("transparency")
    state = sha256(repr((image.mode, image.size, clear)).encode())
    state.update(image.tobytes())
    if has_palette:
        state.update(image.convert("RGBA").tobytes())
    return state.hexdigest()


IMAGES = Materialiser(
    format="image.png",
    library="PIL",
    accepts=lambda value: is_instance(value, "PIL.Image", "Image"),
    save=_save,
    load=_load,
    digest=_digest,
)
"""Whatever file it was opened from, it comes back as a plain `PIL.Image.Image`."""
