"""Data sets of the hub as streams: shard by shard, nothing kept but the corpus, named by their commit."""

import importlib
import pickle

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from gan_core.errors import DataError, GanError
from gan_core.storage import hub
from seqgan_gp.corpus.corpus import prepare
from seqgan_gp.sources.hub import StreamSource
from seqgan_gp.sources.labelled import open_labelled
from seqgan_gp.sources.open import open_source
from tests.seqgan_gp.chunks import chunks_of, texts, written
from tests.seqgan_gp.corpus.test_corpus import sentences

COMMIT = "0123456789" * 4


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data set of three shards; `datasets` keeps what it downloads elsewhere."""
    datasets = importlib.import_module("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "library")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local").mkdir()
    for number in range(3):
        table = pa.table({"text": sentences(700, number), "label": ["xyz"[n % 3] for n in range(700)]})
        pq.write_table(table, tmp_path / "local" / f"train-0000{number}-of-00003.parquet", row_group_size=100)
    return tmp_path / "local"


@pytest.fixture
def remote(folder, monkeypatch):
    """Stand in for the hub, which has that data set as some/set, in its latest version at COMMIT."""
    datasets = importlib.import_module("datasets")
    load_dataset, asked = datasets.load_dataset, []

    def stand_in(identity, **options):
        asked.append((identity, options))
        return load_dataset("local", split=options["split"], streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", stand_in)
    monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
    monkeypatch.setattr(hub, "commit_of", lambda identity, revision, *_: COMMIT)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    return asked


def lines():
    return [line for number in range(3) for line in sentences(700, number)]


def test_is_read_shard_by_shard(folder):
    source = open_source("hf-stream:local")
    assert isinstance(source, StreamSource) and (source.size, source.unit) == (3, " shards")
    assert source.chunks() == [(0, 1), (1, 2), (2, 3)] and source.whole_files((1, 2)) == (1, 2)
    assert texts(source.blocks()) == texts(source.blocks()) == lines()
    assert texts(source.blocks((1, 2))) == sentences(700, 1) and source.position == 2


def test_labels(folder):
    source = open_labelled("hf-stream:local:train", "error", "auto")
    numbers = np.concatenate([labels for _, labels in source.blocks()])
    names, places = source.in_order()
    assert source.form == "column" and names == ("x", "y", "z")
    assert places[numbers].tolist() == [n % 3 for _ in range(3) for n in range(700)]


def test_the_commit_is_settled_first_and_names_the_content(remote):
    source = open_source("hf-stream:some/set@main")
    assert remote == [("some/set", {"revision": COMMIT, "split": "train", "streaming": True})]
    assert source.fingerprint() == open_source(f"hf-stream:some/set@{COMMIT}:train").fingerprint()
    others = [open_source(f"hf-stream:{spec}").fingerprint() for spec in ("other/set", f"some/set@{COMMIT[::-1]}")]
    assert len({source.fingerprint(), *others}) == 3


def test_a_local_folder_is_named_by_its_lines(folder):
    first = open_source("hf-stream:local").fingerprint()
    assert first == open_source("hf:local").fingerprint()
    (folder / "train-00002-of-00003.parquet").unlink()
    assert open_source("hf-stream:local").fingerprint() != first


@pytest.mark.slow  # each process imports `datasets`, and that imports torch
def test_the_same_corpus_whatever_the_processes(folder, cache, divided):
    caches = []
    for processes in (1, 2):
        divided(1 << 26, processes)
        corpus = prepare("hf-stream:local", labels="none", cache=cache / str(processes))
        assert len(corpus.train) + len(corpus.heldout) == 2100 and corpus.counts["lines"] == 2100
        caches.append(written(cache / str(processes)))
    assert caches[0] == caches[1]
    assert not list(cache.rglob("*.arrow"))


def test_another_process_opens_it_anew(folder):
    """What travels is what it is called; not the library's object, which has shared memory of torch's in it."""
    source = open_source("hf-stream:local")
    again = pickle.loads(pickle.dumps(source))
    assert again.opened is None and texts(again.blocks((1, 2))) == sentences(700, 1)


def test_a_connection_that_breaks_costs_one_shard(remote, cache, divided, monkeypatch):
    class Broken:
        def __init__(self, stream):
            self.stream = stream

        def shard(self, number, index, contiguous):
            if index == 2:
                raise ConnectionError("503 Server Error\nmore")
            return self.stream.shard(number, index, contiguous=contiguous)

    whole = StreamSource.__init__

    def breaking(self, stream, opened, *args):
        whole(self, stream, opened, *args)
        self.opened = Broken(opened)

    divided(1 << 26)
    with monkeypatch.context() as patch:
        patch.setattr(StreamSource, "__init__", breaking)
        with pytest.raises(GanError, match=r"could not be read on \(503 Server Error\): run again") as caught:
            prepare("hf-stream:some/set", tokenizer="byte", labels="none")
        assert caught.value.exit_code == 1 and len(chunks_of(cache)) == 2
    prepare("hf-stream:some/set", tokenizer="byte", labels="none")
    assert not chunks_of(cache)


@pytest.mark.parametrize(("spec", "mention"), [
    ("hf-stream:", "hf-stream:ID[@REVISION][:SPLIT]"), ("hf-stream:local:none", "none"),
])  # fmt: skip
def test_refusals(folder, spec, mention):
    with pytest.raises(DataError) as caught:
        open_source(spec)
    assert mention in str(caught.value) and "\n" not in str(caught.value)


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="hf-stream:a/b is read from the hub and HF_HUB_OFFLINE is set: go online"):
        open_source("hf-stream:a/b")
