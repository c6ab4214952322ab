import gzip
import importlib
import io
import os
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from gan_core.errors import DataError, GanError, UsageError
from gan_core.storage import hub
from seqgan_gp.sources import built_in, cleaning, files, stdin
from seqgan_gp.sources.base import PIECE
from seqgan_gp.sources.cleaning import LINE_LIMIT
from seqgan_gp.sources.open import open_source


def lines_of(spec, **options):
    """All lines of a source, checked to be whole."""
    source = open_source(str(spec), **options)
    content = b"".join(source.blocks())
    assert content.endswith(b"\n") or not content
    assert content.count(b"\n") <= source.counts["lines"]
    return content.decode().split("\n")[:-1]


def refused(spec, *mentions, **options):
    """Assert that the source is refused in one sentence that mentions all of that; return the sentence."""
    with pytest.raises(DataError) as caught:
        lines_of(spec, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in message
    for mention in mentions:
        assert str(mention) in message
    return message


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\n")
    return path


class TestFiles:
    def test_plain_file(self, file):
        source = open_source(str(file))
        assert list(source.blocks()) == [b"one\ntwo\n"]
        assert list(source.blocks()) == [b"one\ntwo\n"]  # as often as needed
        assert source.size == source.position == 8
        assert source.description == str(file)
        assert source.counts["lines"] == 2

    @pytest.mark.parametrize("name", ["lines.gz", "lines", "lines.txt"])
    def test_gzip_by_name_or_content(self, tmp_path, name):
        path = tmp_path / name
        path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))  # two members, as `cat a.gz b.gz` makes
        assert lines_of(path) == ["one", "two"]

    @pytest.mark.parametrize(
        ("content", "lines"),
        [
            (b"a\nb", ["a", "b"]),
            (b"a\r\nb\r\n", ["a", "b"]),
            (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
            (b"a\rb\n", ["a\rb"]),
            (b"a\n\n\nb\n", ["a", "", "", "b"]),
            ("a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg\n".encode(), ["a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg"]),
            ("한국어\nעברית\nACGT\n👩‍👩‍👧\npa`ss\n".encode(), ["한국어", "עברית", "ACGT", "👩‍👩‍👧", "pa`ss"]),
        ],
    )
    def test_what_ends_a_line(self, tmp_path, content, lines):
        path = tmp_path / "f"
        path.write_bytes(content)
        assert lines_of(path) == lines

    def test_lines_across_pieces(self, tmp_path):
        """Blocks are whole lines wherever a piece ends, even between the bytes of a character or of CR LF."""
        path = tmp_path / "f"
        lines = [f"{number} é漢😀" * (number % 50) for number in range(30_000)]
        path.write_bytes("\r\n".join(lines).encode())
        assert path.stat().st_size > 2 * PIECE
        assert lines_of(path) == lines

    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    def test_any_division_into_pieces(self, size):
        content = "é\r\n漢字\n\n😀x".encode()
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        counts = Counter()
        assert b"".join(cleaning.clean_blocks(pieces, "f", "error", counts)).decode() == "é\n漢字\n\n😀x\n"
        assert counts == {"lines": 4}


class TestFolders:
    def test_folder_in_order_of_names(self, tmp_path):
        (tmp_path / "b.txt").write_text("3\n")
        (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"1\n2"))
        for name in ("README.txt", "README.md", "LICENSE.txt", "about.json", "about.json.gz", ".hidden.txt", "c.csv"):
            (tmp_path / name).write_text("not data\n")
        (tmp_path / "sub.txt").mkdir()
        assert lines_of(tmp_path) == ["1", "2", "3"]
        assert open_source(str(tmp_path)).description == f"{tmp_path} (2 files)"

    def test_lm1b_archive(self, tmp_path):
        training = tmp_path / "training-monolingual.tokenized.shuffled"
        heldout = tmp_path / "heldout-monolingual.tokenized.shuffled"
        training.mkdir()
        heldout.mkdir()
        (training / "news.en-00002-of-00100").write_text("second\n")
        (training / "news.en-00001-of-00100").write_text("first\n")
        (training / "other").write_text("no\n")
        (heldout / "news.en.heldout-00000-of-00050").write_text("held out\n")
        assert lines_of(tmp_path) == lines_of(training) == ["first", "second"]
        assert lines_of(heldout) == ["held out"]

    def test_glob(self, tmp_path):
        for name, text in (("b.log", "2"), ("a.log", "1"), ("c.txt", "3")):
            (tmp_path / name).write_text(text)
        assert lines_of(f"{tmp_path}/*.log") == ["1", "2"]
        (tmp_path / "[x].txt").write_text("brackets")
        assert lines_of(f"{tmp_path}/[x].txt") == ["brackets"]  # a path that exists is no pattern
        refused(f"{tmp_path}/*.none", "*.none", "--data wordnet")

    def test_built_in(self, tmp_path, monkeypatch):
        (tmp_path / "seqgan_gp").mkdir()
        monkeypatch.setattr(built_in, "__file__", str(tmp_path / "seqgan_gp" / "sources" / "built_in.py"))
        checkout = tmp_path / "data" / "wordnet"
        checkout.mkdir(parents=True)
        (checkout / "noun.txt.gz").write_bytes(gzip.compress(b"from the checkout\n"))
        (checkout / "LICENSE.txt").write_text("licence\n")
        assert lines_of("wordnet") == ["from the checkout"]
        installed = tmp_path / "seqgan_gp" / "data" / "wordnet"
        installed.mkdir(parents=True)
        (installed / "noun.txt.gz").write_bytes(gzip.compress(b"from the wheel\n"))
        assert lines_of("wordnet") == ["from the wheel"]
        assert open_source("wordnet").description.startswith("wordnet (")

    def test_wordnet_is_there(self):
        block = next(open_source("wordnet").blocks())
        assert block.count(b"\n") > 10_000

    def test_standard_input(self, monkeypatch):
        stdin.spooled_stdin.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"piped\nin\n"))))
        source = open_source("-")
        assert list(source.blocks()) == list(source.blocks()) == [b"piped\nin\n"]
        assert lines_of("-") == ["piped", "in"]
        assert len(source.fingerprint()) == 64
        stdin.spooled_stdin().close()
        stdin.spooled_stdin.cache_clear()

    def test_standard_input_on_a_full_disk(self, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        stdin.spooled_stdin.cache_clear()
        monkeypatch.setattr(stdin.shutil, "copyfileobj", full)
        with pytest.raises(GanError, match="no space is left for standard input") as caught:
            open_source("-")
        assert caught.value.exit_code == 1


class TestFingerprint:
    def test_is_of_the_content(self, tmp_path):
        for folder, names in (("x", ("a.txt", "b.txt")), ("y", ("c.txt", "d.txt")), ("z", ("b.txt", "a.txt"))):
            (tmp_path / folder).mkdir()
            for name, text in zip(names, ("1\n", "2\n"), strict=True):
                (tmp_path / folder / name).write_text(text)
        x, y, z = (open_source(str(tmp_path / folder)).fingerprint() for folder in "xyz")
        assert x == y != z

    def test_known_value(self, file):
        """The same on every machine and in every version, or caches and checkpoints would not be found."""
        expected = "d8e581ed66596dd817d974e842bc97dcaeb8ff1d735f082a97bbd0380d19a27a"
        assert open_source(str(file)).fingerprint() == expected


class TestLongLines:
    def test_memory_is_bounded(self, tmp_path):
        path = tmp_path / "bomb.gz"
        with gzip.open(path, "wb", compresslevel=1) as packed:
            for _ in range(64):
                packed.write(b"a" * (1 << 20))
            packed.write(b"\nend\n")
        assert path.stat().st_size < 1 << 20
        source = open_source(str(path))
        tracemalloc.start()
        blocks = [block[-10:] for block in source.blocks()]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 32 << 20
        assert blocks == [b"aaaaa\nend\n"]
        assert source.counts == {"lines": 2, "cut_at_limit": 1}

    @pytest.mark.parametrize("before", ["", "x" * (PIECE - 100) + "\n"])
    def test_are_cut_between_characters(self, tmp_path, before):
        path = tmp_path / "f"
        path.write_text(f"{before}a{'漢' * 600_000}\nshort\n{'é' * (LINE_LIMIT // 2)}\n")
        source = open_source(str(path))
        lines = b"".join(source.blocks()).decode().split("\n")[:-1]
        if before:
            assert len(lines.pop(0)) == LINE_LIMIT
        assert lines == ["a" + "漢" * ((LINE_LIMIT - 1) // 3), "short", "é" * (LINE_LIMIT // 2)]
        assert source.counts["cut_at_limit"] == 1 + bool(before)

    @pytest.mark.parametrize("size", range(1, 20))
    def test_what_ends_a_line_is_no_part_of_its_length(self, tmp_path, monkeypatch, size):
        """Wherever a piece of the file ends, between CR and LF too."""
        monkeypatch.setattr(files, "PIECE", size)
        monkeypatch.setattr(cleaning, "LINE_LIMIT", 6)
        path = tmp_path / "f"
        path.write_bytes(b"123456\r\n1234567\r\n123456\r7\r\n")
        source = open_source(str(path))
        assert b"".join(source.blocks()) == b"123456\n" * 3
        assert source.counts == {"lines": 3, "cut_at_limit": 2}


class TestWrongContent:
    def test_utf8_error(self, tmp_path):
        path = tmp_path / "latin1.txt"
        path.write_bytes(b"good\r\n" * 500_000 + "café\n".encode("latin-1"))
        refused(path, path, "line 500001", "--bad-utf8 replace or skip")

    def test_utf8_replace_and_skip(self, tmp_path):
        path = tmp_path / "f"
        path.write_bytes(b"one\nca\xe9\ncut\xe2\x82\n\xed\xa0\x80\nlast")
        assert lines_of(path, bad_utf8="replace") == ["one", "ca\ufffd", "cut\ufffd", "\ufffd" * 3, "last"]
        source = open_source(str(path), bad_utf8="skip")
        assert b"".join(source.blocks()) == b"one\nlast\n"
        assert source.counts == {"lines": 5, "bad_utf8": 3}
        with pytest.raises(UsageError, match="--bad-utf8 ignore") as caught:
            open_source(str(path), bad_utf8="ignore")
        assert caught.value.exit_code == 2

    def test_nul(self, tmp_path):
        path = tmp_path / "image.png"
        path.write_bytes(b"line\n" * 1_000_000 + b"x\0\n")
        refused(path, path, "line 1000001", "NUL")
        path.write_text("UTF-16 has them too\n", "utf-16")
        refused(path, path, "line 1", "UTF-8")

    @pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:50] + b"\xff" * 9 + b[59:], lambda b: b"text"])
    def test_damaged_gzip(self, tmp_path, damage):
        path = tmp_path / "f.gz"
        path.write_bytes(damage(gzip.compress(os.urandom(3000).hex().encode() + b"\n")))
        refused(path, path, "damaged")

    def test_empty(self, tmp_path):
        path = tmp_path / "empty.txt"
        path.touch()
        refused(path, path, "empty")
        path.write_bytes(gzip.compress(b""))
        refused(path, path, "empty")
        (tmp_path / "full.txt").write_text("line\n")
        assert lines_of(tmp_path) == ["line"]  # one empty shard does no harm


class TestNoFile:
    def test_missing(self, tmp_path):
        refused(tmp_path / "missing.txt", "missing.txt", "does not exist", "--data wordnet")
        refused("nobody/nothing", "nobody/nothing does not exist", "--data hf:nobody/nothing")
        refused("", "--data wordnet")
        refused("a\0b")
        refused("x" * 5000)
        refused("~nobody-at-all/f", "~nobody-at-all/f")

    def test_names_stay_on_one_line(self, tmp_path):
        refused(tmp_path / "new\nline", "new\\nline")

    def test_folder_without_data(self, tmp_path):
        (tmp_path / "README.md").write_text("nothing here")
        refused(tmp_path, tmp_path, "holds no *.txt")

    def test_not_regular(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.txt")
        refused(tmp_path / "pipe.txt", "pipe.txt", "--data -")
        refused(tmp_path, "pipe.txt")
        refused("/dev/zero", "/dev/zero", "regular file")

    @pytest.mark.parametrize("method", ["open", "iterdir", "stat"])
    def test_no_permission(self, file, monkeypatch, method):
        """Tests may run as root, whom no permission stops: so the system's answer is made up."""

        def denied(self, *_, **__):
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, method, denied)
        path = file.parent if method == "iterdir" else file
        refused(path, path, "may not be read", "permission")


class TestHub:
    @pytest.fixture
    def loaded(self, monkeypatch):
        """Stand in for the hub: `loaded(dataset)` makes every data set that one; returns what was asked for."""
        datasets = importlib.import_module("datasets")
        asked = []

        def stand_in(dataset):
            def load_dataset(identity, **options):
                asked.append((identity, options))
                return dataset

            monkeypatch.setattr(datasets, "load_dataset", load_dataset)
            return asked

        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
        stand_in.make = datasets.Dataset.from_dict
        return stand_in

    def test_rows_become_lines(self, loaded):
        rows = ["one", " = Title = \n", "a\nb\r\nc", "", None, "漢字\u2028x"] + ["many"] * 2500
        loaded(loaded.make({"text": rows, "label": [0] * len(rows)}))
        source = open_source("hf:x")
        lines = b"".join(source.blocks()).decode().split("\n")[:-1]
        assert lines == ["one", " = Title = ", "a b c", "", "", "漢字\u2028x"] + ["many"] * 2500
        assert (source.size, source.unit) == (len(rows), " rows")
        assert source.fingerprint() == open_source("hf:y").fingerprint()
        loaded(loaded.make({"text": rows[:-1]}))
        assert source.fingerprint() != open_source("hf:x").fingerprint()

    def test_column(self, loaded):
        loaded(loaded.make({"id": ["1"], "sentence": ["by name"], "n": [1]}))
        assert lines_of("hf:x") == ["by name"]
        loaded(loaded.make({"anything": ["the only one"], "n": [1]}))
        assert lines_of("hf:x") == ["the only one"]
        loaded(loaded.make({"premise": ["a"], "hypothesis": ["b"]}))
        refused("hf:x", "hf:x", "premise, hypothesis")
        loaded(loaded.make({"text": ["a"], "content": ["b"], "c": ["d"]}))
        refused("hf:x", "(text, content)")
        loaded(loaded.make({"label": [1]}))
        refused("hf:x", "no column of text", "label")
        loaded(loaded.make({"text": ["x"]}).select([]))
        refused("hf:x", "hf:x", "empty")

    def test_parquet_through_the_real_library(self, tmp_path, monkeypatch):
        datasets = importlib.import_module("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "local").mkdir()
        datasets.Dataset.from_dict({"text": ["from", "parquet"]}).to_parquet("local/train.parquet")
        assert lines_of("hf:local:train") == ["from", "parquet"]
