"""Labels on their way into a corpus and its cache."""

import gzip
import json
import shutil

import numpy as np
import pytest

from gan_core.errors import DataError
from seqgan_gp.corpus import preparation
from seqgan_gp.corpus.corpus import open_rows, plain_rows, prepare
from seqgan_gp.lines import END
from seqgan_gp.sources import labelled
from seqgan_gp.tokenizers.characters import ByteTokenizer
from tests.seqgan_gp.corpus.test_corpus import sentences

CLASSES = ("ant", "bee", "cow")
UNLABELLED_FILES = {"corpus.json", "heldout.bin", "manifest.json", "tokenizer.json", "train.bin"}


def labelled_lines(count, seed=0):
    """Different sentences with a class each, None for every seventh."""
    texts = sorted(set(sentences(count, seed)))
    return [(None if number % 7 == 3 else CLASSES[number % 3], text) for number, text in enumerate(texts)]


def tabbed(lines):
    return "".join(f"{name or ''}\t{text}\n" for name, text in lines)


def found(corpus):
    """The sentences of both sides, as they are decoded, with the names of their classes."""
    pairs = []
    for rows, labels in ((corpus.train, corpus.train_labels), (corpus.heldout, corpus.heldout_labels)):
        assert labels.shape == (len(rows),) and labels.dtype == np.int16
        names = [None if label < 0 else corpus.classes[label] for label in labels]
        pairs += zip(names, corpus.tokenizer.decode(rows), strict=True)
    return pairs


def same_rows(a, b):
    return a.train.tobytes() == b.train.tobytes() and a.heldout.tobytes() == b.heldout.tobytes()


@pytest.fixture
def lines():
    return labelled_lines(1500)


@pytest.fixture
def file(tmp_path, cache, lines):
    path = tmp_path / "lines.txt"
    path.write_text(tabbed(lines), encoding="utf-8")
    return path


class TestLabels:
    @pytest.mark.parametrize("kind", ["byte", "char"])
    @pytest.mark.parametrize("cells", [1 << 20, 96 * 7])
    def test_stay_with_their_rows(self, file, lines, kind, cells, monkeypatch):
        """On both sides of the split, however the work is divided, whatever blank lines stand between."""
        monkeypatch.setattr(preparation, "CELLS", cells)
        monkeypatch.setattr(labelled, "LINES", 50)
        text = tabbed(sorted(lines, key=str, reverse=True))  # so classes are met in another order than theirs
        half = len(text) // 2
        file.write_text(text[:half] + text[half:].replace("\nbee\t", "\nbee\t \n\n \t\u3000\nbee\t"), encoding="utf-8")
        corpus = prepare(str(file), tokenizer=kind, seq_len=96, heldout=0.3, labels="tab")
        assert corpus.classes == CLASSES
        assert sorted(found(corpus), key=str) == sorted(lines, key=str)
        assert len(corpus.heldout) > 300
        added = corpus.counts["lines"] - len(lines)
        assert corpus.counts["blank"] == added > 300

    def test_nothing_else_changes(self, file, lines, tmp_path):
        """Rows, split, tokenizer and counts are those of the sentences alone."""
        alone = tmp_path / "alone"
        alone.write_text("".join(f"{text}\n" for _, text in lines), encoding="utf-8")
        with_labels, without = prepare(str(file)), prepare(str(alone))
        assert same_rows(with_labels, without)
        assert with_labels.tokenizer.fingerprint() == without.tokenizer.fingerprint()
        assert with_labels.counts == without.counts
        assert with_labels.description == str(file)

    def test_a_file_a_class(self, tmp_path, cache, lines):
        folder = tmp_path / "folder"
        folder.mkdir()
        lines = [(name, text) for name, text in lines if name]
        for name in CLASSES:
            text = "".join(f"{text}\r\n" for label, text in lines if label == name)
            (folder / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
        corpus = prepare(str(folder), seq_len=96)
        assert corpus.classes == CLASSES and sorted(found(corpus)) == sorted(lines)
        plain = prepare(str(folder), seq_len=96, labels="none")
        assert same_rows(corpus, plain) and plain.classes == ()
        assert corpus.fingerprint != plain.fingerprint

    def test_nothing_labelled(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_text("a\tone\nb\ttwo\na\tthree\nb\tfour\n")
        corpus = prepare(str(path), labels="none")
        assert sorted(text for _, text in found(corpus)) == ["a\tone", "a\tthree", "b\tfour", "b\ttwo"]
        assert corpus.classes == () and {name for name, _ in found(corpus)} == {None}
        for labels, rows in ((corpus.train_labels, corpus.train), (corpus.heldout_labels, corpus.heldout)):
            assert labels.tolist() == [-1] * len(rows) and labels.strides == (0,)  # no memory
        assert {entry.name for entry in (cache / corpus.fingerprint[:32]).iterdir()} == UNLABELLED_FILES

    def test_an_unlabelled_corpus_is_as_it_always_was(self, tmp_path, cache):
        """So what was prepared before there were labels is found again."""
        path = tmp_path / "f"
        path.write_text("".join(f"line {number}\n" for number in range(100)))
        corpus = prepare(str(path))
        assert corpus.fingerprint == "7fbec316654df7c748bf69c3f8e36cf46f924710e676cd8b84c63750d944e536"
        about = json.loads((cache / corpus.fingerprint[:32] / "corpus.json").read_text())
        assert set(about) == {"fingerprint", "seq_len", "counts"}

    def test_every_label_missing(self, tmp_path, cache):
        path = tmp_path / "f"
        path.write_text("\tone\n\ttwo\n\tthree\n")
        corpus = prepare(str(path), labels="tab")
        assert corpus.classes == () and sorted(text for _, text in found(corpus)) == ["one", "three", "two"]

    def test_is_read_only(self, file):
        corpus = prepare(str(file))
        for labels in (corpus.train_labels, corpus.heldout_labels):
            with pytest.raises(ValueError):
                labels[0] = 0

    def test_wordnet(self, cache):
        corpus, plain = prepare("wordnet"), prepare("wordnet", labels="none")
        assert corpus.classes == ("adjective", "adverb", "noun", "verb")
        labels = np.concatenate([corpus.train_labels, corpus.heldout_labels])
        assert np.bincount(labels).tolist() == [24_571, 4_924, 96_284, 18_100]
        assert same_rows(corpus, plain) and corpus.counts == plain.counts
        assert corpus.description == plain.description
        assert (np.diff(corpus.train_labels) >= 0).all()  # the files come one after the other


class TestRefused:
    @pytest.mark.parametrize(
        ("files", "labels", "mentions"),
        [
            ({"f.txt": "a\tsame\nb\tsame\n"}, "tab", ("two different",)),
            ({"f.txt": "a\t\nb\t \n\t\n"}, "tab", ("blank",)),
        ],
    )
    def test_content(self, tmp_path, cache, files, labels, mentions):
        folder = tmp_path / "data"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        with pytest.raises(DataError) as caught:
            prepare(str(folder), labels=labels)
        assert "\n" not in str(caught.value)
        assert all(mention in str(caught.value) for mention in (str(folder), *mentions)), caught.value
        assert not [entry for entry in cache.glob("*") if not entry.name.endswith(".lock")]  # nothing half-written


@pytest.mark.parametrize(
    "files",
    [
        {"f.txt": "a\tone\na\ttwo\nb\t\nb\t \n"},
        {"a.txt": "one\ntwo\nthree\nfour\n", "b.txt": "\n \n"},
        {"a.txt": "one\ntwo\n", "b.txt": ""},
    ],
)
def test_a_class_without_a_line_stays_a_class(tmp_path, cache, files):
    """It stops a run that learns from labels (tests/gan_core/game/test_refusals.py), and no other."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    corpus = prepare(str(folder), labels="auto" if "f.txt" in files or len(files["a.txt"]) > 10 else "file")
    assert corpus.classes == ("a", "b") and {*corpus.train_labels, *corpus.heldout_labels} == {0}


class TestCache:
    def test_hit(self, file, cache, readings):
        first, second = prepare(str(file)), prepare(str(file))
        assert len(readings) == 2  # for the vocabulary, and to encode
        assert found(first) == found(second) and first.classes == second.classes == CLASSES
        written = {entry.name for entry in (cache / first.fingerprint[:32]).iterdir()}
        assert written == UNLABELLED_FILES | {"train-labels.bin", "heldout-labels.bin"}

    @pytest.mark.parametrize("name", ["train-labels.bin", "heldout-labels.bin", "corpus.json"])
    @pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
    def test_damage_is_repaired(self, file, cache, readings, name, damage):
        before = found(prepare(str(file)))
        fingerprint = prepare(str(file)).fingerprint
        path = cache / fingerprint[:32] / name
        content = path.read_bytes()
        path.unlink()  # rather than change the file that is mapped
        if damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "flip":
            path.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
        assert found(prepare(str(file))) == before
        assert len(readings) == 4

    def test_follows_labels_and_form(self, file, tmp_path):
        text = file.read_text(encoding="utf-8")
        prints = [prepare(str(file)).fingerprint, prepare(str(file), labels="none").fingerprint]
        assert prepare(str(file), labels="tab").fingerprint == prints[0]  # the form that "auto" settles on
        file.write_text(text.replace("ant\t", "bee\t", 1), encoding="utf-8")
        prints.append(prepare(str(file)).fingerprint)
        for names in (("x", "y"), ("x", "z"), ("z", "x")):
            folder = tmp_path / "-".join(names)
            folder.mkdir()
            for name, content in zip(names, ("one\ntwo\nthree\n", "four\nfive\nsix\n"), strict=True):
                (folder / f"{name}.txt").write_text(content)
            prints.append(prepare(str(folder)).fingerprint)
        assert len(set(prints)) == len(prints)

    def test_rows_are_shared_by_no_two_forms(self, file, cache):
        right, plain = prepare(str(file)), prepare(str(file), labels="none")
        folder = cache / plain.fingerprint[:32]
        shutil.rmtree(folder)
        (cache / right.fingerprint[:32]).rename(folder)
        assert prepare(str(file), labels="none").classes == ()


class TestOtherSources:
    def test_open_rows(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("a\tone\n\ttwo\nb\t\n\na\tthree\nb\tfour\n")
        tokenizer = ByteTokenizer()
        assert tokenizer.decode(open_rows(str(path), tokenizer, 5)) == ["one", "two", "three", "four"]
        assert tokenizer.decode(open_rows(str(path), tokenizer, 5, labels="none"))[0] == "a\tone"

    def test_plain_rows(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("a\t1\n\t2\nb\t\nb\t3\nc\t4\nc\t5\n")
        assert plain_rows(str(path), 2)[0].tolist() == [ord("a"), ord("\t")]
        for labels in ("tab", "auto"):
            rows = plain_rows(str(path), 2, labels=labels)
            assert rows[:, 0].tolist() == [ord("1"), ord("2"), END, ord("3"), ord("4"), ord("5")]
            assert (rows[:, 1] == END).all()

    def test_labels_of_fewer_classes_are_no_matter(self, tmp_path):
        """Data to compare with need not show every class."""
        (tmp_path / "a.txt").write_text("one\ntwo\n")
        (tmp_path / "b.txt").write_text("\n \n")
        assert len(open_rows(str(tmp_path), ByteTokenizer(), 3)) == 2
