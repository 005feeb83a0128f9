"""PyTorch: tensors and state dicts as safetensors; modules are refused with advice."""

from collections import OrderedDict
from typing import Any

import pytest

from trivet.core.errors import Corrupt, Invalid
from trivet.pipelines.materialising.values import Form, Values

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

values = Values()


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


KINDS = ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_tensors_come_back(kind: str, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape, dtype=getattr(torch, kind))
    again = there_and_back([tensor])[0]
    assert type(again) is torch.Tensor
    assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(again, tensor)
    assert digest(again) == digest(tensor)


def test_views_parts_and_gradients_come_back() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    for view in (whole.T, whole[:, 1], whole[1:], whole.expand(2, 3, 4)):
        assert torch.equal(there_and_back(view), view)
        assert digest(view) == digest(view.clone())
    assert there_and_back(torch.ones(2, requires_grad=True)).requires_grad
    weight = torch.nn.Parameter(torch.ones(2))
    again = there_and_back(weight)
    assert type(again) is torch.nn.Parameter
    assert digest(weight) != digest(weight.detach())


def test_a_state_dict_is_one_file_and_keeps_its_order() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    form = values.save({"weights": module.state_dict()}, "x")
    assert set(form.files) == {"value.json", "0/tensors.safetensors", "0/tensors.json"}
    again: Any = values.load(form)
    state = again["weights"]
    assert type(state) is OrderedDict
    assert list(state) == list(module.state_dict())
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    other.load_state_dict(state)
    rows = torch.ones(4, 3)
    assert torch.equal(other.eval()(rows), module.eval()(rows))
    assert digest(state) == digest(module.state_dict())
    assert digest(state) != digest(dict(state))


def test_tensors_that_share_their_storage_come_back() -> None:
    shared = torch.ones(3)
    again = there_and_back({"a": shared, "b": shared, "c": shared[:2]})
    assert torch.equal(again["b"], shared)
    assert again["c"].shape == (2,)


def test_large_tensors_are_streamed() -> None:
    tensors = {"a": torch.rand(5 << 20), "b": torch.rand(3)}
    form = values.save(tensors, "x")
    assert not isinstance(form.files["tensors.safetensors"], bytes)
    again: Any = values.load(form)
    assert torch.equal(again["a"], tensors["a"])


def test_tensors_that_differ_are_told_apart() -> None:
    tensor = torch.ones(2, 3)
    others = [
        tensor,
        tensor.double(),
        tensor.reshape(3, 2),
        tensor * 2,
        {"a": tensor},
        {"b": tensor},
    ]
    assert len({digest(other) for other in others}) == len(others)


def test_a_module_is_refused_with_advice() -> None:
    with pytest.raises(Invalid, match="Linear") as refused:
        values.save({"model": torch.nn.Linear(2, 1)}, "what step 'fit' returned")
    assert "state_dict()" in refused.value.hint
    assert "result['model']" in refused.value.message
    with pytest.raises(Invalid, match="sparse") as refused:
        values.save(torch.eye(2).to_sparse(), "x")
    assert "to_dense" in refused.value.hint


def test_damaged_tensors_are_damaged() -> None:
    files = {"tensors.safetensors": b"no tensors", "tensors.json": b"{}"}
    with pytest.raises(Corrupt):
        values.load(Form("tensors.safetensors", files))
