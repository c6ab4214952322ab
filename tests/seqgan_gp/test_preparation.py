"""Preparation in parts: the same corpus however it is divided, by however many processes, and after kills."""

import gzip
import hashlib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gan_core.files
from experiments.corpus_scale import LINES, Bench, report, write_lines
from gan_core import hub, pool
from gan_core.errors import DataError, GanError
from gan_core.labels import Labels
from gan_core.options import settle
from gan_core.randomness import shuffled
from seqgan_gp import preparation, sources
from seqgan_gp.corpus import Corpus, prepare, row_hashes
from seqgan_gp.domain import TextDomain
from seqgan_gp.labelled import open_labelled
from seqgan_gp.preparation import Reading, read_lines
from seqgan_gp.settings import TEXT
from seqgan_gp.sources import open_source
from seqgan_gp.tokenizer import ByteTokenizer
from tests.seqgan_gp.test_corpus import sentences

ROOT = Path(__file__).parents[2]
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\r\n"])
TEXTS = st.sampled_from([b"", b" ", b"a", b"bc d", "é".encode(), "漢字".encode(), "\u3000".encode(), b"\xef\xbb\xbfx"])
LONG = st.integers(1, 30).map(lambda n: "aé".encode() * n)
GOOD = st.lists(st.tuples(TEXTS | LONG, ENDS).map(b"".join), max_size=12).map(b"".join)
TORN = st.lists(st.tuples(TEXTS | LONG | st.just(b"\xe9"), ENDS).map(b"".join), max_size=12).map(b"".join)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own, on a disk that needs no flushing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(folder))
    monkeypatch.setattr(gan_core.files, "sync", lambda path: None)
    return folder


@pytest.fixture
def divided(monkeypatch):
    """Divide sources into parts of about so many bytes, for so many processes."""

    def dividing(size, processes=1):
        monkeypatch.setattr(sources, "PART", size)
        monkeypatch.setattr("seqgan_gp.hub.PART", size)
        monkeypatch.setattr(pool, "processors", lambda: processes)

    dividing(1 << 26)
    return dividing


def written(cache):
    """Everything in a cache but locks, by its content."""
    files = (path for path in sorted(cache.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def parts_of(cache):
    """The names of the finished parts in a cache."""
    return sorted(path.name for path in cache.glob(".*.parts/[rv]*"))


def write(folder, contents):
    """Files of one folder, every second one packed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, content in enumerate(contents):
        packed = number % 2 == 1
        name = f"{number}.txt" + ".gz" * packed
        (folder / name).write_bytes(gzip.compress(content, 1) if packed else content)
    return str(folder)


class TestParts:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(TORN, min_size=1, max_size=4), st.integers(1, 40), st.sampled_from([6, 9, 1 << 20]))
    def test_are_all_of_the_source(self, tmp_path, divided, contents, size, limit):
        """In order, each line once, counted once, of the file it is from; parts, pieces and lines are tiny."""
        spec = write(tmp_path / "data", [*contents, b"end"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "LINE_LIMIT", limit)
            whole = open_source(spec, "replace")
            lines = list(whole.numbered_blocks())
            divided(size)
            patch.setattr(sources, "PIECE", max(3, size - 3))  # a byte order mark is in one piece
            source, found, counts = open_source(spec, "replace"), [], Counter()
            parts = source.parts()
            for part in parts:
                found += source.numbered_blocks(part)
                counts += source.counts
                assert part[0] <= source.position <= part[1]
        assert by_file(found) == by_file(lines) and counts == whole.counts
        assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
        assert parts[-1][1] == source.size and all(start < end for start, end in parts)

    def test_are_of_about_one_size(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_text("0123456\n" * 1000)
        for size, number in ((100_000, 1), (8000, 1), (6000, 1), (5000, 2), (1000, 8), (8, 1000), (3, 1000)):
            divided(size)
            parts = open_source(str(path)).parts()
            assert len(parts) == number
            assert max(end - start for start, end in parts) <= 1.5 * max(size, 8) + 8
        small = write(tmp_path / "small", [b"0123456\n"] * 100)
        divided(200)
        assert 5 < len(open_source(small).parts()) < 10  # small files share a part

    def test_a_line_longer_than_parts(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_text("a\n" + "b" * 5000 + "\nc\n")
        divided(10)
        assert open_source(str(path)).parts() == [(0, 5003), (5003, 5005)]

    def test_what_is_packed_is_not_divided(self, tmp_path, divided):
        path = tmp_path / "f"
        path.write_bytes(gzip.compress(os.urandom(5000).hex().encode()))
        divided(10)
        assert open_source(str(path)).parts() == [(0, path.stat().st_size)]

    def test_rows_of_the_hub(self, monkeypatch, divided):
        datasets = importlib.import_module("datasets")
        rows = [f"\ufeffrow {number}" for number in range(5000)]
        dataset = datasets.Dataset.from_dict({"text": rows, "label": [number % 3 for number in range(5000)]})
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: dataset)
        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        divided(30_000)
        source = open_labelled("hf:x", "error", "auto")
        parts = source.source.parts()
        assert 2 < len(parts) <= 5 and parts[-1][1] == 5000
        found = [list(source.blocks(part)) for part in parts]
        assert texts(block for blocks in found for block, _ in blocks) == rows
        numbers = np.concatenate([labels for blocks in found for _, labels in blocks])
        places = source.in_order()[1]
        assert places[numbers].tolist() == [number % 3 for number in range(5000)]
        bare = open_labelled("hf:x", "error", "none").source
        found = texts(block for part in bare.parts() for block in bare.blocks(part))
        assert found == ["row 0", *rows[1:]] == texts(bare.blocks())  # a byte order mark begins a file, not a part


def texts(blocks):
    return b"".join(blocks).decode().split("\n")[:-1]


def by_file(blocks):
    """The content of each file that has any."""
    content = {}
    for number, block in blocks:
        content[number] = content.get(number, b"") + block
    return content


class TestSame:
    """Byte for byte the same cache."""

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(GOOD, min_size=1, max_size=4), st.integers(1, 60), st.sampled_from(["char", "byte"]))
    def test_whatever_the_parts(self, tmp_path, cache, divided, contents, size, kind):
        spec = write(tmp_path / "data", [*contents, b"one\ntwo"])
        caches = []
        for part in (1 << 26, size):
            divided(part)
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
        """Each part numbers them as it meets them; some meet only a few, or none."""
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
        """What a single process read from one end to the other, before there were parts."""
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
        """In the third file, in a part that begins within it; and there is another fault in a later part."""
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


class TestResumed:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "lines.txt"
        path.write_text("\n".join(sentences(3000)), encoding="utf-8")
        return path

    @pytest.fixture
    def straight(self, file, cache, divided):
        """The cache without interruption."""
        divided(6_000)
        prepare(str(file))
        found = written(cache)
        shutil.rmtree(cache)
        return found

    @pytest.fixture
    def begun(self, monkeypatch):
        """How often a part was begun, by what was done to it; `begun.stop` ends it all at such a number."""

        class Begun(Counter):
            stop = (None, 0)

        begun = Begun()

        def counting(what):
            done = getattr(Reading, what)

            def count(self, part, advance):
                begun[what] += 1
                if begun.stop == (what, begun[what]):
                    raise KeyboardInterrupt
                done(self, part, advance)

            return count

        for what in ("count", "encode"):
            monkeypatch.setattr(Reading, what, counting(what))
        return begun

    @pytest.mark.parametrize("stop", [("count", 1), ("count", 4), ("encode", 1), ("encode", 6)])
    def test_only_what_is_missing_is_done(self, file, cache, straight, begun, stop, capsys):
        number = len(open_source(str(file)).parts())
        assert number > 8
        begun.clear()
        begun.stop = stop
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        assert len(parts_of(cache)) == stop[1] - 1 + number * (stop[0] == "encode")
        begun.stop = (None, 0)
        capsys.readouterr()
        prepare(str(file))
        assert begun == {"count": number + (stop[0] == "count"), "encode": number + (stop[0] == "encode")}
        assert written(cache) == straight and not list(cache.glob("*.parts"))
        told = f"goes on where it was interrupted, {stop[1] - 1} of {number} parts are finished"
        assert (told in capsys.readouterr().err) == (stop[1] > 1)

    def test_progress_goes_on_too(self, file, cache, straight, begun, monkeypatch, capsys):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        begun.stop = (None, 0)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        prepare(str(file))
        err = capsys.readouterr().err
        assert "vocabulary" not in err and "encode:   0%" not in err and "encode: 100%" in err

    @pytest.mark.parametrize("damage", ["cut", "flip", "remove", "other"])
    @pytest.mark.parametrize("name", ["rows.bin", "part.json", "manifest.json"])
    def test_a_damaged_part_is_done_again(self, file, cache, straight, begun, name, damage):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        first, second = sorted(cache.glob(".*.parts/rows-*"))[1:3]
        content = (first / name).read_bytes()
        (first / name).unlink()
        if damage == "cut":
            (first / name).write_bytes(content[:-1])
        elif damage == "flip":
            (first / name).write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
        elif damage == "other":
            shutil.rmtree(first)
            shutil.copytree(second, first)
        begun.stop = (None, 0)
        prepare(str(file))
        assert begun["encode"] == 6 + (begun["count"] - 5) + 1 and written(cache) == straight

    def test_a_changed_source_has_other_parts(self, file, cache, straight, begun):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        file.write_bytes(file.read_bytes() + b"\nmore")
        begun.stop = (None, 0)
        begun.clear()
        prepare(str(file))
        assert begun["count"] == begun["encode"] == len(open_source(str(file)).parts())
        assert parts_of(cache)  # of the source as it was: who knows
        os.utime(next(cache.glob(".*.parts")), (0, time.time() - 8 * 24 * 3600))
        prepare(str(file))
        assert not parts_of(cache)

    def test_parts_of_a_finished_corpus_are_swept(self, file, cache, straight):
        """It was killed after the corpus was whole. Whose lock is taken is at work."""
        name = prepare(str(file)).fingerprint[:32]
        left = cache / f".{name}.parts"
        (left / "rows-0000000000").mkdir(parents=True)
        with (cache / f".{name}.lock").open("w") as lock:
            preparation.fcntl.flock(lock, preparation.fcntl.LOCK_EX)
            prepare(str(file))
            assert left.exists()
        prepare(str(file))
        assert not left.exists()

    def test_a_full_disk(self, file, cache, straight, divided, monkeypatch):
        """What was finished is kept for when there is space."""

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("seqgan_gp.corpus.row_hashes", full)
            with pytest.raises(GanError, match="No space left on device"):
                prepare(str(file))
        assert parts_of(cache)
        prepare(str(file))
        assert written(cache) == straight

    def test_disk(self, file, cache, straight, monkeypatch):
        """No more than twice the rows, and a little for each part."""
        peak = []
        hashes = row_hashes

        def measured(rows):
            peak.append(sum(path.stat().st_size for path in cache.rglob("*.bin")))
            return hashes(rows)

        monkeypatch.setattr("seqgan_gp.corpus.row_hashes", measured)
        prepare(str(file))
        assert len(peak) > 8 and 3000 * 32 < max(peak) <= 2 * 3000 * 32

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_stopped_in_the_middle(self, tmp_path, cache, number):
        """Ctrl-C for all processes, or a signal for the first only: all end, and what was finished is used."""
        path = tmp_path / "lines.txt"
        write_lines(path, 20_000, seed=1)
        how = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        command = [sys.executable, "-c", PREPARE, str(path)]
        # A shell that starts tests in the background has them ignore SIGINT; a user is at a terminal.
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, **how, start_new_session=True)
        signal.signal(signal.SIGINT, heard)
        wait_for(lambda: [name for name in parts_of(cache) if name.startswith("rows")], process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)  # ends when all processes have closed their standard error
        assert "Traceback" not in err
        if number == signal.SIGINT:
            assert (process.returncode, err) == (130, "Error: interrupted\n")
        assert parts_of(cache)
        done = subprocess.run(command, **how)
        assert done.returncode == 0 and "goes on where it was interrupted" in done.stderr
        resumed = written(cache)
        shutil.rmtree(cache)
        prepare(str(path))
        assert written(cache) == resumed


# The command line around what prepares a corpus, without the seconds that it takes to import torch.
PREPARE = """
import sys
import seqgan_gp_cli
from gan_core import pool
from seqgan_gp import sources
from seqgan_gp.corpus import prepare
sources.PART, pool.processors = 100_000, lambda: 2
seqgan_gp_cli.cli.main = lambda *_, **__: prepare(sys.argv[1]) and 0
sys.exit(seqgan_gp_cli.run())
"""


def wait_for(true, process, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)


class TestLarge:
    """Beyond what 31 bits count."""

    def test_rows_are_found(self, tmp_path):
        """In a file of 3 GB that takes no space: it is all holes but for a few rows."""
        length, number = 4096, 3 * (1 << 30) // 4096
        marked = {0: 7, (1 << 31) // length - 1: 9, (1 << 31) // length: 11, number - 1: 13}
        path = tmp_path / "train.bin"
        with path.open("wb") as file:
            file.truncate(number * length)
            for row, symbol in marked.items():
                file.seek(row * length)
                file.write(bytes([symbol]) * length)
        rows = np.memmap(path, np.uint8, "r", shape=(number, length))
        labels = np.broadcast_to(np.int16(-1), (number,))
        corpus = Corpus(rows, rows[:2], ByteTokenizer(), "f", "sparse", {}, labels, labels[:2], ())
        about = settle(TEXT, dict(tokenizer="byte", vocab_size=256, seq_len=length, smoothing=0.0)).settings(TEXT)
        domain = TextDomain(about, corpus.tokenizer, Labels(), corpus)
        assert domain.num_examples == number and rows.nbytes > 1 << 31
        for row, symbol in marked.items():
            ids = domain.batch(np.array([row, row - 1 if row > 1 else 1]), torch.device("cpu")).x.argmax(1)
            assert (ids[0] == symbol).all()
            assert (ids[1] == marked.get(row - 1, 0)).all()

    @pytest.mark.parametrize("size", [(1 << 31) + 11, (1 << 33) + 1, 1 << 40])
    def test_an_epoch_is_a_permutation(self, size):
        """Of more rows than 31 bits count: all within, none twice, and beyond 2^31 as often as there are such rows."""
        positions = np.concatenate([np.arange(20_000), np.arange(size - 20_000, size)])
        found = shuffled(positions, size, seed=1)
        assert len(np.unique(found)) == len(positions) and found.min() >= 0 and found.max() < size
        share = 1 - (1 << 31) / size
        assert abs(np.mean(found >= 1 << 31) - share) < 4 * np.sqrt(share * (1 - share) / len(positions)) + 1e-9
        assert (shuffled(positions + size, size, seed=1) != found).mean() > 0.99

    def test_positions_in_a_source(self, tmp_path, divided):
        """Of a file of 3 GB that is all holes but for a few lines: a hole is a NUL, and is found where it is."""
        path = tmp_path / "f.txt"
        with path.open("wb") as file:
            file.write(b"first\n")
            for place in (1 << 30, 2 << 30, 3 << 30):
                file.seek(place + 20 * (place < 3 << 30))
                file.write(b"\nlast but one\nlast\n")
        divided(1 << 30)
        source = open_source(str(path))
        end = path.stat().st_size
        assert end > 1 << 31 and source.size == end
        parts = source.parts()
        assert [round(start / (1 << 30), 5) for start, _ in parts] == [0, 1, 2] and parts[-1][1] == end
        assert list(source.blocks(((3 << 30) + 1, end))) == [b"last but one\nlast\n"]
        assert source.position == end
        for part in parts[0], parts[2]:
            with pytest.raises(DataError, match=r"line [23] holds a NUL"):
                list(source.blocks(part))

    def test_hashes_take_little_memory(self):
        """8 bytes a row in the end, and not 8 a symbol on the way."""
        import tracemalloc

        rows = np.zeros((100_000, 32), np.uint8)
        rows[:, 0] = np.arange(100_000) % 256
        tracemalloc.start()
        hashes = row_hashes(rows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert hashes.shape == (100_000,) and len(np.unique(hashes)) == 256
        assert peak < 16 << 20


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
        "import resource, sys; from seqgan_gp.corpus import prepare; c = prepare(sys.argv[1]); "
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
