"""Metrics of text: their numbers, what stands beside them, and that one file is all that a new one takes."""

import json
import sys

import numpy as np
import pytest

from gan_core.discovery import import_all
from gan_core.errors import GanError
from seqgan_gp.corpus.corpus import cache_root, prepare
from seqgan_gp.domain import TextScores
from seqgan_gp.scores import metrics, real
from seqgan_gp.scores.measured import Beside
from seqgan_gp.scores.metrics import METRICS
from seqgan_gp.scores.plain import score_plain
from seqgan_gp.scores.protocols import PROTOCOLS, run_scorer, scalars, table
from seqgan_gp.scores.real import RealLines, code_lines, training_lines
from tests.seqgan_gp.sets import ENGLISH

LINES = [f"{a} {b}" for a in ENGLISH for b in ("again", "then", "end", "once", "twice")]
END = 0x110000

PLANTED = """
from seqgan_gp.scores.metrics import METRICS


@METRICS("vowels", better="higher", beside=("floor", "chains"))
def vowels(samples, real):
    text = "".join(real.texts(samples))
    return sum(text.count(vowel) for vowel in "aeiou") / len(samples)
"""


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(line + "\n" for line in LINES))
    return prepare(str(path), tokenizer="char", vocab_size=40, seq_len=24, heldout=0.3)


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The modules of a new folder belong to the folder of metrics."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "vowels.py").write_text(PLANTED)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(folder)])
    monkeypatch.setattr(METRICS, "_found", dict(METRICS._found))
    import_all(metrics)
    yield folder / "vowels.py"
    sys.modules.pop("seqgan_gp.scores.metrics.vowels", None)


def of(name, samples, lines):
    return METRICS[name].function(np.array(samples, np.uint32), code_lines(lambda: np.array(lines, np.uint32)))


REAL = [[97, 98, END], [97, END, END], [98, 99, 97], [97, 98, END]]  # "ab", "a", "bca", "ab": 2 symbols on average


@pytest.mark.parametrize(
    ("name", "samples", "value"),
    [
        ("unique", [[97, 98, 99]], 1.0),
        ("unique", [[97, 98, END], [97, END, END], [97, 98, END], [98, 97, END]], 3 / 4),
        ("unique", [[97, 98, 99]] * 5, 1 / 5),
        ("copied", REAL, 1.0),
        ("copied", [[97, 98, END], [98, 97, END], [98, 99, 97], [97, 98, 97], [99, END, END]], 2 / 5),
        ("copied", [[END, END, END], [98, 99, END]], 0.0),
        ("length", [[97, 98, END], [98, 97, END]], 0.0),
        ("length", [[97, 98, 99], [98, 97, 99], [97, END, END]], 7 / 3 - 2),
        ("length", [[END, END, END], [97, END, END]], 1.5),
    ],
)
def test_numbers(name, samples, value):
    assert of(name, samples, REAL) == pytest.approx(value, abs=1e-12)


def test_directions():
    assert {m.name: m.better for m in METRICS} == {"unique": "higher", "copied": "lower", "length": "lower"}


def test_a_line_of_other_symbols_in_another_order_is_no_copy():
    """Rows are compared by hashes: none of all rows of a small alphabet is taken for another one."""
    rows = np.stack(np.meshgrid(*[np.arange(7)] * 5), -1).reshape(-1, 5)
    lines = RealLines(lambda: rows[::2], 9, lambda rows: [])
    assert (lines.hold(rows) == (np.arange(len(rows)) % 2 == 0)).all() and len(lines.facts.hashes) == len(rows[::2])


def test_lines_come_as_text(corpus):
    assert training_lines(corpus).texts(corpus.train[:3]) == corpus.tokenizer.decode(corpus.train[:3])
    rows = np.array([[97, 0x1F600, END], [END, END, END], [10 + 87, 98, 0x10FFFF]], np.uint32)
    assert code_lines(lambda: rows).texts(rows) == ["a😀", "", "ab\U0010ffff"]


def test_facts_are_found_once_a_corpus(corpus, monkeypatch):
    facts = training_lines(corpus).facts
    lengths = [len(text) for text in corpus.tokenizer.decode(corpus.train)]
    assert facts.mean_length == pytest.approx(np.mean(lengths))
    monkeypatch.setattr(RealLines, "rows", None)  # read from the cache from here on
    again = training_lines(corpus).facts
    assert isinstance(again.hashes, np.memmap) and np.array_equal(again.hashes, facts.hashes)
    assert again.mean_length == facts.mean_length
    (file,) = cache_root(None).glob(f"lines-{corpus.fingerprint[:24]}/hashes.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(TypeError):  # damaged: found again
        _ = training_lines(corpus).facts


def test_long_corpora_are_read_in_blocks(corpus, monkeypatch):
    whole = RealLines(lambda: corpus.train, 0, corpus.tokenizer.decode).facts
    monkeypatch.setattr(real, "BLOCK", 7)
    assert RealLines(lambda: corpus.train, 0, corpus.tokenizer.decode).facts.mean_length == whole.mean_length


@pytest.mark.parametrize("name", PROTOCOLS)
def test_values_stand_beside_held_out_lines_and_chains_at_the_same_size(corpus, name):
    scorer = run_scorer(PROTOCOLS[name], corpus)
    samples = corpus.train[:9].copy()
    samples[0, 3:] = [0, *samples[0, 4:]]  # symbols after the end of the text count for nothing
    found = scorer.score(samples)["scores"]
    lines = training_lines(corpus)
    rows = np.argsort(real.row_hashes(corpus.heldout), kind="stable")[:9]
    for metric in METRICS:
        entry = found[metric.name]
        assert set(entry) == {"value", "better", "floor", "num_floor", "chains"} and entry["num_floor"] == 9
        assert entry["value"] == metric.function(corpus.tokenizer.canonical(samples), lines)
        assert entry["floor"] == metric.function(corpus.heldout[rows], lines)
        for order, chain in scorer.chains().items():
            drawn = chain.sample(9, corpus.train.shape[1], seed=order)
            assert entry["chains"][str(order)] == metric.function(drawn, lines)
    assert found["copied"]["floor"] == 0.0 and found["copied"]["value"] == pytest.approx(8 / 9)
    assert found["copied"]["chains"]["5"] > found["copied"]["chains"]["1"]


def test_what_stands_beside_is_kept(corpus):
    first = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.train[:5])["scores"]
    again = Beside(training_lines(corpus), None, None).values(5)  # with nothing to measure
    assert all(entry.items() <= first[name].items() for name, entry in again.items()) and set(again) == set(first)
    with pytest.raises(AttributeError):  # nothing is kept of another size
        Beside(training_lines(corpus), None, None).values(6)


def test_a_metric_is_one_file(corpus, planted, call, here):
    """It is in the report of a run, its table and its curves, and in what the command prints of two files."""
    report = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.train[:9])
    text = "".join(corpus.tokenizer.decode(corpus.train[:9]))
    entry = report["scores"]["vowels"]
    assert entry["value"] == sum(text.count(vowel) for vowel in "aeiou") / 9 and entry["better"] == "higher"
    assert set(entry["chains"]) == set("12345") and entry["floor"] > 0
    (row,) = [line for line in table(report).splitlines() if line.startswith("vowels")]
    assert row.split()[1:4] == ["higher", f"{entry['value']:.4g}", f"{entry['floor']:.4g}"] and len(row.split()) == 9
    domain = TextScores.__new__(TextScores)
    for curves in (scalars({"heldout": report}), domain.scalars({"heldout": report})):
        assert curves["vowels/heldout"] == entry["value"] and curves["js-4/heldout"] == report["js"]["4"]

    (here / "samples.txt").write_text("aeb\nccc\n")
    (here / "real.txt").write_text("abc\nccc\n")
    args = ("evaluate", "samples.txt", "--data", "real.txt", "--protocol", "plain", "--seq-len", 8)
    code, out, _ = call(*args, "--json")
    assert code == 0 and json.loads(out)["scores"] == {
        "unique": {"value": 1.0, "better": "higher"},
        "copied": {"value": 0.5, "better": "lower"},
        "length": {"value": 0.0, "better": "lower"},
        "vowels": {"value": 1.0, "better": "higher"},
    }
    code, out, _ = call(*args)
    (row,) = [line for line in out.splitlines() if line.startswith("vowels")]
    assert code == 0 and row.split() == ["vowels", "higher", "1"]


def test_a_changed_metric_is_measured_again(corpus, planted):
    first = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.train[:9])["scores"]["vowels"]
    del METRICS._found["vowels"]
    planted.write_text(PLANTED.replace("/ len(samples)", "+ 1000"))
    exec(compile(planted.read_text(), str(planted), "exec"), {})
    again = run_scorer(PROTOCOLS["heldout"], corpus).score(corpus.train[:9])["scores"]["vowels"]
    assert again["floor"] == 1000 + 9 * first["floor"] and again["value"] == 1000 + 9 * first["value"]


def test_what_is_no_number_is_refused(corpus, monkeypatch):
    monkeypatch.setattr(METRICS, "_found", {})
    METRICS("broken", better="lower")(lambda samples, real: float("nan"))
    with pytest.raises(GanError, match="the metric broken gave nan"):
        score_plain(np.array(REAL, np.uint32), np.array(REAL, np.uint32))
