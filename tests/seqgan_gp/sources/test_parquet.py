"""Parquet files as lines: of the columns that the hub's form has, in chunks, and refused when they are hostile."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from gan_core.errors import DataError
from seqgan_gp.corpus.corpus import prepare
from seqgan_gp.sources import parquet
from seqgan_gp.sources.labelled import open_labelled
from seqgan_gp.sources.open import open_source
from tests.seqgan_gp.chunks import texts, written
from tests.seqgan_gp.corpus.test_corpus import sentences

ROOT = Path(__file__).parents[3]


def write(path, rows, group=100, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": rows} | columns), path, row_group_size=group)
    return str(path)


def refused(spec, *mentions):
    with pytest.raises(DataError) as caught:
        list(open_source(str(spec)).blocks())
    message = str(caught.value)
    assert "\n" not in message and all(str(mention) in message for mention in mentions), message


class TestLines:
    def test_rows_become_lines(self, tmp_path):
        rows = ["\ufeffone", " = Title = \n", "a\nb\r\nc", "", None, "漢字\u2028x"] + ["many"] * 2500
        source = open_source(write(tmp_path / "f.parquet", rows, n=[0] * len(rows)))
        lines = ["one", " = Title = ", "a b c", "", "", "漢字\u2028x"] + ["many"] * 2500
        assert texts(source.blocks()) == texts(source.blocks()) == lines
        assert (source.size, source.position, source.unit, source.counts["lines"]) == (2506, 2506, " rows", 2506)

    def test_are_those_of_the_hub(self, tmp_path, monkeypatch):
        datasets = importlib.import_module("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.chdir(tmp_path)
        write(tmp_path / "local" / "train.parquet", sentences(300), n=list(range(300)))
        assert texts(open_source("local").blocks()) == texts(open_source("hf:local").blocks()) == sentences(300)

    @pytest.mark.parametrize("spec", ["d", "d/*.parquet", "d/train-00000-of-00002.parquet"])
    def test_files(self, tmp_path, monkeypatch, spec):
        """Of a folder in the hub's form the training shards, of any other all, of a pattern what it matches."""
        monkeypatch.chdir(tmp_path)
        for name, rows in (("test-00000-of-00001", "c"), ("train-00001-of-00002", "b"), ("train-00000-of-00002", "a")):
            write(tmp_path / "d" / f"{name}.parquet", [rows])
        (tmp_path / "d" / "README.md").write_text("---")
        wanted = {"d": ["a", "b"], "d/*.parquet": ["c", "a", "b"]}.get(spec, ["a"])
        assert texts(open_source(spec).blocks()) == wanted
        (tmp_path / "d" / "lines.txt").write_text("text comes first\n")
        if spec == "d":
            assert texts(open_source(spec).blocks()) == ["text comes first"]
        refused("d/*t*", "mixes parquet files with others")

    def test_labels(self, tmp_path):
        datasets = importlib.import_module("datasets")
        features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
        rows = {"text": ["a", "b", "c"], "label": [1, 0, None]}
        dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        dataset.to_parquet(str(tmp_path / "f.parquet"))
        source = open_labelled(str(tmp_path / "f.parquet"), "error", "auto")
        ((block, numbers),) = source.blocks()
        assert (source.form, source.given, block) == ("column", ("no", "yes"), b"a\nb\nc\n")
        assert numbers.tolist() == [1, 0, -1]
        bare = open_labelled(str(tmp_path / "f.parquet"), "error", "none")
        assert texts(block for block, _ in bare.blocks()) == ["a", "b", "c"]
        assert bare.source.fingerprint() != source.source.fingerprint()

    def test_fingerprint_is_of_the_content(self, tmp_path):
        first, again, other = (
            open_source(write(tmp_path / f"{name}.parquet", rows)).fingerprint()
            for name, rows in (("a", ["x", "y"]), ("b", ["x", "y"]), ("c", ["x", "z"]))
        )
        assert first == again != other

    def test_what_is_wrong_is_named_by_its_row(self, tmp_path):
        path = write(tmp_path / "f.parquet", pa.array(["good"] * 250 + ["b\0d"] + ["good"] * 9))
        refused(path, path, "line 251 holds a NUL")
        latin = pa.array([b"good", b"caf\xe9"]).view(pa.string())
        refused(write(tmp_path / "g.parquet", latin), "g.parquet", "line 2", "--bad-utf8")


class TestChunks:
    @pytest.mark.parametrize("size", [1, 3000, 20_000])
    def test_are_row_groups(self, tmp_path, divided, size):
        for number in range(3):
            write(tmp_path / "d" / f"{number}.parquet", sentences(500, number), group=60)
        divided(size)
        source = open_source(str(tmp_path / "d"))
        chunks = source.chunks()
        assert [start for start, _ in chunks] == [0, *(end for _, end in chunks[:-1])] and chunks[-1][1] == 1500
        assert len(chunks) == {1: 27}.get(size, len(chunks)) and len(chunks) > 1
        found = []
        for chunk in chunks:
            found += texts(source.blocks(chunk))
            assert source.position == chunk[1]
        assert found == texts(source.blocks()) == sentences(500, 0) + sentences(500, 1) + sentences(500, 2)
        assert source.whole_files((520, 530)) == (500, 1000) and source.whole_files((499, 501)) == (0, 1000)
        assert texts(source.blocks((495, 505))) == (sentences(500, 0) + sentences(500, 1))[495:505]

    def test_the_same_corpus_whatever_the_processes(self, tmp_path, cache, divided):
        path, caches = write(tmp_path / "f.parquet", sentences(2000)), []
        for size, processes in ((1 << 26, 1), (8_000, 2)):
            divided(size, processes)
            prepare(path, cache=cache / str(size))
            caches.append(written(cache / str(size)))
        assert caches[0] == caches[1] and len(caches[0]) == 5

    def test_the_text_file_of_the_same_lines_gives_the_same_rows(self, tmp_path, cache):
        (tmp_path / "f.txt").write_text("\n".join(sentences(500)), encoding="utf-8")
        text, table = prepare(str(tmp_path / "f.txt")), prepare(write(tmp_path / "f.parquet", sentences(500)))
        assert np.array_equal(text.train, table.train) and np.array_equal(text.heldout, table.heldout)


class TestRefused:
    @pytest.mark.parametrize("damage", ["end", "middle", "footer", "text", "empty", "long"])
    def test_damaged(self, tmp_path, damage):
        path = tmp_path / "f.parquet"
        write(path, [os.urandom(40).hex() for _ in range(500)])
        content = path.read_bytes()
        path.write_bytes({
            "end": content[:-9], "middle": content[:900] + os.urandom(9000) + content[9900:],
            "footer": content[:-300] + os.urandom(200) + content[-100:], "text": b"no table\n" * 9, "empty": b"PAR1",
            "long": content[:-8] + b"\xff\xff\xff\x7fPAR1",
        }[damage])  # fmt: skip
        refused(path, path, "damaged or no parquet file")

    def test_no_rows(self, tmp_path):
        refused(write(tmp_path / "f.parquet", pa.array([], pa.string())), "f.parquet", "empty")

    def test_columns(self, tmp_path):
        path = tmp_path / "d" / "a.parquet"
        write(path, [1, 2])
        refused(path, "no column of text", "text")
        write(path, ["x"], content=["y"])
        refused(path, "several columns of text (text, content)")
        write(path, ["x"])
        pq.write_table(pa.table({"other": ["y"]}), tmp_path / "d" / "b.parquet")
        refused(tmp_path / "d", "b.parquet has not the columns text of", "a.parquet")

    def test_a_row_group_that_claims_too_much(self, tmp_path, monkeypatch):
        path = write(tmp_path / "f.parquet", [os.urandom(40).hex() for _ in range(500)], group=500)
        monkeypatch.setattr(parquet, "GROUP_LIMIT", 10_000)
        refused(path, path, "claims", "more than 10,000", "smaller row groups")

    def test_more_than_such_a_file_can_hold(self, tmp_path, monkeypatch):
        """Claimed by the footer, or found out on the way: a dictionary is small, and its rows are not."""
        monkeypatch.setattr(parquet, "most_unpacked", lambda size, times: 50_000)
        path = tmp_path / "f.parquet"
        pq.write_table(pa.table({"text": ["x" * 1000 + str(n) for n in range(100)]}), path, use_dictionary=False)
        refused(path, path, "claims to hold over 50 times its size")
        write(path, ["x" * 1000] * 100)
        refused(path, path, "unpacks to more than 50,000 bytes")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_row_group_or_its_repetitions(tmp_path):
    """A group of 400 MB is read a page at a time, and one that repeats a line of 2 MB a few lines at a time."""
    path, bomb = tmp_path / "f.parquet", tmp_path / "bomb.parquet"
    rows = pa.array([os.urandom(200).hex() for _ in range(1_000_000)])
    pq.write_table(pa.table({"text": rows}), path, row_group_size=1 << 20, use_dictionary=False)
    write(bomb, pa.array(["y" * (2 << 20)] * 100), group=1000)
    code = (
        "import sys; from seqgan_gp.sources.open import open_source; s = open_source(sys.argv[1]); "
        "print(sum(b.count(b'\\n') for b in s.blocks())); "
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    for file, lines, limit in ((path, 1_000_000, 320_000), (bomb, 40, 900_000)):
        done = subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True, text=True)
        if file == path:
            count, memory = map(int, done.stdout.split())
            assert count == lines and memory < limit, memory
        else:
            assert "unpacks to more than" in done.stderr
