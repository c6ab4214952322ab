"""What is asked of the hub's library, and that no network is settled at once."""

import importlib
import os
import sys
import time

import pytest

from gan_core.errors import DataError
from gan_core.storage import hub


def load(spec, split="train"):
    return hub.load_dataset(spec, split=split, example="hf:a/b:test", built_in="toys")


def refused(spec, *mentions):
    with pytest.raises(DataError) as caught:
        load(spec)
    message = str(caught.value)
    assert "\n" not in message and all(mention in message for mention in mentions), message


@pytest.fixture
def asked(monkeypatch):
    """What `datasets` was asked for, while something else answers."""
    datasets = importlib.import_module("datasets")
    requests = []

    def load_dataset(identity, **options):
        requests.append((identity, options))
        return "the data"

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    return requests


@pytest.mark.parametrize(
    ("spec", "identity", "revision", "split"),
    [
        ("hf:ag_news", "ag_news", None, None),
        ("hf:a/b-c.d:test", "a/b-c.d", None, "test"),
        ("hf:a/b@refs/convert/parquet:train", "a/b", "refs/convert/parquet", "train"),
        ("hf:a/b@main", "a/b", "main", None),
        ("hf:a/b:train[:10%]", "a/b", None, "train[:10%]"),
    ],
)
@pytest.mark.parametrize("default", ["train", None])
def test_spec(asked, spec, identity, revision, split, default):
    assert load(spec, default) == "the data"
    assert asked == [(identity, {"revision": revision, "split": split or default})]


@pytest.mark.parametrize("spec", ["hf:", "hf:a/b/c", "hf:/a", "hf:a b", "hf:a@", "hf:a@b@c", "hf:../..//x"])
def test_bad_spec(spec):
    refused(spec, spec, "hf:ID[@REVISION][:SPLIT]", "hf:a/b:test")


@pytest.mark.parametrize(
    ("spec", "commit", "split"),
    [
        ("hf-stream:a/b", "c" * 40, "train"),
        ("hf-stream:a/b@main:test", "c" * 40, "test"),
        (f"hf-stream:a/b@{'d' * 40}", "d" * 40, "train"),
    ],
)
def test_stream(asked, monkeypatch, spec, commit, split):
    monkeypatch.setattr(hub, "commit_of", lambda identity, revision, *_: "c" * 40)
    found = hub.find_stream(spec, split="train", example="hf-stream:a/b:test", built_in="toys")
    assert found[:3] == ("a/b", commit, split) and found.open() == "the data"
    assert asked == [("a/b", {"revision": commit, "split": split, "streaming": True})]


def test_a_commit_that_cannot_be_found_out(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("404 Client Error.\nRepository Not Found")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    with pytest.raises(DataError, match=r"hf-stream:a/b could not be loaded from the hub \(404 Client Error\): check"):
        hub.commit_of("a/b", None, "hf-stream:a/b", "or use toys")


def test_library_error_becomes_one_sentence(asked, monkeypatch):
    def fail(*_, **__):
        raise ValueError('Unknown split "nope".\nShould be one of [train].')

    monkeypatch.setattr("datasets.load_dataset", fail)
    refused("hf:a/b:nope", "hf:a/b:nope", 'Unknown split "nope"', "--data toys")


def test_offline_is_settled_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it alone takes longer
    start = time.perf_counter()
    refused("hf:nobody/nothing", "hf:nobody/nothing", "HF_HUB_OFFLINE", "--data toys")
    assert time.perf_counter() - start < 1


def test_no_network(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError(101, "Network is unreachable")

    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(hub.socket, "create_connection", unreachable)
    refused("hf:nobody/nothing", "hf:nobody/nothing", "cannot be reached", "--data toys")


def test_no_network_but_cached(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # so that it is restored
    (tmp_path / "datasets" / "some___data_set").mkdir(parents=True)
    assert load("hf:some/DataSet") == "the data"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
