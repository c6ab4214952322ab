"""Lines from a data set of the Hugging Face hub, through the `datasets` library (and its cache)."""

import hashlib
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gan_core.errors import DataError
from seqgan_gp.sources import Source, printable

SPEC = re.compile(r"hf:(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^:@\s]+))?(?::(?P<split>\S+))?")
TEXT_COLUMNS = ("text", "sentence", "content", "line", "document")  # in order of trust
BATCH = 1000  # rows that are Python objects at a time
CONNECT_TIMEOUT = 5.0  # seconds
BUILT_IN_REMEDY = "or use the built-in --data wordnet"


class HubSource(Source):
    """Lines of the text column of a `datasets.Dataset`: a row is a line, newlines inside it become spaces."""

    def __init__(self, dataset, column: str, description: str, bad_utf8: str):
        super().__init__(f"{description}, column {column!r}", None, bad_utf8)
        self.rows = dataset.select_columns([column]).with_format("arrow")

    def pieces(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield the rows as the content of one file."""
        yield self.description, self.joined_rows()

    def joined_rows(self) -> Iterator[bytes]:
        """Yield the texts of a batch of rows, a line each."""
        for table in self.rows.iter(batch_size=BATCH):
            texts = table.column(0).cast("large_binary").to_pylist()
            yield b"".join(one_line(text or b"") + b"\n" for text in texts)

    def fingerprint(self) -> str:
        """SHA-256 of the lines; the library's own fingerprint differs from one machine to the next."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


def open_hub_source(spec: str, bad_utf8: str) -> HubSource:
    """The source of "hf:ID[@REVISION][:SPLIT]"; the split is "train" where none is given.

    Raises:
        DataError: there is no such data set, no network and no cached copy, or no single column of text.
    """
    name = printable(spec)
    parts = SPEC.fullmatch(spec)
    if parts is None:
        raise DataError(f"--data {name} is not of the form hf:ID[@REVISION][:SPLIT], as in hf:ag_news:test")
    identity, revision, split = parts["id"], parts["revision"], parts["split"] or "train"
    go_offline_without_network(identity, name)
    import datasets  # takes seconds: only now that it is needed

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        dataset = datasets.load_dataset(identity, revision=revision, split=split)
    except Exception as error:  # the library raises anything, down to bare ValueError and RuntimeError
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"{name} could not be loaded from the hub ({reason.rstrip('.')}): check its ID, revision and split, "
            f"{BUILT_IN_REMEDY}"
        ) from error
    return HubSource(dataset, text_column(dataset, name, datasets.Value), name, bad_utf8)


def text_column(dataset, name: str, value_type: type) -> str:
    """The only column of strings, or else the only one that is called like text."""
    columns = [
        column
        for column, feature in dataset.features.items()
        if isinstance(feature, value_type) and feature.dtype in ("string", "large_string")
    ]
    if not columns:
        raise DataError(f"{name} has no column of text, only {', '.join(dataset.features)}: choose another set")
    called_so = [column for column in columns if column.lower() in TEXT_COLUMNS]
    candidates = columns if len(columns) == 1 else called_so
    if len(candidates) != 1:
        listed = ", ".join(map(printable, called_so or columns))
        raise DataError(f"{name} has several columns of text ({listed}): save one of them as a file of lines")
    return candidates[0]


def one_line(text: bytes) -> bytes:
    """The text without newlines at its end, and with a space for each one inside it."""
    return text.rstrip(b"\r\n").replace(b"\r\n", b" ").replace(b"\n", b" ")


def go_offline_without_network(identity: str, name: str) -> None:
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
        raise DataError(f"{name} is not in the local cache and {why}: go online, {BUILT_IN_REMEDY}")
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
