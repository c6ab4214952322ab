"""Several corpora as one: rows by arithmetic, one vocabulary, one fingerprint, and mixes that cannot be one."""

import gzip

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_core.errors import DataError
from gan_core.recipes.plan import settle
from seqgan_gp.corpus.corpus import open_rows, plain_rows, prepare
from seqgan_gp.corpus.joined import JoinedRows, several
from seqgan_gp.domain import open_domain
from seqgan_gp.settings import TEXT
from tests.seqgan_gp.corpus.test_corpus import sentences

pytestmark = pytest.mark.usefixtures("cache")


def write(path, lines):
    text = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


@pytest.fixture
def two(tmp_path):
    return write(tmp_path / "a.txt", sentences(1500)), write(tmp_path / "b.txt.gz", sentences(700, 1))


class TestRows:
    @given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
    def test_are_those_of_one_array(self, lengths, data):
        whole = np.arange(3 * sum(lengths), dtype=np.uint16).reshape(-1, 3)
        rows = JoinedRows(np.split(whole, np.cumsum(lengths)[:-1]))
        assert rows.shape == whole.shape and rows.dtype == whole.dtype and len(rows) == len(whole)
        assert (rows.ndim, rows.size, rows.nbytes) == (whole.ndim, whole.size, whole.nbytes)
        number = st.none() | st.integers(-12, 30)
        key = slice(data.draw(number), data.draw(number), data.draw(st.sampled_from([None, 1, 2, -1])))
        np.testing.assert_array_equal(rows[key], whole[key])
        np.testing.assert_array_equal(rows[key, -2:], whole[key, -2:])
        if len(whole):
            one = st.integers(-len(whole), len(whole) - 1)
            indices = np.array(data.draw(st.lists(one, max_size=9)), np.int64)
            np.testing.assert_array_equal(rows[indices], whole[indices])
            mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
            np.testing.assert_array_equal(rows[mask], whole[mask])
            place = data.draw(one)
            np.testing.assert_array_equal(rows[place], whole[place])
            assert rows[place, 1] == whole[place, 1]
        for index in (len(whole), -len(whole) - 1):
            with pytest.raises(IndexError):
                rows[index]
        np.testing.assert_array_equal(rows == 4, whole == 4)
        np.testing.assert_array_equal(np.where(rows > 3, rows, 0), np.where(whole > 3, whole, 0))
        np.testing.assert_array_equal(rows.astype(np.int64) @ np.ones(3, int), whole.sum(1))
        assert rows.tolist() == whole.tolist()

    def test_a_slice_of_one_part_is_no_copy(self):
        parts = [np.zeros((3, 2)), np.ones((4, 2))]
        assert np.shares_memory(JoinedRows(parts)[3:6], parts[1])


class TestCorpus:
    def test_is_its_parts_one_after_the_other(self, two):
        a, b = two
        whole, first = prepare(f"{a},{b}"), prepare(a)
        second = prepare(b, fixed_tokenizer=first.tokenizer)
        for side in ("train", "heldout"):
            rows = np.concatenate([getattr(first, side), getattr(second, side)])
            assert np.array_equal(np.asarray(getattr(whole, side)), rows)
            assert whole.counts[side] == len(rows) == len(getattr(whole, f"{side}_labels"))
        assert whole.counts["lines"] == 2200 and whole.description == f"{a}, {b}" and whole.classes == ()
        assert not {row.tobytes() for row in whole.train} & {row.tobytes() for row in whole.heldout}
        assert len({whole.fingerprint, first.fingerprint, second.fingerprint, prepare(f"{b},{a}").fingerprint}) == 4

    @pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
    def test_each_is_prepared_once(self, tmp_path, two, readings, kind):
        a, b = two
        c = write(tmp_path / "c.txt", sentences(900, 2))
        how = dict(tokenizer=kind, vocab_size=290 if kind == "bpe" else None)
        prepare(a, **how)
        read = len(readings)
        prepare(f"{a},{b}", **how)
        assert set(readings[read:]) == {b}  # what the first was alone, it is beside others
        read = len(readings)
        prepare(f"{a},{b}", **how), prepare(f"{a},{b},{c}", **how)
        assert set(readings[read:]) == {c}
        if kind == "byte":
            read = len(readings)
            prepare(f"{c},{b}", **how), prepare(b, **how)
            assert len(readings) == read

    def test_nothing_is_copied(self, two):
        whole = prepare(",".join(two))
        assert all(isinstance(part, np.memmap) for part in (*whole.train.parts, *whole.heldout.parts))

    def test_labels(self, tmp_path):
        a = write(tmp_path / "a.txt", [f"{'xz'[n % 2]}\tline {n} of a" for n in range(400)])
        b = write(tmp_path / "b.txt", [f"{'yx'[n % 2]}\tline {n} of a" for n in range(400, 800)])
        corpus = prepare(f"{a},{b}")
        assert corpus.classes == ("x", "y", "z")
        for rows, labels in ((corpus.train, corpus.train_labels), (corpus.heldout, corpus.heldout_labels)):
            for text, label in zip(corpus.tokenizer.decode(rows[:]), labels, strict=True):
                number = int(text.split()[1])
                assert corpus.classes[label] == ("xz" if number < 400 else "yx")[number % 2]

    def test_as_a_domain(self, two):
        about = settle(TEXT, dict(data=",".join(two), smoothing=0.0)).settings(TEXT)
        domain = open_domain(about)
        rows = np.asarray(domain.data.corpus.train)
        indices = np.array([0, len(rows) - 1, 1450, 7, 7])
        assert np.array_equal(domain.data.batch(indices, torch.device("cpu"), 0).x.argmax(1).numpy(), rows[indices])
        assert (
            next(domain.data.held_out(20)).x.shape[0] == 20
            and f"{len(rows):,} lines to learn from" in domain.data.summary()
        )
        one = prepare(two[0])
        assert domain._scorers["wgan-gp"].score(rows[:640])["num_reference"] == len(rows) > len(one.train)

    def test_rows_to_compare_with(self, two):
        tokenizer = prepare(two[0]).tokenizer
        assert open_rows(",".join(two), tokenizer, 32).shape == plain_rows(",".join(two), 32).shape == (2200, 32)


class TestRefused:
    def refused(self, spec, *mentions, **how):
        with pytest.raises(DataError) as caught:
            prepare(spec, **how)
        message = str(caught.value)
        assert "\n" not in message and all(mention in message for mention in mentions), message

    def test_symbols_that_the_first_has_not(self, tmp_path, two):
        greek = write(tmp_path / "greek.txt", ["αβγδ εζηθ" + str(n) for n in range(300)])
        self.refused(f"{two[0]},{greek}", greek, "vocabulary", two[0], "--tokenizer byte")
        assert prepare(f"{two[0]},{greek}", tokenizer="byte").counts["unknown_share"] == 0

    def test_some_labelled(self, tmp_path, two):
        labelled = write(tmp_path / "l.txt", [f"{'xy'[n % 2]}\tthe cat sat on mat {n}" for n in range(300)])
        self.refused(f"{labelled},{two[1]}", f"{labelled} is labelled and {two[1]} is not", "--labels none")

    def test_too_few_lines(self, tmp_path, two):
        """They would be divided otherwise than the others, and a line could be on both sides."""
        self.refused(f"{two[0]},{write(tmp_path / 'few.txt', ['the cat', 'a dog'])}", "few.txt has too few lines")

    def test_missing(self, two):
        self.refused(f"{two[0]},missing.txt", "missing.txt does not exist")
        self.refused(f"{two[0]},", "nothing between two commas")


def test_a_list_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert several("a,b") == ["a", "b"] and several("a") == ["a"] and several("hf:x/y:train") == ["hf:x/y:train"]
    assert several("d/*.txt,e.gz") == ["d/*.txt", "e.gz"]
    for name in ("a,b", "f,1.txt", "f2.txt"):
        (tmp_path / name).write_text("x")
    assert several("a,b") == ["a,b"] and several("f[,2]*.txt") == ["f[,2]*.txt"]
