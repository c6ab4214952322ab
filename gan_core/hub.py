"""Data sets of the Hugging Face hub, through the `datasets` library (and its cache)."""

import os
import re
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gan_core.errors import DataError
from gan_core.inputs import printable

SPEC = re.compile(r"hf:(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^:@\s]+))?(?::(?P<split>\S+))?")
CONNECT_TIMEOUT = 5.0  # seconds


def load_dataset(spec: str, *, split: str | None, example: str, built_in: str) -> Any:
    """The `datasets.Dataset` of "hf:ID[@REVISION][:SPLIT]", or the `DatasetDict` of all splits.

    Args:
        spec: what `--data` was given.
        split: the one to load where none is given; None for all.
        example: a spec that is right, for the message about one that is not.
        built_in: the built-in data set that the messages offer instead.

    Raises:
        DataError: there is no such data set, or no network and no cached copy.
    """
    name = printable(spec)
    remedy = f"or use the built-in --data {built_in}"
    parts = SPEC.fullmatch(spec)
    if parts is None:
        raise DataError(f"--data {name} is not of the form hf:ID[@REVISION][:SPLIT], as in {example}")
    go_offline_without_network(parts["id"], name, remedy)
    import datasets  # takes seconds: only now that it is needed

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it reports an error in many lines, and then raises it
    try:
        return datasets.load_dataset(parts["id"], revision=parts["revision"], split=parts["split"] or split)
    except Exception as error:  # the library raises anything, down to bare ValueError and RuntimeError
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"{name} could not be loaded from the hub ({reason.rstrip('.')}): check its ID, revision and split, "
            f"{remedy}"
        ) from error


def go_offline_without_network(identity: str, name: str, remedy: str) -> None:
    """Settle without a network in seconds what the hub's client finds out in minutes of retries.

    Where the hub is out of reach, a cached copy is used, as if HF_HUB_OFFLINE were set.

    Raises:
        DataError: the hub is out of reach, or HF_HUB_OFFLINE is set, and nothing is cached under that name.
    """
    offline = is_set("HF_HUB_OFFLINE") or is_set("HF_DATASETS_OFFLINE")
    if Path(identity).is_dir() or not (offline or hub_is_out_of_reach()):
        return  # the library looks for a folder of that name first
    if not is_cached(identity):
        why = "HF_HUB_OFFLINE is set" if offline else "the Hugging Face hub cannot be reached"
        raise DataError(f"{name} is not in the local cache and {why}: go online, {remedy}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # read by the library when it is imported


def hub_is_out_of_reach() -> bool:
    """Whether no connection to the hub can be opened; behind a proxy nobody knows before trying."""
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
    """Whether the cache of the hub or that of `datasets` has a folder for this ID."""
    environment = os.environ.get
    base = Path(environment("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(environment("HF_HOME") or base / "huggingface").expanduser()
    hub = Path(environment("HF_HUB_CACHE") or environment("HUGGINGFACE_HUB_CACHE") or home / "hub").expanduser()
    prepared = Path(environment("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    *namespace, name = identity.split("/")
    snake = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
    downloaded = hub / f"datasets--{identity.replace('/', '--')}"
    return downloaded.is_dir() or (prepared / "___".join([*namespace, snake])).is_dir()


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes, in the way of the hub's client."""
    return os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")
