"""What to tell a person whom a remote store turns away: which terms, which variable."""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

_REFUSED: Final = frozenset({401, 403})
_SILENCE: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "EndpointConnectionError"}
)
"""Errors of httpx, aiohttp and botocore, none of which is always installed, by their names."""

_WITHOUT_RANGES: Final = "support range requests"
"""What fsspec says of a web server that ignores them."""

_HUB: Final = re.compile(r"hf://(?P<page>(?:datasets/|spaces/)?[^/@]+/[^/@]+)")


@contextlib.contextmanager
def explained(root: str, *, key: str) -> Iterator[None]:
    """Turn a refusal by a remote store, or its silence, into one line that names the remedy.

    Libraries hide it below others: a gated data set of the Hub, for one, arrives as "not found". So
    the whole chain of causes is searched.

    Args:
        root: What was to be read.
        key: Name of the parameter, for the message.

    Raises:
        ConnectionError: Nobody answered.
        OSError: A web server does not send parts of files.
        PermissionError: The store answered 401 or 403, there are no credentials to show, or the
            Hub's client is set to be offline.
    """
    try:
        yield
    except Exception as error:
        problem = next(filter(None, (_problem(each, root) for each in _chain(error))), None)
        if problem is None:
            raise
        raise type(problem)(f"{key}: {problem}") from error


def _problem(error: BaseException, root: str) -> OSError | None:
    name = type(error).__name__
    if "OfflineModeIsEnabled" in f"{name} {error}":  # datasets only quotes it
        return PermissionError(
            f"{root!r} is on the Hugging Face Hub, and HF_HUB_OFFLINE is set: set it to 0"
        )
    if _WITHOUT_RANGES in str(error):
        return OSError(
            f"the server of {root!r} sends whole files only, and these are read in parts: copy "
            "the folder with `franca data fetch URL --to FOLDER`, and set root to the copy"
        )
    if name in _SILENCE:
        return ConnectionError(f"{root!r} cannot be reached ({error}): is there a network?")
    status = _status(error)
    if status not in _REFUSED and name != "NoCredentialsError":
        return None
    hub = _HUB.match(root)
    if hub:
        page = f"https://huggingface.co/{hub['page']}"
        return PermissionError(
            f"{root!r} is gated ({status}): accept its terms at {page} with your account, then "
            "set HF_TOKEN to a token that may read it"
        )
    return PermissionError(
        f"access to {root!r} is refused ({status or 'no credentials'}): set the credentials that "
        "its fsspec file system reads from the environment"
    )


def http_status(error: BaseException) -> int | None:
    """The first HTTP status among an error and its causes; None if no server answered."""
    found = (_status(each) for each in _chain(error))
    return next((status for status in found if status is not None), None)


def first_cause(error: BaseException) -> BaseException:
    """What an error began with: a file system may call any failure "not found"."""
    *_, first = _chain(error)
    return first


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error of aiohttp, of the Hub's client, or of botocore."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None) or getattr(response, "status_code", None)
    return status if isinstance(status, int) else None
