"""Protocols: what is compared with what, at which sizes, and how padding counts."""

import numpy as np
import pytest

from seqgan_gp import corpus as corpora
from seqgan_gp import scores
from seqgan_gp.lines import END
from seqgan_gp.ngrams import Reference
from seqgan_gp.scores import PROTOCOLS, in_words, other_scorer, run_scorer, score_plain, table
from tests.seqgan_gp.sets import ENGLISH, encode, plain_score, wordnet

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
    floor = corpus.heldout[scores.smallest_hashes(corpus.heldout, 7)]
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
