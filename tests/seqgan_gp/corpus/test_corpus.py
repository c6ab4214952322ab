import errno
import gzip
import json
import multiprocessing
import shutil
import sys

import numpy as np
import pytest

import gan_core.storage.cache
from gan_core.errors import DataError, GanError, UsageError
from seqgan_gp.corpus import corpus as corpora
from seqgan_gp.corpus import preparation
from seqgan_gp.corpus.corpus import open_rows, plain_rows, prepare, row_hashes
from seqgan_gp.lines import END
from seqgan_gp.tokenizers import train
from seqgan_gp.tokenizers.characters import ByteTokenizer

WORDS = ["the", "a", "cat", "dog", "mat", "log", "sat", "on", "saw", "ran", "`", "é"]


def sentences(count, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(2, 12))) for _ in range(count)]


def rows_of(rows):
    return {row.tobytes() for row in rows}


@pytest.fixture
def file(tmp_path, cache):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(sentences(2000)), encoding="utf-8")
    return path


class TestRows:
    @pytest.mark.parametrize("kind", ["byte", "char", "bpe", "unigram"])
    def test_every_line_once(self, file, kind):
        size = {"bpe": 290, "unigram": 283}.get(kind)
        corpus = prepare(str(file), tokenizer=kind, vocab_size=size, seq_len=96)
        assert corpus.tokenizer.kind == kind
        assert corpus.train.shape == (corpus.counts["train"], 96)
        assert corpus.heldout.shape == (corpus.counts["heldout"], 96)
        assert corpus.train.dtype == corpus.heldout.dtype == corpus.tokenizer.dtype
        texts = corpus.tokenizer.decode(corpus.train) + corpus.tokenizer.decode(corpus.heldout)
        assert sorted(texts) == sorted(sentences(2000))
        assert corpus.counts["unknown_share"] == 0
        assert str(file) in corpus.description

    def test_order_is_kept(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_text("".join(f"line {number:04}\n" for number in range(5000)))
        corpus = prepare(str(path))
        for side in (corpus.train, corpus.heldout):
            texts = corpus.tokenizer.decode(side)
            assert len(texts) > 100
            assert texts == sorted(texts)

    def test_counts(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_bytes(b"abcdef\n \t\n\nabcd\nab\xff\nxyz\n" + b"a" * (1 << 20) + b"aa\n" + "\u3000\nb".encode())
        corpus = prepare(str(path), seq_len=4, vocab_size=6, bad_utf8="skip")
        sides = {"train": len(corpus.train), "heldout": len(corpus.heldout)}
        assert sum(sides.values()) == 5
        assert corpus.counts == sides | {
            "lines": 9,
            "blank": 3,
            "bad_utf8": 1,
            "cut_at_limit": 1,
            "cut_at_length": 2,
            "unknown_share": 3 / 16,  # abcd, abcd, xyz, aaaa, b: all but x, y and z are among the four most frequent
        }
        assert corpus.tokenizer.vocabulary.tolist() == [*b"abcd"]

    def test_counts_of_replaced(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_bytes(b"one\ntw\xff\nthree")
        corpus = prepare(str(path), bad_utf8="replace")
        assert corpus.counts["bad_utf8"] == 1
        texts = corpus.tokenizer.decode(corpus.train) + corpus.tokenizer.decode(corpus.heldout)
        assert sorted(texts) == ["one", "three", "tw\ufffd"]

    def test_rows_in_many_parts(self, file, monkeypatch):
        """The division of the work changes nothing."""
        whole = prepare(str(file))
        shutil.rmtree(file.parent / "cache")
        monkeypatch.setattr(preparation, "CELLS", 32 * 7)
        chunks = prepare(str(file))
        assert (chunks.train == whole.train).all()
        assert (chunks.heldout == whole.heldout).all()
        assert chunks.counts == whole.counts

    def test_long_rows_of_short_lines_take_little_memory(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_text("\n".join(map(str, range(5000))))
        corpus = prepare(str(path), seq_len=4096, tokenizer="byte")
        assert corpus.train.shape[1] == 4096
        assert len(corpus.train) + len(corpus.heldout) == 5000

    def test_bar_is_for_terminals_only(self, file, monkeypatch, capsys):
        prepare(str(file))
        assert capsys.readouterr() == ("", "")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        prepare(str(file), seq_len=31, progress=False)
        assert capsys.readouterr() == ("", "")
        prepare(str(file), seq_len=30)
        out, err = capsys.readouterr()
        assert out == ""
        assert "vocabulary: 100%" in err
        assert "encode: 100%" in err


class TestSplit:
    def test_sides_are_disjoint_as_training_sees_them(self, tmp_path, cache):
        """Lines that differ only beyond the cut are the same row, and rows of one content are on one side."""
        path = tmp_path / "f"
        starts = sentences(3000)
        path.write_text("".join(f"{start[:10]:10}{tail}\n" for start in starts for tail in ("one", "two", "one")))
        corpus = prepare(str(path), seq_len=10, heldout=0.3)
        train, heldout = rows_of(corpus.train), rows_of(corpus.heldout)
        assert not train & heldout
        assert len(train | heldout) == len({start[:10].ljust(10) for start in starts})
        assert corpus.counts["train"] + corpus.counts["heldout"] == 9000

    @pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.9])
    def test_share(self, tmp_path, cache, share):
        path = tmp_path / "f"
        path.write_text("".join(f"line {number}\n" for number in range(20_000)))
        corpus = prepare(str(path), heldout=share)
        deviation = np.sqrt(share * (1 - share) / 20_000)
        assert abs(corpus.counts["heldout"] / 20_000 - share) < 4 * deviation

    def test_is_stable(self, file, tmp_path):
        """A row stays on its side whatever else is in the corpus, and whatever the length of the rows."""
        first = prepare(str(file), tokenizer="byte", seq_len=80)
        path = tmp_path / "more"
        path.write_text("\n".join([*sentences(500, seed=1), *sentences(2000)]), encoding="utf-8")
        more = prepare(str(path), tokenizer="byte", seq_len=96)
        texts = [set(ByteTokenizer().decode(rows)) for rows in (first.train, more.train, first.heldout, more.heldout)]
        assert texts[0] <= texts[1]
        assert texts[2] <= texts[3]

    def test_known_hashes(self):
        """The same on every machine: with other hashes, held-out lines of old runs would be trained on."""
        rows = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [65535, 2, 3]], np.uint16)
        assert [f"{value:016x}" for value in row_hashes(rows)] == [
            "0000000000000000",
            "91cc7d8e626b5dfd",
            "6b473cf5f3372322",
            "a04c85c0eedf7579",
        ]

    def test_hashes_are_uniform(self):
        rows = np.arange(60_000)[:, None] // 256 ** np.arange(4) % 256
        hashes = row_hashes(rows.astype(np.uint8))
        assert len(np.unique(hashes)) == 60_000
        for shift in (0, 17, 32, 56):
            counts = np.bincount((hashes >> np.uint64(shift)).astype(np.uint8), minlength=256)
            assert 150 < ((counts - 60_000 / 256) ** 2 / (60_000 / 256)).sum() < 380  # chi-squared, 255 degrees

    @pytest.mark.parametrize("heldout", [0.001, 0.05, 0.999])
    @pytest.mark.parametrize("lines", [["a", "b"], ["a"] * 9 + ["b"] * 2, ["a", "b", "c"]])
    def test_no_side_of_a_tiny_corpus_is_empty(self, tmp_path, cache, lines, heldout):
        path = tmp_path / "f"
        path.write_text("\n".join(lines))
        corpus = prepare(str(path), heldout=heldout)
        assert len(corpus.train) > 0
        assert len(corpus.heldout) > 0
        assert not rows_of(corpus.train) & rows_of(corpus.heldout)
        assert len(corpus.train) + len(corpus.heldout) == len(lines)


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "mention"),
        [
            ("same\nsame\nsame\n", "two different"),
            ("1234567 a\n1234567 b\n", "two different"),
            ("one\n", "two different"),
            ("\n \n\t\n", "blank"),
            ("", "empty"),
        ],
    )
    def test_content(self, tmp_path, cache, content, mention):
        path = tmp_path / "f.txt"
        path.write_text(content)
        with pytest.raises(DataError, match=mention) as caught:
            prepare(str(path), seq_len=7)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 3
        assert not [entry for entry in cache.glob("*") if not entry.name.endswith(".lock")]  # nothing half-written

    def test_every_line_skipped(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_bytes(b"\xff\n\xfe\n")
        for read in (prepare, lambda spec, bad_utf8: plain_rows(spec, 3, bad_utf8=bad_utf8)):
            with pytest.raises(DataError, match="skipped"):
                read(str(path), bad_utf8="skip")

    @pytest.mark.parametrize(
        ("options", "mention"),
        [
            ({"heldout": 0}, "0"),
            ({"heldout": 1.0}, "1.0"),
            ({"heldout": float("nan")}, "nan"),
            ({"seq_len": 0}, "--seq-len"),
            ({"seq_len": 5000}, "--seq-len"),
            ({"vocab_size": 1}, "--vocab-size"),
            ({"tokenizer": "words"}, "--tokenizer"),
            ({"tokenizer": "byte", "vocab_size": 2048}, "--vocab-size"),
            ({"tokenizer": "bpe", "vocab_size": 60000}, "--vocab-size"),
            ({"bad_utf8": "ignore"}, "--bad-utf8"),
        ],
    )
    def test_options(self, file, options, mention):
        with pytest.raises(UsageError, match=mention):
            prepare(str(file), **options)


def prepared_elsewhere(spec, cache, queue):
    queue.put(prepare(spec, cache=cache).train.tobytes())


class TestCache:
    def test_hit(self, file, cache, readings):
        first = prepare(str(file))
        assert len(readings) == 2  # for the vocabulary, and to encode
        second = prepare(str(file))
        assert len(readings) == 2
        assert (first.train == second.train).all()
        assert (first.heldout == second.heldout).all()
        assert first.counts == second.counts
        assert first.fingerprint == second.fingerprint
        assert first.tokenizer.fingerprint() == second.tokenizer.fingerprint()
        assert {path.name for path in (cache / first.fingerprint[:32]).iterdir()} == {
            "corpus.json",
            "heldout.bin",
            "manifest.json",
            "tokenizer.json",
            "train.bin",
        }

    def test_follows_the_content_not_the_name(self, file, readings):
        first = prepare(str(file))
        renamed = file.rename(file.parent / "renamed")
        assert prepare(str(renamed)).fingerprint == first.fingerprint
        assert len(readings) == 2
        renamed.write_text("\n".join(sentences(100, seed=5)), encoding="utf-8")
        assert prepare(str(renamed)).fingerprint != first.fingerprint
        assert len(readings) == 4

    def test_options_do_not_collide(self, file, cache):
        options = [
            {},
            {"seq_len": 16},
            {"vocab_size": 10},
            {"heldout": 0.2},
            {"tokenizer": "byte"},
            {"tokenizer": "bpe", "vocab_size": 285},
            {"tokenizer": "unigram", "vocab_size": 280},
            {"bad_utf8": "replace"},
            {"fixed_tokenizer": ByteTokenizer()},
        ]
        for _ in range(2):
            corpus = {json.dumps(o, default=str): prepare(str(file), **o) for o in options}
            assert len({c.fingerprint for c in corpus.values()}) == len(options)
        assert [c.train.shape[1] for c in corpus.values()] == [32, 16] + [32] * 7
        assert [c.tokenizer.size for c in corpus.values()][2:7] == [10, corpus["{}"].tokenizer.size, 256, 285, 280]

    @pytest.mark.parametrize("name", ["train.bin", "heldout.bin", "corpus.json", "tokenizer.json", "manifest.json"])
    @pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
    def test_damage_is_repaired(self, file, cache, readings, name, damage):
        first = prepare(str(file))
        train, heldout = first.train.tobytes(), first.heldout.tobytes()
        path = cache / first.fingerprint[:32] / name
        content = path.read_bytes()
        path.unlink()  # rather than change the file that `first` has mapped
        if damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "flip":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        second = prepare(str(file))
        assert len(readings) == 4 or name == "manifest.json"
        assert second.train.tobytes() == train
        assert second.heldout.tobytes() == heldout
        prepare(str(file))
        assert len(readings) <= 4

    def test_stale_format_is_rebuilt(self, file, cache, readings, monkeypatch):
        first = prepare(str(file))
        monkeypatch.setattr(corpora, "FORMAT", 2)
        assert prepare(str(file)).fingerprint != first.fingerprint
        assert len(readings) == 4

    def test_another_corpus_under_the_name_is_not_used(self, file, cache):
        right, other = prepare(str(file)), prepare(str(file), seq_len=8)
        folder = cache / right.fingerprint[:32]
        shutil.rmtree(folder)
        (cache / other.fingerprint[:32]).rename(folder)
        assert prepare(str(file)).train.shape[1] == 32

    def test_interrupted(self, file, cache, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(corpora, "split", interrupt)
            with pytest.raises(KeyboardInterrupt):
                prepare(str(file))
        assert all(path.name.endswith(".lock") for path in cache.iterdir())
        fingerprint = prepare(str(file)).fingerprint
        shutil.rmtree(cache / fingerprint[:32])
        left_over = cache / f".{fingerprint[:32]}.123.tmp"
        left_over.mkdir()
        prepare(str(file))
        assert not left_over.exists()

    def test_not_writable(self, file, tmp_path, monkeypatch, capsys):
        (tmp_path / "blocked").write_text("a file where the folder should be: not even root can write into it")
        corpus = prepare(str(file), cache=tmp_path / "blocked")
        warning = capsys.readouterr().err
        assert warning.count("\n") == 1
        assert "blocked" in warning
        assert sorted(corpus.tokenizer.decode(corpus.train))  # still readable
        assert (prepare(str(file)).train == corpus.train).all()
        assert capsys.readouterr() == ("", "")

    def test_read_only_cache_is_used(self, file, cache, readings, monkeypatch, capsys):
        first = prepare(str(file))

        def denied(*_):
            raise AssertionError("nothing needs to be written")

        monkeypatch.setattr(gan_core.storage.cache, "folder_to_write", denied)
        assert (prepare(str(file)).train == first.train).all()

    def test_full_disk(self, file, cache, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(corpora, "row_hashes", full)
        with pytest.raises(GanError, match="No space left on device") as caught:
            prepare(str(file))
        assert str(cache) in str(caught.value)
        assert caught.value.exit_code == 1
        assert all(path.name.endswith(".lock") for path in cache.iterdir())

    def test_several_processes_at_once(self, file, cache):
        """As torchrun starts them: all get the same rows, and one of them does the work."""
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        processes = [context.Process(target=prepared_elsewhere, args=(str(file), str(cache), queue)) for _ in range(3)]
        for process in processes:
            process.start()
        rows = {queue.get(timeout=60) for _ in processes}
        for process in processes:
            process.join()
        assert rows == {prepare(str(file)).train.tobytes()}


class TestOtherSources:
    def test_fixed_tokenizer(self, file, tmp_path):
        tokenizer = prepare(str(file)).tokenizer
        path = tmp_path / "other"
        path.write_text("cat Ω\ndog\n\nmat\n", encoding="utf-8")
        corpus = prepare(str(path), fixed_tokenizer=tokenizer)
        assert corpus.tokenizer.fingerprint() == tokenizer.fingerprint()
        texts = corpus.tokenizer.decode(corpus.train) + corpus.tokenizer.decode(corpus.heldout)
        assert sorted(texts) == ["cat \ufffd", "dog", "mat"]
        assert corpus.counts["unknown_share"] == 1 / 11

    @pytest.mark.parametrize("packed", [False, True])
    def test_open_rows(self, tmp_path, packed):
        path = tmp_path / "f"
        content = "abc\n\n \nabc\nüxyz".encode()
        path.write_bytes(gzip.compress(content) if packed else content)
        tokenizer = train("char", [b"aabbc\n"], None, 8)
        rows = open_rows(str(path), tokenizer, 4)
        assert rows.tolist() == [[2, 3, 4, 0], [2, 3, 4, 0], [1, 1, 1, 1]]
        assert rows.dtype == np.uint8

    def test_plain_rows(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("aé\n\n 😀xyz\n", encoding="utf-8")
        rows = plain_rows(str(path), 3)
        assert rows.dtype == np.uint32
        assert rows.tolist() == [[97, 0xE9, END], [END] * 3, [32, 0x1F600, 120]]
        path.write_bytes(b"\n\n\nx")
        assert len(plain_rows(str(path), 2)) == 4
        path.write_bytes(b"\n")
        assert plain_rows(str(path), 2).tolist() == [[END, END]]

    def test_bad_utf8_is_named(self, tmp_path):
        path = tmp_path / "f"
        path.write_bytes(b"fine\n\xff\n")
        for read in (lambda: plain_rows(str(path), 3), lambda: open_rows(str(path), ByteTokenizer(), 3)):
            with pytest.raises(DataError, match="line 2"):
                read()
        assert len(plain_rows(str(path), 3, bad_utf8="replace")) == 2
        assert len(open_rows(str(path), ByteTokenizer(), 3, bad_utf8="skip")) == 1
