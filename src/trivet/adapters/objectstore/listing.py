"""The `Listing` of buckets, through `obstore`.

Who may look is the environment's business: variables such as AWS_ACCESS_KEY_ID, a role of the
machine, a workload identity. Nothing of it is stored, and a URL with a password is refused.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from trivet.core.errors import Invalid, NotFound, Unavailable, Unsupported
from trivet.core.ports import Listed

SCHEMES = ("s3", "gs", "az")
_TIMEOUT_S = 20


class ObjectListing:
    """Lists `s3://bucket/prefix`, `gs://bucket/prefix` and `az://account/container/prefix`."""

    def __init__(self) -> None:
        self._stores: dict[str, Any] = {}

    def list(self, place: str, *, deep: bool = True) -> Iterator[Listed]:
        _check(place)
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError as error:
            raise Unsupported(
                "buckets need the library 'obstore', which is not installed",
                code="no-library",
                hint="Install it: `pip install 'trivet[objects]'`.",
            ) from error
        try:
            store = self._store(place)
            if deep:
                for chunk in obstore.list(store):
                    yield from _described(chunk)
            else:
                yield from _described(obstore.list_with_delimiter(store)["objects"])
        except (BaseError, OSError) as error:
            raise _told(place, error) from error

    def _store(self, place: str) -> Any:
        if place not in self._stores:
            from obstore.store import from_url

            limit = timedelta(seconds=_TIMEOUT_S)
            self._stores[place] = from_url(
                place,
                client_options={
                    "timeout": limit,
                    "connect_timeout": timedelta(seconds=5),
                    # Options that are given hide the variable, so it is read here.
                    "allow_http": _allows_http(),
                },
                retry_config={"max_retries": 2, "retry_timeout": limit},
            )
        return self._stores[place]


def _described(chunk: Sequence[Mapping[str, Any]]) -> Iterator[Listed]:
    for item in chunk:
        path = cast("str", item["path"])
        if any(part.startswith(".") for part in path.split("/")):
            continue
        modified = cast("datetime", item["last_modified"])
        # Some stores name no ETag for some objects.
        yield Listed(path, item["size"], item.get("e_tag") or modified.isoformat())


def _allows_http() -> bool:
    """Say whether the environment lets credentials travel unencrypted, to a store of one's own."""
    names = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "ALLOW_HTTP")
    return any(os.environ.get(name, "").lower() in {"1", "true"} for name in names)


def _check(place: str) -> None:
    url = urlsplit(place)
    if url.scheme not in SCHEMES or not url.hostname or "?" in place or "#" in place:
        raise Invalid(
            f"place {place.partition('?')[0]!r} is no bucket; expected s3://, gs:// or az:// with "
            "a name",
            code="bad-place",
            hint="For example s3://company-data/incoming.",
        )
    if "@" in url.netloc:
        raise Invalid(
            "place has a user or password in its URL; credentials are never stored",
            code="bad-place",
            hint="Put them into the environment of `trivet up`, for example AWS_ACCESS_KEY_ID.",
        )


def _told(place: str, error: Exception) -> NotFound | Unavailable:
    text = str(error)
    if "NoSuchBucket" in text or "404 Not Found" in text or isinstance(error, FileNotFoundError):
        return NotFound(
            f"there is no bucket for {place!r}",
            code="no-bucket",
            hint="Look at its name and region, and at AWS_ENDPOINT_URL for stores of your own.",
        )
    word = "refused" if "403" in text or isinstance(error, PermissionError) else "did not answer"
    return Unavailable(
        f"the store of {place!r} {word}",
        code="no-listing",
        hint="Look at the credentials in the environment of `trivet up`, and at the network.",
        detail={"said": text.partition("\n")[0][:300]},
    )
