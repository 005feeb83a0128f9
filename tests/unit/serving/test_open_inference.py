"""The protocol as its specification and its clients have it: JSON and binary, there and back."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.serving.tensors import Tensor, pack, read_tensors

INFER = "/v2/models/late/infer"
LENGTH = b"inference-header-content-length"
DATATYPES = {
    "distance": "FP64", "stops": "INT64", "weekend": "BOOL", "origin": "BYTES", "carrier": "BYTES",
}  # fmt: skip


def columns(rows: Any, **parameters: Any) -> dict[str, Any]:
    """Ask with one tensor per input, in JSON."""
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": datatype,
            "data": [row[name] for row in rows],
        }
        for name, datatype in DATATYPES.items()
    ]
    return {"inputs": inputs} | ({"parameters": parameters} if parameters else {})


def binary(asked: dict[str, Any]) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Move the values of a request behind its JSON; return body and headers."""
    tails = []
    inputs = []
    for tensor in asked["inputs"]:
        data = pack(tensor["datatype"], tensor.pop("data"))
        inputs.append(tensor | {"parameters": {"binary_data_size": len(data)}})
        tails.append(data)
    head = json.dumps(asked | {"inputs": inputs}).encode()
    return b"".join((head, *tails)), ((LENGTH, str(len(head)).encode()),)


def split(answer: Any) -> tuple[dict[str, Any], bytes]:
    """Take an answer with binary outputs apart."""
    at = int(answer.headers[LENGTH])
    return json.loads(answer.body[:at]), answer.body[at:]


def output(answer: Any, name: str = "output") -> Any:
    return next(item for item in answer.json["outputs"] if item["name"] == name)


def expected(served: Any, rows: Any) -> list[float]:
    answer = served.ask("POST", "/predict/late", {"rows": rows})
    return [item["probability"] for item in answer.json["predictions"]]


# ------------------------------------------------------------------ there and back


def test_json_tensors_are_answered_with_the_same_bits_as_rows(served: Any, rows: Any) -> None:
    answer = served.ask("POST", INFER, columns(rows(5)) | {"id": "r1"})
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"application/json"
    assert (answer.json["id"], answer.json["model_name"]) == ("r1", "late")
    assert answer.json["model_version"] == "1"
    assert output(answer)["data"] == expected(served, rows(5))
    assert (output(answer)["shape"], output(answer)["datatype"]) == ([5, 1], "FP32")
    ids = output(answer, "prediction_id")["data"]
    kept = served.logged()[:5]
    assert ids == [item.id for item in kept]
    assert [item.inputs for item in kept] == [tuple(row.values()) for row in rows(5)]
    assert answer.headers[b"trivet-prediction-id"] == ids[0].encode()


def test_binary_tensors_go_in_and_come_out_with_the_same_bits(served: Any, rows: Any) -> None:
    asked = columns(rows(7), binary_data_output=True)
    body, headers = binary(asked)
    answer = served.ask("POST", INFER, body, headers=headers)
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"application/octet-stream"
    head, tail = split(answer)
    first, second = head["outputs"]
    size = first["parameters"]["binary_data_size"]
    assert "data" not in first
    assert (size, first["shape"]) == (28, [7, 1])
    assert list(struct.unpack("<7f", tail[:size])) == expected(served, rows(7))
    assert len(tail) == size + second["parameters"]["binary_data_size"]
    tensor = Tensor(name="ids", shape=[7], datatype="BYTES", parameters=second["parameters"])
    (_, ids) = read_tensors([tensor], tail[size:])["ids"]
    assert ids == [item.id for item in served.logged()[:7]]


def test_json_and_binary_may_be_mixed_in_one_request_and_one_answer(served: Any, rows: Any) -> None:
    asked = columns(rows(2))
    in_json, in_binary = asked["inputs"][:2], asked["inputs"][2:]
    body, _ = binary({"inputs": in_binary})
    tail = body[body.rindex(b"}") + 1 :]
    described = json.loads(body[: len(body) - len(tail)])["inputs"]
    wanted = [{"name": "prediction_id"}, {"name": "output", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": in_json + described, "outputs": wanted}).encode()
    headers = ((LENGTH, str(len(head)).encode()),)
    answer = served.ask("POST", INFER, head + tail, headers=headers)
    found, found_tail = split(answer)
    assert [item["name"] for item in found["outputs"]] == ["prediction_id", "output"]
    assert "data" in found["outputs"][0]
    assert list(struct.unpack("<2f", found_tail)) == expected(served, rows(2))


def test_the_json_part_may_be_padded_with_spaces(served: Any, rows: Any) -> None:
    body, headers = binary(columns(rows(1)))
    at = int(headers[0][1])
    padded = body[:at] + b"   " + body[at:]
    answer = served.ask("POST", INFER, padded, headers=((LENGTH, b"%d" % (at + 3)),))
    assert answer.status == 200


def test_nested_and_flat_data_are_the_same(served: Any, rows: Any) -> None:
    nested = columns(rows(3))
    for tensor in nested["inputs"]:
        tensor["shape"] = [3, 1]
        tensor["data"] = [[value] for value in tensor["data"]]
    assert output(served.ask("POST", INFER, nested))["data"] == expected(served, rows(3))


def test_null_is_a_missing_value_where_the_model_allows_one(served: Any, row: Any) -> None:
    row["distance"] = None
    answer = served.ask("POST", INFER, columns([row]))
    assert output(answer)["data"] == expected(served, [row])
    row["stops"] = None
    assert served.ask("POST", INFER, columns([row])).code == "missing-value"


def test_nan_in_a_binary_tensor_is_a_missing_value(served: Any, row: Any) -> None:
    asked = columns([row | {"distance": float("nan")}])
    body, headers = binary(asked)
    answer = served.ask("POST", INFER, body, headers=headers)
    assert output(answer)["data"] == expected(served, [row | {"distance": None}])


def test_unknown_members_are_ignored_and_the_path_wins_over_the_body(served: Any, row: Any) -> None:
    asked = columns([row]) | {"model_name": "other", "model_version": "9", "extra": {"a": 1}}
    asked["outputs"] = [{"name": "output", "datatype": "FP64", "shape": [9]}]
    answer = served.ask("POST", INFER, asked)
    assert answer.json["model_name"] == "late"
    assert [item["name"] for item in answer.json["outputs"]] == ["output"]


def test_an_answer_has_an_identifier_when_the_request_had_none(served: Any, row: Any) -> None:
    assert len(served.ask("POST", INFER, columns([row])).json["id"]) == 32


def test_a_version_in_the_path_answers_whatever_the_shares_say(
    served: Any, candidate: Any, rows: Any
) -> None:
    served.releases.shadow("late", served.model(candidate), why="try it")
    assert served.ask("POST", "/v2/models/late/versions/2/infer", columns(rows(1))).status == 404
    served.releases.canary("late", 0.01, why="try it on some")
    for version in ("1", "2", "candidate"):
        path = f"/v2/models/late/versions/{version}/infer"
        answer = served.ask("POST", path, columns(rows(3)))
        assert answer.json["model_version"] == {"candidate": "2"}.get(version, version)
    assert {item.assignment for item in served.logged()} == {"explicit"}
    answer = served.ask("POST", "/v2/models/late/versions/3/infer", columns(rows(1)))
    assert (answer.status, answer.code) == (404, "no-version")


def test_a_unit_is_the_same_as_text_and_as_a_whole_number(served: Any, row: Any) -> None:
    for unit in ("7", 7):
        served.ask("POST", INFER, columns([row], unit=unit))
    assert [item.unit for item in served.logged()] == ["7", "7"]


def test_metadata_describes_exactly_what_is_taken_and_answered(served: Any, rows: Any) -> None:
    found = served.ask("GET", "/v2/models/late").json
    assert found["name"] == "late"
    assert found["versions"] == ["1"]
    assert {item["name"]: item["datatype"] for item in found["inputs"]} == DATATYPES
    assert all(item["shape"] == [-1, 1] for item in found["inputs"])
    answer = served.ask("POST", INFER, columns(rows(2)))
    promised = {item["name"]: item["datatype"] for item in found["outputs"]}
    assert {item["name"]: item["datatype"] for item in answer.json["outputs"]} == promised
    server = served.ask("GET", "/v2").json
    assert set(server) == {"name", "version", "extensions"}
    assert server["extensions"] == ["binary_tensor_data"]
    assert served.ask("GET", "/v2/models/late/ready").json == {"name": "late", "ready": True}


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2]},
        {"shape": [1, 2]},
        {"shape": [-1]},
        {"shape": []},
        {"shape": [1] * 9},
        {"shape": [0], "data": []},
        {"shape": [2**40]},
        {"datatype": "FP12"},
        {"datatype": "INT8", "data": [128]},
        {"datatype": "UINT8", "data": [-1]},
        {"datatype": "INT64", "data": [1.5]},
        {"datatype": "INT64", "data": [True]},
        {"datatype": "FP32", "data": ["1"]},
        {"datatype": "FP16", "data": [1.0]},
        {"datatype": "BYTES", "data": [1]},
        {"name": "nonsense"},
        {"data": None},
        {"parameters": {"binary_data_size": 8}},
        {"data": [[[]]]},
    ],
)
def test_a_tensor_that_contradicts_itself_is_a_400_with_an_error(
    served: Any, row: Any, change: Any
) -> None:
    asked = columns([row])
    asked["inputs"][0].update(change)
    answer = served.ask("POST", INFER, asked)
    assert answer.status == 400
    assert isinstance(answer.json["error"], str)
    assert served.logged() == []


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": []},
        {"inputs": None},
        {"outputs": [{"name": "nonsense"}]},
        {"parameters": {"unit": [1]}},
        {"id": 5},
    ],
)
def test_a_request_that_the_protocol_does_not_allow_is_a_400_and_predicts_nothing(
    served: Any, row: Any, change: Any
) -> None:
    answer = served.ask("POST", INFER, columns([row]) | change)
    assert answer.status == 400
    assert isinstance(answer.json["error"], str)
    assert served.logged() == []


def test_an_input_that_is_given_twice_is_refused(served: Any, row: Any) -> None:
    asked = columns([row])
    asked["inputs"].append(asked["inputs"][0])
    assert served.ask("POST", INFER, asked).code == "bad-request"


@pytest.mark.parametrize("length", [b"-1", b"x", b"0", b"1e3", b"", b"9" * 5000, b"1000000"])
def test_a_header_that_is_no_length_of_the_json_part_is_refused(
    served: Any, row: Any, length: bytes
) -> None:
    body, _ = binary(columns([row]))
    answer = served.ask("POST", INFER, body, headers=((LENGTH, length),))
    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize("cut", [-1, 1])
def test_a_body_with_too_few_or_too_many_bytes_is_refused(served: Any, row: Any, cut: int) -> None:
    body, headers = binary(columns([row]))
    wrong = body[:cut] if cut < 0 else body + b"x"
    answer = served.ask("POST", INFER, wrong, headers=headers)
    assert (answer.status, answer.code) == (400, "bad-request")


def test_more_rows_than_allowed_are_refused_as_too_large(served: Any, row: Any) -> None:
    asked = columns([row])
    asked["inputs"][0] |= {"shape": [10_001], "data": [1.0]}
    assert served.ask("POST", INFER, asked).status == 413


# ------------------------------------------------------------------ tensors

KINDS = {
    "BOOL": st.booleans(),
    "UINT8": st.integers(0, 2**8 - 1),
    "UINT16": st.integers(0, 2**16 - 1),
    "UINT32": st.integers(0, 2**32 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "INT8": st.integers(-(2**7), 2**7 - 1),
    "INT16": st.integers(-(2**15), 2**15 - 1),
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FP32": st.floats(width=32, allow_nan=False),
    "FP64": st.floats(allow_nan=False),
    "BYTES": st.text(),
}


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, list[int], list[Any]]:
    datatype = draw(st.sampled_from(sorted(KINDS)))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    count = int(np.prod(shape))
    return datatype, shape, draw(st.lists(KINDS[datatype], min_size=count, max_size=count))


@given(tensors())
def test_every_datatype_reads_the_same_from_json_and_from_binary(
    given_tensor: tuple[str, list[int], list[Any]],
) -> None:
    datatype, shape, values = given_tensor
    raw = pack(datatype, values)
    parameters = {"binary_data_size": len(raw)}
    flat = Tensor(name="x", shape=shape, datatype=datatype, data=values)
    packed = Tensor(name="x", shape=shape, datatype=datatype, parameters=parameters)
    from_json = read_tensors([flat], b"")["x"]
    from_binary = read_tensors([packed], raw)["x"]
    assert from_json == from_binary == (shape, values)
    types = [type(value) for value in values]
    assert [type(value) for value in from_binary[1]] == types


@given(st.binary(max_size=40), st.integers(1, 4))
def test_bytes_that_are_no_list_of_texts_never_get_through(raw: bytes, count: int) -> None:
    parameters = {"binary_data_size": len(raw)}
    tensor = Tensor(name="x", shape=[count], datatype="BYTES", parameters=parameters)
    try:
        shape, values = read_tensors([tensor], raw)["x"]
    except Invalid:
        return
    assert (len(values), shape) == (count, [count])
    assert pack("BYTES", values) == raw
