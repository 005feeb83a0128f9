"""Which of a distributed training's processes this is, by the variables that launchers set."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import check_id, sha256_hex

RUN: Final = "TRIVET_RUN"
"""Names the run that all processes of a job report to, for launchers that tell jobs apart by
nothing: 32 hexadecimal digits, or any text that no other job has."""
_PAIRS: Final = (
    ("RANK", "WORLD_SIZE"),  # torchrun, accelerate, DeepSpeed, and most others
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
)
_SLURM: Final = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_STEP_ID")
_NO_RENDEZVOUS: Final = frozenset({"", "none"})
"""What torchrun says when nobody gave its rendezvous an identifier."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A process among those of one training."""

    rank: int = 0
    size: int = 1


def place_of_process(environment: Mapping[str, str] = os.environ) -> Place:
    """Return which rank this process is, of how many; rank 0 of 1 where no launcher says.

    Raises:
        Invalid: A launcher's variables make no sense.
    """
    for rank, size in _PAIRS:
        if rank in environment and size in environment:
            return _place((rank, environment[rank]), (size, environment[size]))
    return Place()


def run_of_job(ordinal: int, environment: Mapping[str, str] = os.environ) -> str:
    """Return the identifier of a run that every process of this job comes to by itself.

    Args:
        ordinal: The how-manieth shared run of this process it is, from 0.
        environment: The process's variables.

    Raises:
        Invalid: Nothing tells this job from others (code `no-job`).
    """
    named = environment.get(RUN, "")
    if named and not ordinal:
        try:
            return check_id(named)
        except Invalid:
            pass
    job = [named] if named else _job(environment)
    if not job:
        raise Invalid(
            "nothing tells the processes of this job from those of others; expected torchrun, "
            f"Slurm, Open MPI, or the variable {RUN}",
            code="no-job",
            hint=f"Set {RUN} to a text of this job alone, or give torchrun --rdzv-id; or hand "
            "the identifier of rank 0's run to the others, who join it.",
        )
    return sha256_hex(b"run of a job", *(part.encode() for part in (*job, str(ordinal))))[:32]


def _job(environment: Mapping[str, str]) -> list[str]:
    """Return what names the job, and nothing else that ever ran or will."""
    if "TORCHELASTIC_RUN_ID" in environment or "LOCAL_WORLD_SIZE" in environment:
        return _torch_job(environment)
    if "SLURM_JOB_ID" in environment:
        return ["slurm", *(environment.get(name, "") for name in _SLURM)]
    if "OMPI_COMM_WORLD_RANK" in environment or "PMI_RANK" in environment:
        size = environment.get("OMPI_COMM_WORLD_SIZE", environment.get("PMI_SIZE", ""))
        local = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE", environment.get("MPI_LOCALNRANKS"))
        return _launcher() if size == local else []
    return []


def _torch_job(environment: Mapping[str, str]) -> list[str]:
    if environment.get("LOCAL_WORLD_SIZE") == environment.get("WORLD_SIZE"):
        return _launcher()  # one machine, one launcher
    rendezvous = environment.get("TORCHELASTIC_RUN_ID", "")
    if rendezvous in _NO_RENDEZVOUS:
        return []
    # People write the same identifier again and again; the place where ranks meet is a new one.
    places = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID")
    if "SLURM_JOB_ID" not in environment:
        places = ("MASTER_ADDR", "MASTER_PORT")
    return ["torch", rendezvous, *(environment.get(name, "") for name in places)]


def _launcher() -> list[str]:
    """Name the parent process among all that ever ran on this machine; empty where nobody can."""
    parent = os.getppid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name of the program may hold anything; what follows it begins behind the last bracket.
    return ["launcher", boot, str(parent), stat.rpartition(")")[2].split()[19]]


def _place(rank: tuple[str, str], size: tuple[str, str]) -> Place:
    for name, text in (rank, size):
        if not (text.isascii() and text.isdigit()):
            raise Invalid(f"{name} is {text!r}; expected a whole number", code="bad-rank")
    place = Place(rank=int(rank[1]), size=int(size[1]))
    if place.rank >= place.size:
        raise Invalid(
            f"{rank[0]} is {rank[1]} and {size[0]} is {size[1]}; expected a rank below the size",
            code="bad-rank",
        )
    return place
