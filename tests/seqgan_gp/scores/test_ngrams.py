"""The n-gram score against its definition in plain Python, saved references against damage."""

import math
import pickle
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings

from seqgan_gp.scores import ngrams
from seqgan_gp.scores.markov import MarkovChain
from seqgan_gp.scores.ngrams import Counts, Reference, count, jensen_shannon
from tests.seqgan_gp.sets import EMOJI, ENGLISH, KOREAN, encode, plain_counts, plain_score, two_sets, wordnet


def as_dict(counts: Counts):
    """The counts with their keys unpacked into tuples of symbols."""
    bits = max(1, (counts.symbols - 1).bit_length())
    fit = 64 // bits
    result = {}
    for key, number in zip(counts.keys, counts.counts.tolist(), strict=True):
        value = int(key) if counts.n <= fit else None
        if value is None:
            raw = bytes(key).ljust(16, b"\0")
            value = int.from_bytes(raw[:8], "big") << (bits * (counts.n - fit)) | int.from_bytes(raw[8:], "big")
        result[tuple(value >> (bits * i) & ((1 << bits) - 1) for i in reversed(range(counts.n)))] = number
    return result


def same(first: Reference, second: Reference):
    about = [(r.num_lines, r.length, r.symbols, sorted(r.counts)) for r in (first, second)]
    pairs = [(first.counts[n], second.counts[n]) for n in first.counts]
    return about[0] == about[1] and all(
        a.total == b.total and np.array_equal(a.keys, b.keys) and np.array_equal(a.counts, b.counts) for a, b in pairs
    )


# The score


@pytest.mark.parametrize("symbols", [0x20000, ngrams.MAX_SYMBOLS, None], ids=["18 bits", "21 bits", "tight"])
@pytest.mark.parametrize(
    ("reference", "sample"),
    [(ENGLISH, ENGLISH[2:5]), (KOREAN, KOREAN[3:] + KOREAN[:1]), (EMOJI, EMOJI[3:]), (ENGLISH + EMOJI, KOREAN)],
    ids=["english", "korean", "emoji", "different alphabets"],
)
def test_score_is_the_definition(reference, sample, symbols):
    rows, other = encode(reference, 40), encode([*sample, "price of oil 🧀, 사과"], 40)
    symbols = symbols or int(max(rows.max(), other.max())) + 1
    counted = Reference.count(rows, 6, symbols)
    scores = counted.scores(other)
    for n in range(1, 7):
        expected = plain_score(rows, other, n)
        assert 0 < expected <= 1
        assert scores[n] == pytest.approx(expected, abs=1e-12)
        assert jensen_shannon(count(rows, n, symbols), count(other, n, symbols)) == scores[n]
        assert as_dict(counted.counts[n]) == plain_counts(rows, n)


def test_score_is_the_definition_on_wordnet():
    rows = encode(wordnet(2400), 32)
    reference, sample = rows[::2], rows[1::4]
    symbols = int(rows.max()) + 1
    one_word, two_words = (Reference.count(reference, 6, size).scores(sample) for size in (symbols, 1 << 21))
    assert one_word == two_words
    for n in range(1, 7):
        assert one_word[n] == pytest.approx(plain_score(reference, sample, n), abs=1e-12)


@settings(deadline=None)
@given(two_sets())
def test_properties_of_the_score(sets):
    rows, other, symbols, n = sets
    p, q = count(rows, n, symbols), count(other, n, symbols)
    score = jensen_shannon(p, q)
    assert 0 <= score <= 1
    assert score == jensen_shannon(q, p)
    assert score == pytest.approx(plain_score(rows, other, n), abs=1e-12)
    assert jensen_shannon(p, count(np.concatenate([rows, rows]), n, symbols)) == 0
    assert (score == 1) == (not as_dict(p).keys() & as_dict(q).keys())


@settings(deadline=None)
@given(two_sets())
def test_reference_holds_the_counts_of_every_length(sets):
    rows, _, symbols, n = sets
    for m, counts in Reference.count(rows, n, symbols).counts.items():
        assert as_dict(counts) == plain_counts(rows, m)
        assert counts.total == counts.counts.sum() == len(rows) * (rows.shape[1] - m + 1)
        assert np.all(counts.keys[1:] > counts.keys[:-1])


@settings(deadline=None)
@given(two_sets())
def test_a_reference_without_some_of_its_lines_is_that_of_the_others(sets):
    rows, other, symbols, n = sets
    whole = Reference.count(np.concatenate([rows, other]), n, symbols)
    assert same(whole.without(Reference.count(other, n, symbols)), Reference.count(rows, n, symbols))


def test_rows_in_another_form_are_counted_a_block_at_a_time(monkeypatch):
    rows, seen = encode(ENGLISH, 32), []
    expected = Reference.count(rows, 6, 1 << 10)
    monkeypatch.setattr(ngrams, "BLOCK", 100)
    stored = (rows - 5).astype(np.uint8)

    def form(block):
        seen.append(len(block))
        return block.astype(np.uint32) + 5

    assert same(Reference.count(stored, 6, 1 << 10, form), expected)
    assert sum(seen[1:]) == len(rows) and max(seen) == 100 // 27 + 1  # the first call asks for the length


def test_by_hand():
    # P = {a: 3/4, b: 1/4}, Q = {a: 1/2, c: 1/2}: M = {a: 5/8, b: 1/8, c: 1/4}
    p, q = count(np.array([[0, 0, 0, 1]]), 1, 3), count(np.array([[0, 2]]), 1, 3)
    expected = (3 / 4 * math.log2(6 / 5) + 1 / 4 + 1 / 2 * math.log2(4 / 5) + 1 / 2) / 2
    assert jensen_shannon(p, q) == pytest.approx(expected, abs=1e-15)


def test_disjoint_scores_one_and_equal_zero():
    rows = encode(ENGLISH, 32)
    reference = Reference.count(rows, 6, 1 << 10)
    assert set(reference.scores(rows).values()) == {0.0}
    assert set(reference.scores(rows[::-1]).values()) == {0.0}
    assert set(reference.scores(rows[:7] + 200).values()) == {1.0}


def test_windows_stay_within_their_line():
    rows = encode(["ab", "cd", "ab"], 3, pad="_")
    pairs = {tuple(map(chr, gram)): number for gram, number in as_dict(count(rows, 2)).items()}
    assert pairs == {("a", "b"): 2, ("b", "_"): 2, ("c", "d"): 1, ("d", "_"): 1}


def test_blocks_and_hashing_change_nothing(monkeypatch):
    rows = encode((ENGLISH + KOREAN + EMOJI) * 5, 32)
    sizes = [0x20000, ngrams.MAX_SYMBOLS, 1 << 17]
    whole = [Reference.count(rows, 6, symbols) for symbols in sizes]
    for block, slots in [(50, 1 << 21), (1 << 23, 1 << 6), (700, 1 << 4), (1, 2)]:
        monkeypatch.setattr(ngrams, "BLOCK", block)
        monkeypatch.setattr(ngrams, "SLOTS", slots)
        for symbols, expected in zip(sizes, whole, strict=True):
            assert same(Reference.count(rows, 6, symbols), expected)


def test_a_large_set_is_counted_alike_by_table_hash_and_sort(monkeypatch):
    rows = np.random.default_rng(0).geometric(0.2, (120_000, 20)).clip(max=31).astype(np.uint8)
    hashed = count(rows, 6, 32)
    monkeypatch.setattr(ngrams, "SLOTS", 1 << 40)
    ordered = count(rows, 6, 32)
    assert hashed.total == 120_000 * 15 == hashed.counts.sum()
    assert np.array_equal(hashed.keys, ordered.keys)
    assert np.array_equal(hashed.counts, ordered.counts)
    dense = count(rows, 4, 32)
    monkeypatch.setattr(ngrams, "BLOCK", 1 << 12)  # too few windows a block for a table of all keys
    assert np.array_equal(dense.counts, count(rows, 4, 32).counts)


@pytest.mark.parametrize("symbols", [8, ngrams.MAX_SYMBOLS])
def test_hashing_leaves_nothing_over_where_there_are_few_n_grams(symbols):
    rows = np.full((1 << 16, 14), 7, np.uint8)
    counts = count(rows, 6, symbols)
    assert len(rows) * 9 >= ngrams.SLOTS
    assert as_dict(counts) == {(7,) * 6: len(rows) * 9}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_the_type_of_the_rows_does_not_matter(dtype):
    rows = encode(ENGLISH, 32)
    scores = Reference.count(rows, 6, 200).scores(rows[:5].astype(dtype))
    assert scores == Reference.count(rows.astype(dtype), 6, 200).scores(rows[:5])
    assert scores[4] == pytest.approx(plain_score(rows, rows[:5], 4), abs=1e-12)


ROWS = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: count(ROWS, 5, 12), "5-grams do not fit lines of 4 symbols"),
        (lambda: count(ROWS, 0, 12), "0-grams do not fit"),
        (lambda: Reference.count(ROWS, 6, 12), "6-grams do not fit lines of 4 symbols"),
        (lambda: count(ROWS, 2, 11), "symbol 11 is outside the alphabet of 11 symbols"),
        (lambda: count(ROWS - 1, 2, 12), "symbol -1 is outside"),
        (lambda: count(ROWS, 2, (1 << 21) + 1), "an alphabet of 2097153 symbols is not between 1 and 2097152"),
        (lambda: count(ROWS, 2, 0), "an alphabet of 0 symbols"),
        (lambda: count(np.zeros((2, 9), int), 7), "7-grams of 2097152 symbols need more than the 128 bits"),
        (lambda: count(ROWS[0], 2, 12), "expected a non-empty .N, L. array of integers, not int64 of shape .4,."),
        (lambda: count(ROWS[:0], 2, 12), "expected a non-empty"),
        (lambda: count(ROWS / 2, 2, 12), "expected a non-empty"),
        (lambda: jensen_shannon(count(ROWS, 2, 12), count(ROWS, 3, 12)), "2-grams of 12 symbols do not compare"),
        (lambda: jensen_shannon(count(ROWS, 2, 12), count(ROWS, 2, 13)), "2-grams of 12 symbols do not compare"),
        (lambda: Reference.count(ROWS, 2, 12).scores(ROWS[:, :3]), "hold 3 symbols but the reference's 4"),
        (lambda: Reference.count(ROWS, 2, 12).scores(ROWS + 1), "symbol 12 is outside"),
        (lambda: MarkovChain(ROWS, -1, 12), "a Markov chain of order -1"),
        (lambda: MarkovChain(ROWS, 1, 4), "symbol 11 is outside"),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Saved references


@pytest.fixture(params=[1 << 7, 1 << 21], ids=["one word", "two words"])
def reference(request):
    return Reference.count(encode(ENGLISH[:4], 24), 6, request.param)


def test_round_trip(reference, tmp_path):
    path = tmp_path / "counts.bin"
    reference.save(path)
    loaded = Reference.load(str(path))
    assert same(loaded, reference)
    assert loaded.num_lines == 4
    sample = encode(ENGLISH[3:], 24)
    assert loaded.scores(sample) == reference.scores(sample)
    keys = sum(counts.keys.nbytes for counts in reference.counts.values())
    assert path.stat().st_size < keys + 8000, "counts below 256 take a byte each"


def test_a_cut_file_is_refused(reference, tmp_path):
    path = tmp_path / "counts.npz"
    reference.save(path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"counts\.npz is damaged or is not"):
            Reference.load(path)


def test_a_flipped_bit_is_refused_or_harmless(reference, tmp_path):
    path = tmp_path / "counts.npz"
    reference.save(path)
    whole = path.read_bytes()
    refused = 0
    rng = np.random.default_rng(0)
    places = rng.permutation(len(whole))[:500]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert same(Reference.load(path), reference)  # the date of a member, say
        except ValueError:
            refused += 1
    assert refused > 0.8 * len(places)


def rewrite(reference, path, compressed=False, **changes):
    """A file whose checksums are right and whose content may not be."""
    reference.save(path)
    arrays = {**np.load(path), **changes}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)


def test_an_untouched_rewrite_is_accepted(reference, tmp_path):
    rewrite(reference, tmp_path / "counts.npz")
    assert same(Reference.load(tmp_path / "counts.npz"), reference)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: {"counts_3": a["counts_3"] + 1}, "3-gram counts do not add up"),
        (lambda a: {"counts_3": a["counts_3"].astype(float)}, "3-grams have a wrong type"),
        (lambda a: {"counts_3": a["counts_3"].astype(np.int64)}, "3-grams have a wrong type"),
        (lambda a: {"counts_3": a["counts_3"][:-1]}, "3-grams have a wrong shape"),
        (lambda a: {"counts_3": a["counts_3"][None]}, "3-grams have a wrong shape"),
        (lambda a: {"counts_3": np.append(a["counts_3"][:-1], 0).astype(np.uint8)}, "3-grams have impossible"),
        (lambda a: {"keys_3": a["keys_3"][::-1]}, "3-grams are not in order"),
        (lambda a: {"keys_3": a["keys_3"].astype(np.float64)}, "3-grams have a wrong type"),
        (lambda a: {"keys_3": a["keys_3"][:0], "counts_3": a["counts_3"][:0]}, "3-grams have a wrong shape"),
        (lambda a: {"keys_3": a["keys_3"] + np.uint64(1 << 63)}, "3-grams hold unknown symbols"),
        (lambda a: {"keys_6": a["keys_6"].astype("S15" if a["keys_6"].dtype == "S16" else "S16")}, "wrong type"),
        (lambda a: {"keys_3": None}, "its members are not those expected"),
        (lambda a: {"other": np.zeros(1)}, "its members are not those expected"),
        (lambda a: {"about": a["about"].astype(float)}, "its format is unknown"),
        (lambda a: {"about": a["about"] + [1, 0, 0, 0, 0]}, "its format is unknown"),
        (lambda a: {"about": a["about"] + [0, 1, 0, 0, 0]}, "do not add up"),
        (lambda a: {"about": a["about"] + [0, 0, 1, 0, 0]}, "do not add up"),
        (lambda a: {"about": a["about"] + [0, 0, 1 << 21, 0, 0]}, "do not add up"),
        (lambda a: {"about": a["about"] + [0, 0, 0, 1 << 21, 0]}, "its sizes make no sense"),
        (lambda a: {"about": a["about"] + [0, 0, 0, 0, 99]}, "its sizes make no sense"),
        (lambda a: {"about": a["about"] * [1, -1, 1, 1, 1]}, "its sizes make no sense"),
        (lambda a: {"about": a["about"] + [0, 1 << 60, 0, 0, 0]}, "impossible counts"),
        (lambda a: {"compressed": True}, "it is compressed"),
    ],
)
def test_a_hostile_file_is_refused(reference, tmp_path, change, complaint):
    path = tmp_path / "counts.npz"
    reference.save(path)
    with np.load(path) as archive:
        changes = change(dict(archive))
    rewrite(reference, path, **changes)
    with pytest.raises(
        ValueError, match=re.escape(f"{path} is damaged or is not a saved n-gram reference") + ".*" + complaint
    ):
        Reference.load(path)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickled object was executed",)


def test_pickles_are_not_executed(reference, tmp_path):
    path = tmp_path / "counts.npz"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="is damaged or is not"):
        Reference.load(path)
    rewrite(reference, path, keys_3=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match="is damaged or is not"):
        Reference.load(path)


def test_other_files_are_refused(reference, tmp_path):
    path = tmp_path / "counts.npz"
    np.save(path.with_suffix(".npy"), np.arange(5))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", b"\x93NUMPY\x01\x00\x46\x00{'descr': '<i8', 'shape': (1 << 50,)}")
    for other in (path, path.with_suffix(".npy")):
        with pytest.raises(ValueError, match="is damaged or is not"):
            Reference.load(other)
    with pytest.raises(FileNotFoundError):
        Reference.load(tmp_path / "missing.npz")
