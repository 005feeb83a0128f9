"""What other stores hold, and what takes what we hold: found by their addresses."""

import os
from collections.abc import Sequence
from pathlib import Path

from trivet.adapters.mlflow.calling import Caller, Credentials
from trivet.adapters.mlflow.databases import PostgresTables, SqliteTables, sqlite_path
from trivet.adapters.mlflow.folders import FolderHoldings
from trivet.adapters.mlflow.receiving import ServerReceiver
from trivet.adapters.mlflow.server import ServerHoldings
from trivet.adapters.mlflow.tables import TableHoldings
from trivet.adapters.tensorboard.holdings import EventHoldings
from trivet.adapters.wandb.folders import LogHoldings
from trivet.adapters.wandb.tables import ExportHoldings
from trivet.core.errors import Invalid
from trivet.core.moving import Holdings, Receiver


def mlflow_holdings(source: str, roots: Sequence[Path]) -> Holdings:
    """Open what MLflow keeps: in a database, a folder, or behind a server's address.

    Args:
        source: `sqlite:///path`, `postgresql://…`, `http://…`, or a folder.
        roots: Folders below which artifacts may be read, besides those of the source.

    Raises:
        Invalid: The source is none of these.
        NotFound: There is no such file or folder.
        Unsupported: A library is missing, or the tables are of a version that is not known.
        Unavailable: The database or server does not answer.
    """
    scheme = source.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite":
        path = sqlite_path(source)
        # What MLflow makes beside its database, and not all that lies there.
        beside = [path.resolve().parent / name for name in ("mlruns", "mlartifacts", "artifacts")]
        return TableHoldings(SqliteTables(path), [*beside, *roots])
    if scheme in {"postgresql", "postgres"}:
        return TableHoldings(PostgresTables(source), roots)
    if scheme in {"http", "https"}:
        return ServerHoldings(mlflow_caller(source), roots)
    if "://" in source and scheme != "file":
        raise Invalid(
            f"{scheme}:// is no store of MLflow that can be imported",
            code="bad-source",
            hint="Pass sqlite:///FILE, postgresql://..., http://..., or the folder mlruns.",
        )
    return FolderHoldings(Path(source.removeprefix("file://")), roots)


def tensorboard_holdings(folder: Path, experiment: str) -> Holdings:
    """Open a folder of TensorBoard's event files.

    Raises:
        NotFound: There is no such folder.
        Invalid: There is no event file in it.
    """
    return EventHoldings(folder, experiment)


def wandb_holdings(path: Path, experiment: str) -> Holdings:
    """Open a folder of W&B's client, or a table that W&B exported.

    Raises:
        NotFound: There is no such file or folder.
        Invalid: It is neither.
        Unsupported: A library is missing that reads it.
    """
    return LogHoldings(path, experiment) if path.is_dir() else ExportHoldings(path, experiment)


def mlflow_caller(url: str) -> Caller:
    """Return what calls a server of MLflow, with the credentials that its own client would send."""
    credentials = Credentials(
        token=os.environ.get("MLFLOW_TRACKING_TOKEN", ""),
        user=os.environ.get("MLFLOW_TRACKING_USERNAME", ""),
        password=os.environ.get("MLFLOW_TRACKING_PASSWORD", ""),
    )
    return Caller(url, credentials)


def mlflow_receiver(url: str) -> Receiver:
    """Return what sends to a server of MLflow.

    Raises:
        Invalid: It is no address of http or https.
    """
    return ServerReceiver(mlflow_caller(url))
