"""NumPy arrays as npy, many arrays as one npz, SciPy's sparse matrices as npz.

Scalars, masked arrays and those of variable-width text are kept by their parts. None is ever
pickled.
"""

import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any, BinaryIO, Final, cast

from trivet.core.errors import Corrupt
from trivet.core.trees import Content
from trivet.pipelines.materialisers import Files, Materialiser, is_instance, open_file, write_out
from trivet.pipelines.materialising.structure import NoForm

_MANY: Final = 8
"""From so many arrays on, a list or dict of arrays is one file instead of one for each."""
_ARRAY, _SCALAR = "array.npy", "scalar.npy"
_SHORT_HEADER: Final = 60_000
_BLOCK_ITEMS: Final = 1 << 20

Array = Any  # NumPy is loaded only once an array is at hand, and its values are of any dtype


def is_array(value: object) -> bool:
    """Say whether a value is an array of NumPy itself, or a record of one, that npy can hold."""
    kind = type(value)
    is_one = kind.__name__ in {"ndarray", "memmap", "void"} and kind.__module__ == "numpy"
    if not is_one:
        return False
    dtype = cast("Array", value).dtype
    return not dtype.hasobject and dtype.kind != "T"


def write_array(array: Array) -> Content:
    """Write one array as npy: C or Fortran order, dtype and shape are kept."""
    numpy = import_module("numpy")
    said = repr(_descr(array))
    version = (3, 0) if not said.isascii() else (1, 0) if len(said) < _SHORT_HEADER else (2, 0)

    def write(stream: BinaryIO) -> None:
        numpy.lib.format.write_array(stream, array, version=version, allow_pickle=False)

    return write_out(write, array.nbytes)


def digest_array(array: Array) -> str:
    """Digest an array by dtype, shape, order and bytes, without a copy of it where it lies whole.

    The bytes between the fields of a structured dtype count as nothing.
    """
    said = (_descr(array), array.shape, _is_fortran(array))
    state = sha256(repr(said).encode())
    for block in _blocks(array):
        state.update(block)
    return state.hexdigest()


def _refuse_metadata(array: Array) -> None:
    """Refuse an array, or a scalar, on whose dtype something was noted: no file keeps that.

    Raises:
        NoForm: Its dtype, or that of a field, has metadata.
    """
    if not has_metadata(array.dtype):
        return
    raise NoForm(
        array,
        f"its dtype {array.dtype} has metadata, which is not kept",
        "Return what it says beside the array, and give the array a dtype without it"
        + (": array.astype(array.dtype.str)." if array.dtype.names is None else "."),
    )


def has_metadata(kind: Array) -> bool:
    """Say whether something was noted on a dtype, or on that of a field in it."""
    inner = [kind[name] for name in kind.names or ()]
    inner += [kind.base] if kind.base is not kind else []
    return bool(kind.metadata) or any(map(has_metadata, inner))


def _descr(array: Array) -> object:
    _refuse_metadata(array)
    return import_module("numpy").lib.format.dtype_to_descr(array.dtype)


def _is_fortran(array: Array) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _blocks(array: Array) -> Iterator[Any]:
    numpy = import_module("numpy")
    flat = array.T if _is_fortran(array) else array
    if not array.size or not array.dtype.itemsize:
        return
    if flat.flags.c_contiguous:
        yield flat.reshape(-1).view(numpy.uint8).data
        return
    rows = flat.reshape(-1) if flat.ndim < 2 else flat
    step = max(1, _BLOCK_ITEMS * len(rows) // flat.size)
    for start in range(0, len(rows), step):
        yield numpy.ascontiguousarray(rows[start : start + step]).tobytes()


def _packed(array: Array) -> Array:
    """Return an array whose dtype has no gaps, in which other bytes might lie each time."""
    if array.dtype.names is None:
        return array
    functions = import_module("numpy.lib.recfunctions")
    return functions.repack_fields(array, align=False, recurse=True)


def _save(value: Array) -> Mapping[str, Content]:
    scalar = is_instance(value, "numpy", "generic")
    array = import_module("numpy").asarray(value)
    return {_SCALAR if scalar else _ARRAY: write_array(array)}


def _read(stream: BinaryIO) -> Array:
    return import_module("numpy").lib.format.read_array(stream, allow_pickle=False)


def _load(files: Files) -> object:
    name = next(iter(files))
    with open_file(files, name) as stream:
        array = _read(stream)
    return array[()] if name == _SCALAR else array


def _digest(value: Array) -> str:
    kind = "scalar" if is_instance(value, "numpy", "generic") else "array"
    array = import_module("numpy").asarray(value)
    return f"{kind}:{digest_array(_packed(array) if array.dtype.names else array)}"


ARRAYS = Materialiser(
    format="array.npy", library="numpy", accepts=is_array, save=_save, load=_load, digest=_digest
)


# ------------------------------------------------------------------ many arrays, one file


def _are_many(value: object) -> bool:
    if "numpy" not in sys.modules or type(value) not in {list, dict}:
        return False
    items = cast("list[object] | dict[object, object]", value)
    if len(items) < _MANY:
        return False
    if isinstance(items, dict) and not all(type(key) is str for key in items):
        return False
    arrays = items.values() if isinstance(items, dict) else items
    ndarray: type = sys.modules["numpy"].ndarray
    return all(type(item) is ndarray and is_array(item) for item in arrays)


def _save_many(value: "list[Array] | dict[str, Array]") -> Mapping[str, Content]:
    numpy = import_module("numpy")
    names = list(value) if isinstance(value, dict) else None
    arrays = list(value.values()) if isinstance(value, dict) else value
    for array in arrays:
        _refuse_metadata(array)

    def write(stream: BinaryIO) -> None:
        numbered = {str(number): array for number, array in enumerate(arrays)}
        numpy.savez(stream, allow_pickle=False, **numbered)

    text = json.dumps({"names": names, "count": len(arrays)}).encode()
    return {
        "arrays.npz": write_out(write, sum(array.nbytes for array in arrays)),
        "names.json": text,
    }


def _load_many(files: Files) -> object:
    said: dict[str, Any] = json.loads(files["names.json"])
    with open_file(files, "arrays.npz") as stream:
        archive = _opened(stream)
        arrays = [archive[str(number)] for number in range(said["count"])]
    return arrays if said["names"] is None else dict(zip(said["names"], arrays, strict=True))


def _opened(stream: BinaryIO) -> Any:  # noqa: ANN401  # an archive of arrays of any dtype
    try:
        return import_module("numpy").load(stream, allow_pickle=False)
    except zipfile.BadZipFile as error:
        raise Corrupt(
            f"stored arrays do not read back: {error}", hint="Run `trivet fsck`."
        ) from error


def _digest_many(value: "list[Array] | dict[str, Array]") -> str:
    names = list(value) if isinstance(value, dict) else None
    arrays = value.values() if isinstance(value, dict) else value
    return sha256(repr((names, [_digest(array) for array in arrays])).encode()).hexdigest()


MANY_ARRAYS = Materialiser(
    format="arrays.npz",
    accepts=_are_many,
    save=_save_many,
    load=_load_many,
    digest=_digest_many,
)
"""A list or dict of many arrays."""


# ----------------------------------------------------------------------- SciPy's sparse


def _is_sparse(value: object) -> bool:
    module = sys.modules.get("scipy.sparse")
    return (
        module is not None
        and type(value).__module__.startswith("scipy.sparse")
        and (module.issparse(value))
    )


def _canonical(value: Array) -> Array:
    """Return equal entries in one order, so that equal matrices give equal bytes."""
    if value.format in {"csr", "csc", "bsr"} and not value.has_canonical_format:
        value = value.copy()
        value.sum_duplicates()
    return value


def _save_sparse(value: Array) -> Mapping[str, Content]:
    if value.format not in {"csr", "csc", "bsr", "dia", "coo"}:
        raise NoForm(
            value,
            f"sparse format {value.format!r} has no file of its own",
            "Return it as CSR: matrix.tocsr().",
        )
    stream = io.BytesIO()
    import_module("scipy.sparse").save_npz(stream, _canonical(value), compressed=False)
    return {"sparse.npz": stream.getvalue()}


def _load_sparse(files: Files) -> object:
    with open_file(files, "sparse.npz") as stream:
        try:
            return import_module("scipy.sparse").load_npz(stream)
        except zipfile.BadZipFile as error:
            raise Corrupt(
                f"a stored matrix does not read back: {error}", hint="Run `trivet fsck`."
            ) from error


SPARSE = Materialiser(
    format="sparse.npz",
    library="scipy",
    accepts=_is_sparse,
    save=_save_sparse,
    load=_load_sparse,
)


# ---------------------------------------------------- arrays that are made of simpler ones


FORMATS: Final = {"numpy.scalar", "numpy.text", "numpy.masked"}
"""What is kept by its parts."""


def array_kind(value: object) -> str | None:
    """Return the format of an array that is kept by its parts."""
    if is_instance(value, "numpy.ma", "MaskedArray") and type(value).__module__ == "numpy.ma":
        return "numpy.masked"
    if type(value).__module__ != "numpy":
        return None
    if type(value).__name__ == "ndarray":
        return "numpy.text" if cast("Array", value).dtype.kind == "T" else None
    return "numpy.scalar" if is_instance(value, "numpy", "generic") else None


def array_parts(value: Array) -> dict[str, object]:
    """Return the parts of a scalar, of a masked array, or of one of variable-width text.

    Raises:
        NoForm: It holds Python objects, or its dtype has metadata.
    """
    _refuse_metadata(value)
    if is_instance(value, "numpy", "generic"):
        if value.dtype.hasobject:
            raise NoForm(value)
        return {"dtype": value.dtype.str, "hex": value.tobytes().hex()}
    if value.dtype.kind == "T":
        kind = value.dtype
        return {
            "texts": value.tolist(),
            "shape": value.shape,
            "coerce": kind.coerce,
            "missing": [kind.na_object] if hasattr(kind, "na_object") else [],
        }
    numpy = import_module("numpy")
    if value.dtype.hasobject:
        raise NoForm(value, "it is an array of Python objects", "Give the array a plain type.")
    # Under the mask lies what nobody may see: it must not tell equal arrays apart.
    data = value.filled(numpy.zeros((), value.dtype)[()]) if value.dtype.names is None else None
    return {
        "data": value.data if data is None else data,
        "mask": numpy.asarray(value.mask) if value.mask is not numpy.ma.nomask else None,
        "fill": numpy.asarray(value.fill_value, dtype=value.dtype),
        "hard": bool(value.hardmask),
    }


def array_of(format_: str, parts: Mapping[str, Any]) -> object:
    """Put an array of `array_parts` together."""
    numpy = import_module("numpy")
    if format_ == "numpy.scalar":
        content, kind = bytes.fromhex(parts["hex"]), numpy.dtype(parts["dtype"])
        return numpy.frombuffer(content, dtype=kind)[0] if kind.itemsize else kind.type()
    if format_ == "numpy.text":
        missing = {"na_object": parts["missing"][0]} if parts["missing"] else {}
        kind = numpy.dtypes.StringDType(coerce=parts["coerce"], **missing)
        return numpy.array(parts["texts"], dtype=kind).reshape(parts["shape"])
    mask = numpy.ma.nomask if parts["mask"] is None else parts["mask"]
    made = numpy.ma.MaskedArray(parts["data"], mask, fill_value=parts["fill"][()])
    return made.harden_mask() if parts["hard"] else made
