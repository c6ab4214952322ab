"""Data sets of the Hugging Face hub, loaded by the `datasets` library (and its cache)."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gan_core.errors import DataError, named
from gan_core.text import printable

SPEC = re.compile(r"hf(-stream)?:(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^:@\s]+))?(?::(?P<split>\S+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
CONNECT_TIMEOUT = 5.0  # seconds


def load_dataset(spec: str, *, split: str | None, example: str, built_in: str) -> Any:
    """Load "hf:ID[@REVISION][:SPLIT]" as a `datasets.Dataset`, or as a `DatasetDict` of all splits.

    Args:
        spec: the value of the option `data`.
        split: the split to load if the spec names none; None for all splits.
        example: a valid spec, for the message about an invalid one.
        built_in: the built-in data set that the messages offer instead.

    Raises:
        DataError: there is no such data set, or no network and no cached copy.
    """
    parts, name, remedy = parsed(spec, "hf", example, built_in)
    go_offline_without_network(parts["id"], name, remedy)
    return asked(name, remedy, parts["id"], revision=parts["revision"], split=parts["split"] or split)


class Stream(NamedTuple):
    """A data set of the hub that is read as a stream and not stored.

    revision: a commit, so that every process and every pass reads the same data; None for a local folder.
    name, remedy: the data set's name and the remedy, for messages.
    """

    identity: str
    revision: str | None
    split: str
    name: str
    remedy: str

    def open(self) -> Any:
        """The `datasets.IterableDataset`."""
        return asked(
            self.name, self.remedy, self.identity, revision=self.revision, split=self.split, streaming=True
        )  # fmt: skip


def find_stream(spec: str, *, split: str, example: str, built_in: str) -> Stream:
    """The `Stream` that "hf-stream:ID[@REVISION][:SPLIT]" names; the arguments are those of `load_dataset`.

    Raises:
        DataError: there is no such data set, or no network.
    """
    parts, name, remedy = parsed(spec, "hf-stream", example, built_in)
    identity, revision = parts["id"], parts["revision"]
    if not Path(identity).is_dir():
        if is_offline() or hub_is_out_of_reach():
            why = "HF_HUB_OFFLINE is set" if is_offline() else "the Hugging Face hub cannot be reached"
            cached = f"give hf:{identity} if it is cached"
            raise DataError(f"{name} is read from the hub and {why}: go online, {cached}, {remedy}")
        if not COMMIT.fullmatch(revision or ""):
            revision = commit_of(identity, revision, name, remedy)
    return Stream(identity, revision, parts["split"] or split, name, remedy)


def parsed(spec: str, scheme: str, example: str, built_in: str) -> tuple[re.Match, str, str]:
    """The regular-expression match of a spec, its printable name, and a remedy for messages."""
    name = printable(spec)
    parts = SPEC.fullmatch(spec)
    if parts is None:
        raise DataError(f"{named('data', name)} is not of the form {scheme}:ID[@REVISION][:SPLIT], as in {example}")
    return parts, name, f"or use the built-in {named('data', built_in)}"


def commit_of(identity: str, revision: str | None, name: str, remedy: str) -> str:
    """The commit that a branch or tag of a data set points to; None: the main branch."""
    from huggingface_hub import HfApi

    with refusing(name, remedy):
        return str(HfApi().dataset_info(identity, revision=revision).sha)


def asked(name: str, remedy: str, identity: str, **how: Any) -> Any:
    """The result of `datasets.load_dataset`, with its errors turned into DataError and without its messages."""
    import datasets  # takes seconds, so it is imported only when needed

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs an error in many lines before raising it
    with refusing(name, remedy):
        return datasets.load_dataset(identity, **how)


@contextmanager
def refusing(name: str, remedy: str) -> Iterator[None]:
    """Turn any exception of the library into a DataError of one sentence."""
    try:
        yield
    except Exception as error:  # the library raises many types, among them bare ValueError and RuntimeError
        raise DataError(
            f"{name} could not be loaded from the hub ({reason(error)}): check its ID, revision and split, {remedy}"
        ) from error


def reason(error: Exception) -> str:
    """The first line of an error's message, or the name of its type."""
    return (next(iter(str(error).splitlines()), "") or type(error).__name__).rstrip(".")


def go_offline_without_network(identity: str, name: str, remedy: str) -> None:
    """Set HF_HUB_OFFLINE if the hub cannot be reached, so that a cached copy is used without minutes of retries.

    Raises:
        DataError: the hub is out of reach, or HF_HUB_OFFLINE is set, and nothing is cached under that name.
    """
    offline = is_offline()
    if Path(identity).is_dir() or not (offline or hub_is_out_of_reach()):
        return  # the library prefers a local folder of that name
    if not is_cached(identity):
        why = "HF_HUB_OFFLINE is set" if offline else "the Hugging Face hub cannot be reached"
        raise DataError(f"{name} is not in the local cache and {why}: go online, {remedy}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # read by the library when it is imported


def hub_is_out_of_reach() -> bool:
    """Whether no connection to the hub can be opened; False behind a proxy, where this cannot be tested."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return False
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    try:
        socket.create_connection((endpoint.hostname, port), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return True
    return False


def is_cached(identity: str) -> bool:
    """Whether the hub's cache or the cache of `datasets` has a folder for this ID."""
    environment = os.environ.get
    base = Path(environment("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(environment("HF_HOME") or base / "huggingface").expanduser()
    hub = Path(environment("HF_HUB_CACHE") or environment("HUGGINGFACE_HUB_CACHE") or home / "hub").expanduser()
    prepared = Path(environment("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    *namespace, name = identity.split("/")
    snake = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
    downloaded = hub / f"datasets--{identity.replace('/', '--')}"
    return downloaded.is_dir() or (prepared / "___".join([*namespace, snake])).is_dir()


def is_offline() -> bool:
    """Whether the user has switched off connections to the hub by an environment variable."""
    return is_set("HF_HUB_OFFLINE") or is_set("HF_DATASETS_OFFLINE")


def is_set(variable: str) -> bool:
    """Whether an environment variable is true by the rules of the hub's client."""
    return os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")
