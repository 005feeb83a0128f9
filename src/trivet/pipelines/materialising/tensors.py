"""PyTorch tensors, and dicts of them such as a `state_dict`, as safetensors. On the CPU.

A tensor that was on another device comes back on the CPU: whoever reads it may have none.
"""

import json
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, cast

from trivet.core.errors import Corrupt
from trivet.core.trees import Content
from trivet.pipelines.materialisers import LARGE_BYTES, Files, Materialiser, is_instance
from trivet.pipelines.materialising.structure import NoForm

Tensor = Any  # torch is loaded only once a tensor is at hand

_NAME: Final = "tensors.safetensors"
_META: Final = "tensors.json"


def _is_tensor(value: object) -> bool:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__name__}"
    return name in {"torch.Tensor", "torch.nn.parameter.Parameter"}


def _are_tensors(value: object) -> bool:
    if type(value) not in {dict, OrderedDict} or not value:
        return False
    pairs = cast("Mapping[object, object]", value)
    return all(type(key) is str and _is_tensor(item) for key, item in pairs.items())


def _plain(tensor: Tensor, owner: object) -> Tensor:
    torch = import_module("torch")
    is_odd = tensor.is_quantized or tensor.is_meta or tensor.layout != torch.strided
    if is_odd or tensor.is_conj() or tensor.is_neg():
        raise NoForm(
            owner,
            "it is sparse, quantized, conjugated or has no content",
            "Return a dense tensor, for example tensor.to_dense().",
        )
    return tensor.detach().to("cpu").contiguous()


def _pairs_of(value: object) -> dict[str, Tensor]:
    return {"": value} if _is_tensor(value) else dict(cast("Mapping[str, Tensor]", value))


def _described(value: object) -> bytes:
    said = {
        "kind": "tensor" if _is_tensor(value) else type(value).__name__,
        "tensors": [
            [name, type(tensor).__name__ == "Parameter", bool(tensor.requires_grad)]
            for name, tensor in _pairs_of(value).items()
        ],
    }
    return json.dumps(said).encode()


def _save(value: object) -> Mapping[str, Content]:
    if find_spec("safetensors") is None:
        raise NoForm(
            value,
            "PyTorch's tensors are kept by safetensors",
            "Install it: pip install safetensors.",
        )
    library = import_module("safetensors.torch")
    tensors = _apart(value)
    if sum(tensor.nbytes for tensor in tensors.values()) < LARGE_BYTES:
        return {_NAME: library.save(tensors), _META: _described(value)}
    written = _FileOfOurOwn()
    library.save_file(tensors, written.path)
    return {_NAME: written, _META: _described(value)}


def _apart(value: object) -> dict[str, Tensor]:
    """Number the tensors; where two share one storage, or have a part of it, they get their own."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for number, tensor in enumerate(_pairs_of(value).values()):
        plain = _plain(tensor, value)
        storage = plain.untyped_storage()
        is_alone = storage.nbytes() == plain.nbytes and storage.data_ptr() not in seen
        found[str(number)] = plain if is_alone else plain.clone()
        seen.add(storage.data_ptr())
    return found


class _FileOfOurOwn:
    """A file that a library writes by its path; it is gone with the object."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="trivet-")
        self.path = Path(self._folder.name) / _NAME
        weakref.finalize(self, self._folder.cleanup)

    def open(self) -> BinaryIO:
        """Open it."""
        return self.path.open("rb")


def _load(files: Files) -> object:
    library = import_module("safetensors.torch")
    torch = import_module("torch")
    try:
        tensors = library.load(files[_NAME])
    except import_module("safetensors").SafetensorError as error:
        raise Corrupt(
            f"stored tensors do not read back: {error}", hint="Run `trivet fsck`."
        ) from error
    said = json.loads(files[_META])
    made: dict[str, Tensor] = {}
    for number, (name, is_parameter, requires_grad) in enumerate(said["tensors"]):
        tensor = tensors[str(number)]
        made[name] = (
            torch.nn.Parameter(tensor, requires_grad=requires_grad)
            if is_parameter
            else tensor.requires_grad_(requires_grad)
        )
    if said["kind"] == "tensor":
        return made[""]
    return OrderedDict(made) if said["kind"] == "OrderedDict" else made


def _digest(value: object) -> str:
    torch = import_module("torch")
    state = sha256(_described(value))
    for tensor in _pairs_of(value).values():
        plain = _plain(tensor, value)
        state.update(repr((str(plain.dtype), tuple(plain.shape))).encode())
        if plain.numel():
            state.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


TENSORS = Materialiser(
    format="tensors.safetensors",
    accepts=lambda value: _is_tensor(value) or _are_tensors(value),
    save=_save,
    load=_load,
    digest=_digest,
)


def advice_for(value: object) -> str:
    """Say what to return instead of a module or another object of PyTorch; empty for others."""
    if is_instance(value, "torch.nn", "Module"):
        return (
            "Return module.state_dict(), and build the module from your code where it is used; or "
            "consent to pickle: @step(pickle=True)."
        )
    return ""
