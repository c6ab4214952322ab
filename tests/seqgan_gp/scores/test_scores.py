"""Protocols: what is compared with what, at which sizes, and how padding counts."""

import numpy as np
import pytest

from seqgan_gp.corpus import corpus as corpora
from seqgan_gp.lines import END
from seqgan_gp.scores import protocols as scores
from seqgan_gp.scores.markov import MarkovChain, markov_chains
from seqgan_gp.scores.ngrams import Reference
from seqgan_gp.scores.plain import plain_scorer, score_plain
from seqgan_gp.scores.protocols import PROTOCOLS, in_words, other_scorer, run_scorer, table
from tests.seqgan_gp.sets import ENGLISH, KOREAN, encode, plain_score, wordnet

LINES = [f"{a} {b}" for a in ENGLISH for b in ("`", "again", "then", "`quoted'", "end")]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(line + "\n" for line in LINES))
    return corpora.prepare(str(path), tokenizer="char", vocab_size=40, seq_len=24, heldout=0.3)


def test_held_out_lines_are_in_no_training_batch(corpus):
    """Trap 15."""
    train, heldout = ({row.tobytes() for row in side} for side in (corpus.train, corpus.heldout))
    assert train and heldout and not train & heldout


@pytest.mark.parametrize("name", PROTOCOLS)
def test_scores_are_the_definition(corpus, name):
    sample = corpus.heldout[::2].copy()
    sample[0, 3:] = 0
    sample[0, 6] = 5  # a symbol after the end of the text
    report = run_scorer(PROTOCOLS[name], corpus).score(sample)
    reference = {"heldout": corpus.heldout, "wgan-gp": corpus.train}[name]
    backtick = int(corpus.tokenizer.encode_block(b"`\n", 1)[0, 0])
    if name == "wgan-gp":  # as emitted, padding is a backtick
        rows, real = (np.where(r == 0, backtick, r) for r in (sample, reference))
    else:  # as printed, padding is a symbol of its own
        rows, real = sample.copy(), reference
        rows[0, 6] = 0
    for n in range(1, 7):
        assert report["js"][str(n)] == pytest.approx(plain_score(real, rows, n), abs=1e-12)
    assert report["num_samples"] == len(sample) and report["num_reference"] == len(reference)


def test_floor_and_chains_are_at_the_same_size(corpus, monkeypatch):
    sizes = []
    original = Reference.scores
    monkeypatch.setattr(Reference, "scores", lambda self, rows: sizes.append(len(rows)) or original(self, rows))
    report = run_scorer(PROTOCOLS["wgan-gp"], corpus).score(corpus.heldout[:7])
    assert sizes.count(7) == 1 + 5 + 1 and report["num_floor"] == 7
    backtick = int(corpus.tokenizer.encode_block(b"`\n", 1)[0, 0])
    floor = corpus.heldout[np.argsort(corpora.row_hashes(corpus.heldout), kind="stable")[:7]]
    train, floor = (np.where(rows == 0, backtick, rows) for rows in (corpus.train, floor))
    for n in range(1, 7):
        assert report["floor"][str(n)] == pytest.approx(plain_score(train, floor, n), abs=1e-12)


def test_the_reference_is_counted_once_a_corpus(corpus, monkeypatch):
    first = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5])

    def refuse(*args, **kwargs):
        raise AssertionError("counted again")

    scorer = run_scorer(PROTOCOLS["heldout"], corpus)
    counted = Reference.count
    monkeypatch.setattr(
        Reference,
        "count",
        lambda rows, *a, **k: refuse() if len(rows) == len(corpus.heldout) else counted(rows, *a, **k),
    )
    assert scorer.score(corpus.heldout[:5])["js"] == first["js"]


def test_a_damaged_reference_is_counted_again(corpus):
    scorer = run_scorer(PROTOCOLS["heldout"], corpus)
    first = scorer.score(corpus.heldout[:5])
    root = corpora.cache_root(None)
    (file,) = root.glob(f"ngrams-{corpus.fingerprint[:24]}-heldout/reference.npz")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    assert run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5]) == first


def test_the_chains_are_counted_once_for_all_protocols(corpus, monkeypatch):
    reports = {name: run_scorer(protocol, corpus).score(corpus.heldout[:9]) for name, protocol in PROTOCOLS.items()}
    length = corpus.train.shape[1]
    chains = markov_chains(corpus.train, 5, corpus.tokenizer.size)
    monkeypatch.setattr(scores, "MarkovChain", None)
    scorer = run_scorer(PROTOCOLS["heldout"], corpus)
    for order, chain in chains.items():
        expected = scorer._known().reference.scores(chain.sample(9, length, seed=order))
        assert reports["heldout"]["markov"][str(order)] == scores.named(expected)


def test_a_stale_cache_is_not_read(corpus, monkeypatch):
    """Of another format, or with fewer n-grams."""
    first = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5])
    monkeypatch.setattr(scores, "MAX_N", 4)
    assert set(run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5])["js"]) == set("1234")
    monkeypatch.setattr(scores, "MAX_N", 6)
    assert run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5]) == first
    counted, count = [], Reference.count
    monkeypatch.setattr(scores, "FORMAT", scores.FORMAT + 1)
    monkeypatch.setattr(Reference, "count", lambda rows, *a, **k: counted.append(len(rows)) or count(rows, *a, **k))
    assert run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:5]) == first
    assert len(corpus.heldout) in counted


def test_a_floor_of_more_lines_than_are_kept_is_chosen_again(corpus, monkeypatch):
    whole = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:20])
    monkeypatch.setattr(scores, "KEPT_ROWS", 3)
    monkeypatch.setattr(scores, "FORMAT", -1)
    assert run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.heldout[:20]) == whole


def test_the_smallest_hashes_are_found_without_sorting_all():
    rows = np.random.default_rng(0).integers(0, 3, (500, 3)).astype(np.uint8)  # many are equal
    expected = np.argsort(corpora.row_hashes(rows), kind="stable")
    for num in (1, 20, 499, 500, 900):
        assert np.array_equal(scores.by_hash(rows, num), expected[:num])


def test_other_references_do_not_share_a_cache(corpus):
    sample = corpus.heldout[:5]
    a = other_scorer(PROTOCOLS["heldout"], corpus, corpus.train[:20]).score(sample)
    b = other_scorer(PROTOCOLS["heldout"], corpus, corpus.train[20:40]).score(sample)
    assert a["js"] != b["js"]


def test_real_text_beats_chains_and_longer_chains_beat_shorter_ones():
    rows = encode(wordnet(4000), 32)
    report = score_plain(rows[::8], rows)
    four = [report["markov"][order]["4"] for order in "12345"]
    assert report["floor"]["4"] < four[1] < four[0]
    assert report["num_floor"] == report["num_samples"] == len(rows[::8])


def as_code_points(rows, reference):
    """The report of protocol plain without numbers for symbols: counted as they are, the floor from the other lines."""
    num, length = rows.shape
    counted = Reference.count(reference, 6, END + 1)
    taken = scores.by_hash(reference, num)
    rest = Reference.count(np.delete(reference, taken, axis=0), 6, END + 1)
    chains = {k: MarkovChain(reference, k, END + 1).sample(num, length, seed=k) for k in range(1, 6)}
    return {
        "js": scores.named(counted.scores(rows)),
        "floor": scores.named(rest.scores(reference[taken])),
        "markov": {str(k): scores.named(counted.scores(drawn)) for k, drawn in chains.items()},
    }


def test_numbered_symbols_score_as_code_points_do():
    """Also those that no real line has: here of 13 lines in two alphabets."""
    reference = encode(wordnet(300), 24, pad=chr(0x10FFFF))
    samples = encode([*wordnet(310)[300:], *KOREAN[:3]], 24, pad=chr(0x10FFFF))
    report = score_plain(samples, reference)
    assert {key: report[key] for key in ("js", "floor", "markov")} == as_code_points(samples, reference)


def test_a_file_of_real_lines_is_counted_once(tmp_path, monkeypatch):
    path = tmp_path / "real.txt"
    path.write_text("".join(line + "\n" for line in wordnet(200)))
    samples = encode(wordnet(230)[200:], 32, pad=chr(0x10FFFF))
    samples = np.where(samples == 0x10FFFF, END, samples)
    first = plain_scorer(str(path), 32, "error").score(samples)
    assert first == score_plain(samples, corpora.plain_rows(str(path), 32))
    for name in ("plain_rows", "count_plain"):
        monkeypatch.setattr(f"seqgan_gp.scores.plain.{name}", None)
    monkeypatch.setattr(scores, "MarkovChain", type("Kept", (), {"load": MarkovChain.load}))
    assert plain_scorer(str(path), 32, "error").score(samples) == first
    path.write_text(path.read_text() + "one more\n")
    with pytest.raises(TypeError):  # other lines: they would be counted
        plain_scorer(str(path), 32, "error")


def test_a_reference_too_small_for_a_floor_has_none():
    rows = encode(ENGLISH, 16, pad=chr(0x10FFFF))
    report = score_plain(rows, rows)
    assert "floor" not in report and set(report["js"].values()) == {0.0}
    assert "JS-4" in table(report)


def test_lines_shorter_than_six_symbols():
    rows = np.array([[1, 2, 3, END], [1, 2, END, END], [2, 2, 3, END]], np.uint32)
    assert set(score_plain(rows[:1], rows)["js"]) == {"1", "2", "3", "4"}


def test_the_comparison_in_words():
    report = {
        "js": {"4": 0.3}, "floor": {"4": 0.2}, "markov": {"1": {"4": 0.5}, "2": {"4": 0.31}, "3": {"4": 0.25}}
    }  # fmt: skip
    assert "better than a Markov chain of order 2 (0.310)" in in_words(report)
    report["js"]["4"] = 0.6
    assert "not yet as good as a Markov chain of order 1 (0.500)" in in_words(report)
