"""The n-gram score against its definition in plain Python, saved references against damage, Markov chains."""

import gzip
import math
import pickle
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgan_gp import ngrams
from seqgan_gp.ngrams import Counts, MarkovChain, Reference, count, jensen_shannon, markov_chains

WORDNET = Path(__file__).parents[2] / "data" / "wordnet"

ENGLISH = [
    "the house was quiet and the windows were dark when they came home",
    "she said that the price of bread had risen again in March",
    "nobody in the village could remember a winter as cold as this one",
    "the committee will meet on Thursday to vote on the new budget",
    "he put the letter back into the drawer and locked it",
    "rain fell on the hills, on the river and on the empty road",
    "two of the three engines failed shortly after take-off",
    "the children were told to wait outside until the bell rang",
    "it was not the first time that the bridge had been closed",
    "the price of oil fell by two per cent on Monday",
    "a dog barked somewhere behind the old mill",
    "they had been walking for hours when the path came to an end",
    "`what do you mean?' he asked, and put down the newspaper",
]
KOREAN = [
    "오늘은 날씨가 좋아서 공원에 산책하러 갔다",
    "어머니는 시장에서 사과와 배를 사 오셨다",
    "그 책은 어제 도서관에서 빌린 것이다",
    "기차가 늦게 도착해서 회의에 늦었다",
    "오늘은 비가 와서 집에서 책을 읽었다",
]
EMOJI = [
    "good morning 🌞 see you 🧀",
    "🧿🧿🧿🧿🧿🧿🧿🧿",
    "see you at the party 🎉🎉 🥳",
    "good night 🌙 🧿",
]


def encode(lines, length, pad="`"):
    """Code points, cut and padded: (N, length) uint32."""
    text = "".join(line[:length].ljust(length, pad) for line in lines)
    return np.frombuffer(text.encode("utf-32-le"), np.uint32).reshape(-1, length)


def wordnet(number):
    paths = sorted(WORDNET.glob("*.txt.gz"))
    if not paths:
        pytest.skip("data/wordnet is not there")
    lines = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n") for _, line in zip(range(number // len(paths)), file, strict=False)]
    return lines


def plain_counts(rows, n):
    grams = Counter()
    for row in rows.tolist():
        grams.update(tuple(row[i : i + n]) for i in range(len(row) - n + 1))
    return grams


def plain_score(reference, sample, n):
    """Straight from the definition: [KL(P||M) + KL(Q||M)] / 2 in bits."""
    p, q = plain_counts(reference, n), plain_counts(sample, n)
    p_total, q_total = sum(p.values()), sum(q.values())
    first, second = [], []
    for gram in p.keys() | q.keys():
        a, b = p[gram] / p_total, q[gram] / q_total
        m = (a + b) / 2
        if a:
            first.append(a * math.log2(a / m))
        if b:
            second.append(b * math.log2(b / m))
    return (math.fsum(first) + math.fsum(second)) / 2


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


@st.composite
def two_sets(draw):
    symbols = draw(st.sampled_from([1, 2, 3, 40, 1 << 11, 1 << 16, 1 << 21]))
    length = draw(st.integers(1, 8))
    symbol = st.integers(0, symbols - 1) | st.sampled_from([0, symbols - 1])
    rows = st.lists(st.lists(symbol, min_size=length, max_size=length), min_size=1, max_size=6)
    return np.array(draw(rows)), np.array(draw(rows)), symbols, draw(st.integers(1, min(6, length)))


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


@given(two_sets())
def test_reference_holds_the_counts_of_every_length(sets):
    rows, _, symbols, n = sets
    for m, counts in Reference.count(rows, n, symbols).counts.items():
        assert as_dict(counts) == plain_counts(rows, m)
        assert counts.total == counts.counts.sum() == len(rows) * (rows.shape[1] - m + 1)
        assert np.all(counts.keys[1:] > counts.keys[:-1])


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


# Markov chains


def long_pads(length=90):
    """Rows whose last seven or more symbols are padding: every context but the rows' ends is continued."""
    assert max(map(len, ENGLISH)) < length - 7
    return encode(ENGLISH, length)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_a_chain_emits_only_what_it_has_seen(order):
    rows = long_pads()
    sample = MarkovChain(rows, order, 200).sample(400, 120, seed=3)
    assert sample.shape == (400, 120)
    assert sample.dtype == rows.dtype
    seen = plain_counts(rows, order + 1)
    assert plain_counts(sample, order + 1).keys() <= seen.keys()
    if order:
        starts = {tuple(row[:order]) for row in rows.tolist()}
        assert {tuple(row[:order]) for row in sample.tolist()} == starts
    more = plain_counts(sample, order + 2).keys() - plain_counts(rows, order + 2).keys()
    assert more or order == 5, "a shorter context than the chain's order makes new combinations"


def transitions(rows, order):
    """(previous symbols, next) -> how often, with None before the beginning of a line."""
    table = Counter()
    for row in rows.tolist():
        row = [None] * order + row
        table.update((tuple(row[i : i + order]), row[i + order]) for i in range(len(row) - order))
    return table


@pytest.mark.parametrize("order", [0, 1, 3])
def test_transitions_are_as_frequent_as_in_training(order):
    rows = long_pads()
    trained = transitions(rows, order)
    drawn = transitions(MarkovChain(rows, order, 200).sample(3000, 90, seed=1), order)
    of_context, of_drawn = Counter(), Counter()
    for (context, _), number in trained.items():
        of_context[context] += number
    for (context, _), number in drawn.items():
        of_drawn[context] += number
    worst, tested = 0.0, 0
    for (context, symbol), number in trained.items():
        p, n = number / of_context[context], of_drawn[context]
        if p < 1 and n * min(p, 1 - p) > 25:
            worst = max(worst, abs(drawn[context, symbol] - n * p) / math.sqrt(n * p * (1 - p)))
            tested += 1
    assert tested > 25
    assert 0.5 < worst < 4.5  # standard errors


def test_real_lines_score_better_the_longer_the_context():
    rows = encode(wordnet(4000), 32)
    chains = markov_chains(rows, 5, 1 << 7)
    reference = Reference.count(rows, 4, 1 << 7)
    scores = [reference.scores(chains[order].sample(640, 32, seed=0))[4] for order in range(1, 6)]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2
    assert scores[0] > 2 * scores[2]
    floor = reference.scores(rows[::6][:640])[4]
    assert scores[2] > floor - 0.02


def test_sentences_score_better_the_longer_the_context():
    rows = encode(ENGLISH, 32)
    reference = Reference.count(rows, 4, 200)
    first, third = (reference.scores(MarkovChain(rows, k, 200).sample(640, 32, seed=0))[4] for k in (1, 3))
    assert first > third + 0.2


def test_samples_depend_on_the_seed_only():
    chain = MarkovChain(encode(ENGLISH, 32), 2, 200)
    first = chain.sample(50, 32, seed=5)
    assert np.array_equal(first, chain.sample(50, 32, seed=5))
    assert not np.array_equal(first, chain.sample(50, 32, seed=6))
    assert chain.sample(0, 32, seed=5).shape == (0, 32)


@pytest.mark.parametrize("lines", [ENGLISH, KOREAN + EMOJI], ids=["english", "korean, emoji"])
def test_chains_made_together_equal_chains_made_alone(lines):
    rows = encode(lines, 32)
    chains = markov_chains(rows, 5)
    assert list(chains) == [1, 2, 3, 4, 5]
    for order, chain in chains.items():
        assert chain.order == order
        assert np.array_equal(chain.sample(40, 50, seed=9), MarkovChain(rows, order).sample(40, 50, seed=9))


def test_two_word_contexts_draw_the_same_lines(monkeypatch):
    rows = encode(ENGLISH, 32)
    one_word = MarkovChain(rows, 5, 200).sample(300, 40, seed=0)
    monkeypatch.setattr(ngrams, "_bits", lambda symbols: 21)
    chain = MarkovChain(rows, 5, 200)
    assert chain._levels[5].contexts.dtype == "S16"
    assert np.array_equal(chain.sample(300, 40, seed=0), one_word)


def test_contexts_without_continuation_back_off_one_symbol_at_a_time():
    # (1, 2) only ends a row: then the order-1 context 2 decides, which 1 always follows; (2, 1) is followed by 3.
    rows = np.array([[0, 1, 2], [2, 1, 3]], np.uint8)
    sample = MarkovChain(rows, 2, 4).sample(500, 5, seed=0)
    assert {tuple(row) for row in sample.tolist() if row[0] == 0} == {(0, 1, 2, 1, 3)}
    # (1, 3) and 3 only end rows: any symbol may follow, as often as it occurs.
    after = Counter(row[3] for row in sample.tolist() if row[0] == 2)
    total = sum(after.values())
    for symbol, p in {0: 1 / 6, 1: 1 / 3, 2: 1 / 3, 3: 1 / 6}.items():
        assert abs(after[symbol] - total * p) < 4.5 * math.sqrt(total * p * (1 - p))


@settings(max_examples=30)
@given(two_sets(), st.integers(0, 4))
def test_any_rows_make_a_chain(sets, order):
    rows, _, symbols, _ = sets
    sample = MarkovChain(rows, order, symbols).sample(7, 12, seed=0)
    assert sample.shape == (7, 12)
    assert set(sample.ravel().tolist()) <= set(rows.ravel().tolist())
    assert set(sample[:, 0].tolist()) <= set((rows[:, 0] if order else rows).ravel().tolist())
