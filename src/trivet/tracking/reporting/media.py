"""Pictures, sounds, tables and figures as files.

Libraries are known by what their objects can do: none is imported.
"""

import io
import struct
import wave
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from trivet.core.errors import Invalid
from trivet.tracking.reporting.naming import check_text

File = tuple[str, bytes]
"""A file's ending, such as `png`, and its bytes."""

_PICTURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"<svg", "svg"),
    (b"<?xml", "svg"),
)
_SOUNDS: Final = ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"\xff\xfb", "mp3"))
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""What PNG calls grey, grey with alpha, RGB and RGBA, by the number of channels."""
_LOUDEST: Final = 32767
_MOST_CHANNELS: Final = 64
_MOST_RATE: Final = 2**31 - 1
_PNG_MODES: Final[dict[str, str | None]] = {
    **dict.fromkeys(("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    "F": "L",
    "I": "I;16",
    "La": "LA",
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
}
"""As what PNG writes images of Pillow's modes: None as they are, others than these as RGB."""


def picture_of(image: object) -> File:
    """Return an image as a file.

    Args:
        image: A path, the bytes of a file, an image of Pillow, or an array: (rows, columns),
            (rows, columns, channels) or (channels, rows, columns) with 1 to 4 channels, of bytes
            or of floats that are cut to 0…1.

    Raises:
        Invalid: It is none of these.
    """
    if isinstance(image, str | Path):
        return _read(Path(image), "png")
    if isinstance(image, bytes | bytearray):
        return _named(bytes(image), _PICTURES, "image", "a PNG, JPEG, GIF, WebP, BMP or SVG")
    save = getattr(image, "save", None)
    if callable(save) and hasattr(image, "getbands"):
        return "png", _png_of_pillow(image)
    array = _array(image, "image", "a path, bytes, an image of Pillow, or an array")
    return "png", _png(_with_channels_last(array))


def sound_of(audio: object, rate: int | None) -> File:
    """Return a sound as a file.

    Args:
        audio: A path, the bytes of a file, or an array: (frames,) or (frames, channels), of 16-bit
            integers or of floats that are cut to -1…1.
        rate: Frames per second of an array.

    Raises:
        Invalid: It is none of these, or an array comes without its rate.
    """
    if isinstance(audio, str | Path):
        return _read(Path(audio), "wav")
    if isinstance(audio, bytes | bytearray):
        return _named(bytes(audio), _SOUNDS, "audio", "a WAV, FLAC, OGG or MP3")
    array = _array(audio, "audio", "a path, bytes, or an array")
    rate = _checked_rate(rate)
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] > _MOST_CHANNELS):
        raise Invalid(
            f"audio is an array of the shape {array.shape}; expected (frames,), or (frames, "
            f"channels) with at most {_MOST_CHANNELS} channels",
            code="bad-medium",
            hint="Pass audio.T when its channels come first.",
        )
    if array.dtype.kind == "f":
        array = _cut(array, -1.0, 1.0) * _LOUDEST
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if array.ndim == 1 else array.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array.clip(-_LOUDEST - 1, _LOUDEST).astype("<i2").tobytes())
    return "wav", buffer.getvalue()


def figure_of(figure: object) -> File:
    """Return a figure of matplotlib as PNG, or one of plotly as HTML.

    Raises:
        Invalid: It is neither.
    """
    drawn: Any = getattr(figure, "figure", figure)  # axes know their figure
    if callable(getattr(drawn, "savefig", None)):
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", bbox_inches="tight")
        return "png", buffer.getvalue()
    to_html = getattr(figure, "to_html", None)
    if callable(to_html) and hasattr(figure, "to_plotly_json"):
        return "html", str(to_html(include_plotlyjs="cdn")).encode()
    raise _unknown("figure", figure, "a figure of matplotlib or plotly")


def table_of(rows: object) -> File:
    """Return a table as JSON: `columns`, and `data` row by row.

    Args:
        rows: Columns by name, a sequence of mappings, or a frame of pandas or Polars. What JSON
            has no word for is written as text; NaN is null.

    Raises:
        Invalid: It is none of these, its columns have different lengths, two have one name, or
            one has no text.
    """
    columns = _columns(rows)
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise Invalid(
            f"the columns of the table have {sorted(lengths)} rows; expected equal lengths",
            code="bad-medium",
        )
    data = list(zip(*columns.values(), strict=True))
    try:
        content = msgspec.json.encode({"columns": list(columns), "data": data}, enc_hook=_plain)
    except UnicodeEncodeError as error:
        check_text(error.object, "a text in the table")
        raise
    return "json", content


def _columns(rows: object) -> dict[str, Sequence[object]]:
    found: Any = rows
    if callable(getattr(rows, "to_dict", None)) and hasattr(rows, "columns"):
        _named_apart(found.columns)
        is_polars = hasattr(rows, "iter_rows")
        found = found.to_dict(as_series=False) if is_polars else found.to_dict(orient="list")
    if isinstance(found, Mapping):
        mapping = cast("Mapping[object, object]", found)
        names = _named_apart(mapping)
        return dict(zip(names, map(_column, names, mapping.values()), strict=True))
    if isinstance(found, list | tuple):
        items = cast("Sequence[object]", found)
        if all(isinstance(row, Mapping) for row in items):
            return _columns_of(cast("Sequence[Mapping[object, object]]", items))
    raise _unknown("table", rows, "columns by name, a list of mappings, or a data frame")


def _columns_of(records: Sequence[Mapping[object, object]]) -> dict[str, Sequence[object]]:
    keys = dict.fromkeys(name for row in records for name in row)
    columns = ([row.get(key) for row in records] for key in keys)
    return dict(zip(_named_apart(keys), columns, strict=True))


def _column(name: str, values: object) -> Sequence[object]:
    try:
        if not isinstance(values, str | bytes):
            return list(cast("Iterable[object]", values))
    except TypeError:  # a single value, which may look like many
        pass
    raise _unknown(f"column {name!r} of the table", values, "a list with a value for each row")


def _named_apart(keys: Iterable[object]) -> list[str]:
    """Return the names of columns as text; one that is there twice would lose a column."""
    names = [str(key) for key in keys]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise Invalid(
            f"two columns of the table are called {twice[0]!r}; expected names that differ",
            code="bad-medium",
            hint="Rename one of them.",
        )
    return names


def _plain(value: object) -> object:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        plain = item()
        return plain if isinstance(plain, int | float | str | bool) else str(plain)
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else str(value)


def _array(value: object, what: str, wanted: str) -> Any:
    """Return something array-like as an array of NumPy, whose methods are used from here on."""
    found: Any = value
    if hasattr(found, "detach") and hasattr(found, "cpu"):  # a tensor of PyTorch, on any device
        found = found.detach().cpu()
        found = found.float() if "bfloat16" in str(found.dtype) else found
    if not callable(getattr(found, "__array__", None)):
        raise _unknown(what, value, wanted)
    array = found.__array__()
    if array.dtype.kind not in "biuf" or not array.size:
        raise _unknown(what, value, f"{wanted} of numbers")
    return array


def _with_channels_last(array: Any) -> Any:
    """Return (rows, columns, channels) of bytes."""
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and array.shape[2] not in _COLOURS and array.shape[0] in _COLOURS:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in _COLOURS:
        raise Invalid(
            f"image is an array of the shape {array.shape}; expected (rows, columns) or 1 to 4 "
            "channels, last or first",
            code="bad-medium",
        )
    if array.dtype.kind == "b":
        return array.astype("uint8") * 255
    if array.dtype.kind == "f":
        array = _cut(array, 0.0, 1.0) * 255 + 0.5
    return array.clip(0, 255).astype("uint8")


def _checked_rate(rate: object) -> int:
    """Return a rate in frames a second; that of a library may be a number of its own."""
    number = float(cast("Any", rate)) if hasattr(rate, "__float__") else 0.0
    if not 1 <= number <= _MOST_RATE:
        raise Invalid(
            f"rate is {rate!r}; expected the frames a second of an array, at least 1",
            code="bad-medium",
            hint="Pass rate=16000.",
        )
    return round(number)


def _png_of_pillow(image: Any) -> bytes:
    mode = _PNG_MODES.get(image.mode, "RGB")
    buffer = io.BytesIO()
    try:
        (image.convert(mode) if mode else image).save(buffer, format="PNG")
    except (OSError, ValueError) as error:  # truncated, or without a pixel
        raise Invalid(f"image cannot be written as PNG: {error}", code="bad-medium") from error
    return buffer.getvalue()


def _cut(array: Any, least: float, most: float) -> Any:
    cut = array.astype("float64").clip(least, most)
    cut[cut != cut] = 0.0  # noqa: PLR0124  # NaN has no shade and no sound
    return cut


def _png(array: Any) -> bytes:
    """Write PNG (ISO/IEC 15948), eight bits deep, without filters."""
    rows, columns, channels = array.shape
    lines = b"".join(b"\0" + array[row].tobytes() for row in range(rows))
    header = struct.pack(">IIBBBBB", columns, rows, 8, _COLOURS[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return _PICTURES[0][0] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _read(path: Path, ending: str) -> File:
    try:
        return path.suffix.lstrip(".").lower() or ending, path.read_bytes()
    except (OSError, ValueError) as error:  # the latter: no path at all
        reason = getattr(error, "strerror", error)
        raise Invalid(
            f"{str(path)!r} cannot be read: {reason}; expected a file", code="no-file"
        ) from error


def _named(content: bytes, known: Iterable[tuple[bytes, str]], what: str, wanted: str) -> File:
    if content[:4] == b"RIFF" and content[8:12] in {b"WEBP", b"WAVE"}:
        return content[8:12].decode().lower().replace("wave", "wav"), content
    for beginning, ending in known:
        if content.lstrip().startswith(beginning):
            return ending, content
    raise Invalid(f"{what} is {len(content)} bytes that are not {wanted}", code="bad-medium")


def _unknown(what: str, value: object, wanted: str) -> Invalid:
    return Invalid(f"{what} is a {type(value).__name__}; expected {wanted}", code="bad-medium")
