"""ONNX models between steps, as the bytes they are exchanged in."""

from collections.abc import Mapping
from typing import Any, Final

from trivet.core.errors import Corrupt

_FILE: Final = "model.onnx"


class OnnxProtos:
    """`onnx.ModelProto`. Weights in files of their own are not followed: they stay names."""

    format = "model.onnx"
    library = "onnx"

    def accepts(self, value: object) -> bool:
        kind = type(value)
        return kind.__name__ == "ModelProto" and kind.__module__.partition(".")[0] == "onnx"

    def save(self, value: Any) -> Mapping[str, bytes]:
        return {_FILE: value.SerializeToString(deterministic=True)}

    def load(self, files: Mapping[str, bytes]) -> object:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            return onnx.load_model_from_string(files[_FILE])
        except DecodeError as error:
            raise Corrupt(
                f"a stored ONNX model does not read back: {error}", hint="Run `trivet fsck`."
            ) from error
