"""A model's package: everything that is needed to run it and to know it, under one digest.

    trivet.json            manifest: what is inside, and how the model is run
    model/source.*         the exact form, in a format that executes nothing
    model/serving.onnx     what answers requests
    signature.json         the contract: inputs, task, classes
    golden.json            example rows and the answers they must give, bit for bit
    reference.json         what training data and held-out losses looked like, for monitors
    reports/parity.json    how far the two forms differ
    env/requirements.txt   the distributions that were installed where it was trained

A package holds nothing that changes from one packaging to the next: no time, no run, no
measured latency. The same candidate gives the same digest, and the registry says which run made
it. Numeric: imports NumPy through `session`.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import msgspec

from trivet.core.errors import Corrupt, Unsupported
from trivet.core.ports import Blobs
from trivet.core.trees import StoredFile, join_tree, load_tree, read_tree
from trivet.models.facts import InputType, Signature, Task
from trivet.models.session import ExecutionProfile, Session
from trivet.statistics.histogram import CategoryBins, NumericBins
from trivet.statistics.tally import Tally

FORMAT: Final = 1
MANIFEST: Final = "trivet.json"
SERVING: Final = "model/serving.onnx"
SIGNATURE: Final = "signature.json"
GOLDEN: Final = "golden.json"
REFERENCE: Final = "reference.json"
PARITY: Final = "reports/parity.json"
REQUIREMENTS: Final = "env/requirements.txt"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a package, and how its model is run."""

    format: int = FORMAT
    flavour: str
    task: Task
    source: str
    """Path of the exact form."""
    profile: ExecutionProfile
    files: dict[str, StoredFile]
    """Every file but this one: digest and size in bytes."""


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as a request would send them, and what the model must answer."""

    rows: tuple[dict[str, Any], ...]
    output: bytes
    """float32 little-endian, shape (rows, m), as the model answered when it was packaged."""


class ParityPart(msgspec.Struct, frozen=True, kw_only=True):
    """How far the serving form is from the original on one kind of rows."""

    rows: int
    largest: float
    """The greatest difference, in the unit that `ParityReport.unit` names."""
    beyond: float
    """Share of rows beyond the tolerance."""


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that the serving form answers as the original does."""

    tolerance: float
    unit: str
    parts: dict[str, ParityPart]
    """By kind of rows: `sample`, `missing`, `edges`."""
    row_by_row: bool = False
    """Whether rows must be run one by one to be independent of their batch."""

    @property
    def largest(self) -> float:
        """The greatest difference on any row."""
        return max(part.largest for part in self.parts.values())

    @property
    def holds(self) -> bool:
        """Whether no row is beyond the tolerance."""
        return all(part.beyond == 0 for part in self.parts.values())


class InputReference(msgspec.Struct, frozen=True, kw_only=True):
    """How an input was distributed in the training sample: counts over fixed bins."""

    name: str
    type: InputType
    edges: tuple[float, ...] = ()
    """For numbers: rising edges of `statistics.histogram.NumericBins`."""
    values: tuple[str, ...] = ()
    """For categories and booleans: the values of `CategoryBins`, as text."""
    counts: tuple[int, ...]

    @property
    def bins(self) -> NumericBins | CategoryBins:
        """The bins that `counts` belongs to."""
        return NumericBins(self.edges) if self.edges else CategoryBins(self.values)


class LossWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The losses of one day of held-out rows."""

    start_us: int
    """Midnight (UTC) of the day, microseconds since 1970."""
    rows: int
    losses: dict[str, Tally]
    """By loss; see `reference.day_losses`."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What monitors compare the present with."""

    rows: int
    """Rows of the training sample behind `inputs` and `output`."""
    inputs: tuple[InputReference, ...]
    """All inputs but dates, which move on by themselves."""
    output: InputReference
    """The model's answers on the sample: its number, or for `multiclass` the likeliest class."""
    windows: tuple[LossWindow, ...] = ()
    has_days: bool = False
    """Whether the windows are days; otherwise they are parts of rows that have no time."""
    loss_scale: float = 1.0
    """For regression: the error that counts as a loss of 1; greater ones count as 1, too."""


T = TypeVar("T")


class Package:
    """A package in memory, every file checked against its digest.

    Args:
        digest: The Merkle root: the model's identity.
        files: Path to content.

    Raises:
        Corrupt: The manifest is missing, does not decode, or names other files.
        Unsupported: It was written in another format.
    """

    def __init__(self, digest: str, files: Mapping[str, bytes]) -> None:
        self.digest = digest
        self._files = files
        self.size_bytes = sum(map(len, files.values()))
        self.manifest = self._read(MANIFEST, Manifest)
        if self.manifest.format != FORMAT:
            raise Unsupported(
                f"package {digest} has format {self.manifest.format}; this version reads {FORMAT}",
                code="other-format",
                hint="Upgrade Trivet to serve it.",
            )
        if set(self.manifest.files) | {MANIFEST} != set(files):
            raise Corrupt(
                f"package {digest} holds other files than its manifest names",
                code="bad-package",
                hint="Run `trivet fsck`.",
            )

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of all files, sorted."""
        return tuple(sorted(self._files))

    def file(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            Corrupt: The package has no such file.
        """
        try:
            return self._files[path]
        except KeyError:
            raise Corrupt(
                f"package {self.digest} has no file {path!r}",
                code="bad-package",
                hint="Package the model again from its run.",
            ) from None

    @property
    def onnx(self) -> bytes:
        """The serving form."""
        return self.file(SERVING)

    @property
    def source(self) -> bytes:
        """The exact form, for the flavour that the manifest names."""
        return self.file(self.manifest.source)

    @property
    def requirements(self) -> str:
        """The lock of the environment it was trained in."""
        return self.file(REQUIREMENTS).decode()

    @cached_property
    def signature(self) -> Signature:
        """The contract."""
        return self._read(SIGNATURE, Signature)

    @cached_property
    def golden(self) -> Golden:
        """Rows and the answers they must give."""
        return self._read(GOLDEN, Golden)

    @cached_property
    def parity(self) -> ParityReport:
        """How far serving form and source differ."""
        return self._read(PARITY, ParityReport)

    @cached_property
    def reference(self) -> Reference:
        """What monitors compare the present with."""
        return self._read(REFERENCE, Reference)

    def session(self) -> Session:
        """Load the serving form, to be run as its profile says."""
        return Session(self.onnx, row_by_row=self.manifest.profile.row_by_row)

    def _read(self, path: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self.file(path), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(
                f"file {path!r} of package {self.digest} does not decode: {error}",
                code="bad-package",
                hint="Package the model again from its run.",
            ) from error


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode_file(value: msgspec.Struct) -> bytes:
    """Encode a part of a package; equal values give equal bytes."""
    return msgspec.json.format(_encode(value), indent=1) + b"\n"


def write_package(
    blobs: Blobs,
    files: Mapping[str, bytes],
    *,
    flavour: str,
    task: Task,
    source: str,
    profile: ExecutionProfile,
) -> Package:
    """Store a package durably.

    Args:
        blobs: Where the bytes go.
        files: Everything but the manifest, by path.
        flavour: The flavour that reads the source.
        task: What the model answers.
        source: Path of the exact form among `files`.
        profile: How the model is run.
    """
    stored = {path: StoredFile(blobs.put(data), len(data)) for path, data in sorted(files.items())}
    manifest = Manifest(flavour=flavour, task=task, source=source, profile=profile, files=stored)
    content = encode_file(manifest)
    everything = {**stored, MANIFEST: StoredFile(blobs.put(content), len(content))}
    return Package(join_tree(blobs, everything).digest, {**files, MANIFEST: content})


def open_package(blobs: Blobs, digest: str) -> Package:
    """Read a package whole; each file's bytes are checked against their digest.

    Raises:
        NotFound: No package has this digest.
        Corrupt: A file is not as it was recorded.
    """
    package = Package(digest, load_tree(blobs, digest))
    stored = read_tree(blobs, digest)
    if any(stored[path] != file for path, file in package.manifest.files.items()):
        raise Corrupt(
            f"the manifest of package {digest} names other bytes than the package holds",
            code="bad-package",
            hint="Run `trivet fsck`.",
        )
    return package
