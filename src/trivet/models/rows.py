"""From a request's rows to the model's matrix: no data frame, one converter per field.

The converters are chosen once, when the encoder is made; a row of thirty fields then costs a few
microseconds. `encoding.Encoder` does the same for whole tables, with the same bits. What each
type of input becomes is said in `conversion`. Numeric: imports NumPy.
"""

import difflib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid, TrivetError
from trivet.models.conversion import NAN, converter_of, expected_of, features_of
from trivet.models.facts import Input, Signature

Matrix = npt.NDArray[np.float32]
Row = Mapping[str, Any] | Sequence[Any]
"""A row by field names, or its values in the order of the signature."""


class RowEncoder:
    """Turns rows as people write them into float32 features.

    Args:
        signature: The model's contract.

    Raises:
        Invalid: The signature has no input, or two of one name.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.names = tuple(item.name for item in signature.inputs)
        if not self.names or len(set(self.names)) < len(self.names):
            raise Invalid(
                f"the signature has {len(self.names)} inputs under {len(set(self.names))} names; "
                "expected at least one input, each with a name of its own",
                code="bad-signature",
                hint="Fit the signature again, from a table with distinct column names.",
            )
        self.features = tuple(name for item in signature.inputs for name in features_of(item))
        self.sources = tuple(item for item in signature.inputs for _ in features_of(item))
        """The input behind each feature."""
        self.categorical = tuple(
            at for at, item in enumerate(self.sources) if item.type == "category"
        )
        """Positions of the features that are category codes, for libraries that want to know."""
        self._converters = tuple(converter_of(item) for item in signature.inputs)
        self._has_dates = any(item.type == "datetime" for item in signature.inputs)
        self._pick: Callable[[Mapping[str, Any]], Sequence[Any]] = (
            itemgetter(*self.names)
            if len(self.names) > 1
            else lambda row: [row[name] for name in self.names]
        )
        self._lenient = tuple(
            (at, item.name, converter_of(item))
            for at, item in enumerate(signature.inputs)
            if item.type == "category" and item.unknown == "missing"
        )

    def encode_rows(self, rows: Sequence[Row]) -> Matrix:
        """Encode rows.

        Args:
            rows: n >= 1 rows, each a mapping of field names or the values in signature order.

        Returns:
            Shape (n, k), C order; k is `len(features)`.

        Raises:
            Invalid: A field is absent, unknown, of a wrong type, or missing where the model was
                trained without missing values; `detail` has `field` and `row`.
        """
        flat: list[float] = []
        converters = self._converters
        row_number = 0
        try:
            for row_number, row in enumerate(rows):  # noqa: B007  # the error's place
                values = self.arrange(row)
                encoded = [
                    convert(value) for convert, value in zip(converters, values, strict=True)
                ]
                flat.extend(_flattened(encoded) if self._has_dates else encoded)
        except Invalid as error:
            raise _in_row(error, row_number, len(rows)) from None
        # array converts each number to double and then to single, as the columns of a table are.
        matrix = np.frombuffer(array("f", flat), dtype=np.float32)
        return matrix.reshape(len(rows), len(self.features))

    def arrange(self, row: Row) -> Sequence[Any]:
        """Return a row's values in the order of the signature, as they were received.

        Raises:
            Invalid: A field is absent or unknown, or there are too many or too few values.
        """
        if isinstance(row, Mapping):
            try:
                values = self._pick(row)
            except KeyError as error:
                raise self._absent(str(error.args[0]), row) from None
            if len(row) != len(self.names):
                raise self._unknown(row)
            return values
        if isinstance(row, str | bytes) or len(row) != len(self.names):
            raise Invalid(
                f"a row is a {type(row).__name__} of {len(row)} values; expected "
                f"{len(self.names)} values, or an object of named fields",
                code="wrong-row",
                hint=f"Send the fields by name: {', '.join(self.names)}.",
            )
        return row

    def unknown_in(self, values: Sequence[Any]) -> tuple[str, ...]:
        """Name the inputs of an arranged row whose category was not seen in training.

        Only inputs that take such a value as missing are named; the others refuse it.
        """
        return tuple(
            name
            for at, name, convert in self._lenient
            if values[at] is not None and convert(values[at]) is NAN
        )

    def _absent(self, name: str, row: Mapping[str, Any]) -> Invalid:
        near = difflib.get_close_matches(name, [str(key) for key in row], n=1)
        renamed = bool(near) and near[0] not in self.names
        return Invalid(
            f"field {name!r} is absent; expected {expected_of(self._input(name))}",
            code="absent-field",
            hint=f"Rename {near[0]!r} to {name!r}."
            if renamed
            else "Send the field, or null where the value is not known.",
            detail={"field": name},
        )

    def _unknown(self, row: Mapping[str, Any]) -> Invalid:
        extra = sorted(str(key) for key in row if key not in self.names)
        near = difflib.get_close_matches(extra[0], self.names, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        return Invalid(
            f"field {extra[0]!r} is no input of this model",
            code="unknown-field",
            hint=f"{meant}Leave it out; the inputs are: {', '.join(self.names)}.",
            detail={"field": extra[0], "unknown": extra},
        )

    def _input(self, name: str) -> Input:
        return next(item for item in self.signature.inputs if item.name == name)


def _flattened(encoded: Iterable[Any]) -> Iterable[float]:
    for value in encoded:
        if type(value) is tuple:
            yield from value
        else:
            yield value


def _in_row(error: TrivetError, number: int, rows: int) -> TrivetError:
    where = f"row {number}: " if rows > 1 else ""
    return type(error)(
        where + error.message,
        code=error.code,
        hint=error.hint,
        detail={**error.detail, "row": number},
    )
