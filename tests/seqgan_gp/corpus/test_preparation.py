"""Preparation in chunks: the same corpus however it is divided, and by however many processes."""

import gzip
import hashlib
import importlib
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.corpus_scale import LINES, Bench, report, write_lines
from gan_core.errors import DataError
from gan_core.storage import hub
from seqgan_gp.corpus import preparation
from seqgan_gp.corpus.corpus import prepare
from seqgan_gp.corpus.preparation import read_lines
from seqgan_gp.sources import cleaning, files
from seqgan_gp.sources.labelled import open_labelled
from seqgan_gp.sources.open import open_source
from tests.seqgan_gp.chunks import PREPARE, by_file, texts, write, written
from tests.seqgan_gp.corpus.test_corpus import sentences

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("cache")
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\r\n"])
TEXTS = st.sampled_from([b"", b" ", b"a", b"bc d", "é".encode(), "漢字".encode(), "\u3000".encode(), b"\xef\xbb\xbfx"])
LONG = st.integers(1, 30).map(lambda n: "aé".encode() * n)
GOOD = st.lists(st.tuples(TEXTS | LONG, ENDS).map(b"".join), max_size=12).map(b"".join)
TORN = st.lists(st.tuples(TEXTS | LONG | st.just(b"\xe9"), ENDS).map(b"".join), max_size=12).map(b"".join)


class TestChunks:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(TORN, min_size=1, max_size=4), st.integers(1, 40), st.sampled_from([6, 9, 1 << 20]))
    def test_are_all_of_the_source(self, tmp_path, divided, contents, size, limit):
        """In order, each line once, counted once, of the file it is from; chunks, pieces and lines are tiny."""
        spec = write(tmp_path / "data", [*contents, b"end"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cleaning, "LINE_LIMIT", limit)
            whole = open_source(spec, "replace")
            lines = list(whole.numbered_blocks())
            divided(size)
            patch.setattr(files, "PIECE", max(3, size - 3))  # a byte order mark is in one piece
            source, found, counts = open_source(spec, "replace"), [], Counter()
            chunks = source.chunks()
            for chunk in chunks:
                found += source.numbered_blocks(chunk)
                counts += source.counts
                assert chunk[0] <= source.position <= chunk[1]
        assert by_file(found) == by_file(lines) and counts == whole.counts
        assert [start for start, _ in chunks] == [0, *(end for _, end in chunks[:-1])]
        assert chunks[-1][1] == source.size and all(start < end for start, end in chunks)

    def test_are_of_about_one_size(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_text("0123456\n" * 1000)
        for size, number in ((100_000, 1), (8000, 1), (6000, 1), (5000, 2), (1000, 8), (8, 1000), (3, 1000)):
            divided(size)
            chunks = open_source(str(path)).chunks()
            assert len(chunks) == number
            assert max(end - start for start, end in chunks) <= 1.5 * max(size, 8) + 8
        small = write(tmp_path / "small", [b"0123456\n"] * 100)
        divided(200)
        assert 5 < len(open_source(small).chunks()) < 10  # small files share a chunk

    def test_a_line_longer_than_parts(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_text("a\n" + "b" * 5000 + "\nc\n")
        divided(10)
        assert open_source(str(path)).chunks() == [(0, 5003), (5003, 5005)]

    def test_what_is_packed_is_not_divided(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_bytes(gzip.compress(os.urandom(5000).hex().encode()))
        divided(10)
        assert open_source(str(path)).chunks() == [(0, path.stat().st_size)]

    def test_rows_of_the_hub(self, monkeypatch, divided):
        datasets = importlib.import_module("datasets")
        rows = [f"\ufeffrow {number}" for number in range(5000)]
        dataset = datasets.Dataset.from_dict({"text": rows, "label": [number % 3 for number in range(5000)]})
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: dataset)
        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        divided(30_000)
        source = open_labelled("hf:x", "error", "auto")
        chunks = source.source.chunks()
        assert 2 < len(chunks) <= 5 and chunks[-1][1] == 5000
        found = [list(source.blocks(chunk)) for chunk in chunks]
        assert texts(block for blocks in found for block, _ in blocks) == rows
        numbers = np.concatenate([labels for blocks in found for _, labels in blocks])
        places = source.in_order()[1]
        assert places[numbers].tolist() == [number % 3 for number in range(5000)]
        bare = open_labelled("hf:x", "error", "none").source
        found = texts(block for chunk in bare.chunks() for block in bare.blocks(chunk))
        assert found == ["row 0", *rows[1:]] == texts(bare.blocks())  # a byte order mark begins a file, not a chunk


class TestSame:
    """Byte for byte the same cache."""

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(GOOD, min_size=1, max_size=4), st.integers(1, 60), st.sampled_from(["char", "byte"]))
    def test_whatever_the_parts(self, tmp_path, cache, divided, contents, size, kind):
        spec = write(tmp_path / "data", [*contents, b"one\ntwo"])
        caches = []
        for chunk in (1 << 26, size):
            divided(chunk)
            shutil.rmtree(cache, ignore_errors=True)
            prepare(spec, tokenizer=kind, seq_len=5, labels="none")
            caches.append(written(cache))
        assert caches[0] == caches[1] and len(caches[0]) == 5

    @pytest.mark.parametrize("kind", ["char", "bpe"])
    def test_whatever_the_processes(self, tmp_path, cache, divided, kind):
        spec = write(tmp_path / "data", ["\r\n".join(sentences(2000, seed)).encode() for seed in range(3)])
        caches = []
        for size, processes in ((1 << 26, 1), (20_000, 2), (10_000, 3)):
            divided(size, processes)
            shutil.rmtree(cache, ignore_errors=True)
            corpus = prepare(spec, tokenizer=kind, vocab_size=290)
            assert corpus.classes == ("0", "1", "2") and len(corpus.train) + len(corpus.heldout) == 6000
            caches.append(written(cache))
        assert caches[0] == caches[1] == caches[2]

    def test_labels_that_are_met_in_another_order(self, tmp_path, cache, divided):
        """Each chunk numbers them as it meets them; some meet only a few, or none."""
        path, caches = tmp_path / "f.txt", []
        text = "c\tone\nb\ttwo\n\tnone\n \n" + "a\tthree\n" * 20 + "b\tfour\nc\tfive\n\tsix\n" + "10\tseven\n"
        path.write_text(text * 3)
        for size in (1 << 26, 7, 30, 90):
            divided(size)
            shutil.rmtree(cache, ignore_errors=True)
            corpus = prepare(str(path), labels="tab", heldout=0.5)
            assert corpus.classes == ("10", "a", "b", "c")
            names = [None if label < 0 else corpus.classes[label] for label in corpus.train_labels]
            names += [None if label < 0 else corpus.classes[label] for label in corpus.heldout_labels]
            assert Counter(names) == {"a": 60, "b": 6, "c": 6, "10": 3, None: 6}
            caches.append(written(cache))
        assert all(other == caches[0] for other in caches)

    @pytest.mark.parametrize(("kind", "digest"), [
        ("char", "854a48b637f409d32af4b6e0678dba46ea71a61924a29d6d2e50dd88994f128e"),
        ("byte", "c0f7e93aaea687651dcc9368d84b05e31add349b980e1cbee1bba7fa85ff7135"),
    ])  # fmt: skip
    def test_as_it_always_was(self, divided, kind, digest):
        """What a single process read from one end to the other, before there were chunks."""
        divided(1_000_000)
        corpus = prepare("wordnet", tokenizer=kind)
        found = hashlib.sha256(corpus.train.tobytes() + corpus.heldout.tobytes() + corpus.train_labels.tobytes())
        assert found.hexdigest() == digest

    @pytest.mark.parametrize("content", [b"", b"\n \n", b"same\n" * 90], ids=["empty", "blank", "same"])
    def test_refusals(self, tmp_path, cache, divided, content):
        path, messages = tmp_path / "f.gz", []
        path.write_bytes(gzip.compress(content))
        (tmp_path / "g.gz").write_bytes(gzip.compress(b""))
        for size in (1 << 26, 3):
            divided(size)
            with pytest.raises(DataError) as caught:
                prepare(f"{tmp_path}/*.gz")
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert {path.suffix for path in cache.iterdir()} <= {".lock"}

    @pytest.mark.parametrize(
        ("fault", "labels", "line"),
        [
            (b"\xff", "none", 778),
            (b"x\0", "none", 778),
            (b"no fault", "none", 1279),
            (b"no tab", "tab", 1279),
            (b"\xe9\tx", "tab", 778),
        ],
    )
    @pytest.mark.parametrize("processes", [1, 2])
    def test_lines_have_their_numbers_in_messages(self, tmp_path, cache, divided, fault, labels, line, processes):
        """In the third file, in a chunk that begins within it; and there is another fault in a later chunk."""
        good = b"a\tline\r\n" if labels == "tab" else b"a line\r\n"
        folder = write(tmp_path / "data", [good * 300, good * 200])
        path = tmp_path / "data" / "2.txt"
        path.write_bytes(good * 777 + fault + b"\n" + good * 500 + b"\xfe\n")
        messages = []
        for size in (1 << 26, 700):
            divided(size, processes)
            with pytest.raises(DataError) as caught:
                prepare(folder, labels=labels, bad_utf8="error")
            messages.append(str(caught.value))
        assert messages[0] == messages[1] and str(path) in messages[0]
        assert f"line {line}" in messages[0]
        assert {path.suffix for path in cache.iterdir()} == {".lock"}


def test_blocks_are_cut_for_memory(tmp_path):
    """However short lines are, and long rows."""
    path = tmp_path / "f"
    path.write_text("".join(f"{number}\n" for number in range(3000)))
    told = []
    blocks = [block for block, _ in read_lines(open_labelled(str(path), "error", "none"), 4096, told.append)]
    assert max(block.count(b"\n") for block in blocks) == preparation.CELLS // 4096
    assert sum(told) == path.stat().st_size


def test_the_experiment_in_small(tmp_path):
    """Lines are varied and those of a seed; kills change nothing; the table says what was measured."""
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for path, seed in ((first, 0), (again, 0), (other, 1)):
        write_lines(path, 5000, seed)
    lines = first.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 5001 and len(set(lines)) > 4900
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    bench = Bench(tmp_path / "bench", 10_000, 0, command=("-c", PREPARE, "lines.txt"))
    table = report(bench, kills=2, rng=random.Random(0))
    assert "10,000 lines" in table and "ANOTHER" not in table and table.count("byte for byte the same") == 3
    assert "Finished of " in table
    assert torch.__version__ in table


@pytest.mark.slow
def test_ten_million_lines(tmp_path):
    table = report(Bench(tmp_path / "bench", LINES, 0), kills=3, rng=random.Random(0))
    print(table)
    assert "ANOTHER" not in table and table.count("byte for byte the same") == 3


@pytest.mark.slow
def test_more_than_two_to_the_31_characters(tmp_path, cache):
    """From end to end, in memory that does not grow with the text: under 150 MB a process, torch left out."""
    path, last, times = tmp_path / "lines.txt", "the very last line\n", 0
    text = "".join(line + "\n" for line in sentences(200_000)).encode()
    with path.open("wb") as file:
        while file.tell() <= 1.1 * (1 << 31):  # some characters are two bytes
            file.write(text)
            times += 1
        file.write(last.encode())
    code = (
        "import resource, sys; from seqgan_gp.corpus.corpus import prepare; c = prepare(sys.argv[1]); "
        "rows = [c.train, c.heldout]; ends = [c.tokenizer.decode(side[-1:])[0] for side in rows]; "
        "print(sum(map(len, rows)), *ends, sep='|'); "
        "own = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]; "
        "print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # kilobytes
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    counts, memory = done.stdout.splitlines()
    number, *ends = counts.split("|")
    assert int(number) == 200_000 * times + 1 and last.strip() in ends
    print(f"{path.stat().st_size:,} bytes: {memory} kB")
    assert max(map(int, memory.split())) < 150_000
