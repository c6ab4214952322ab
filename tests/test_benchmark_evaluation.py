"""The benchmark of evaluation measures what it says, on few lines."""

import pytest

from benchmarks import evaluation
from seqgan_gp.corpus.corpus import prepare


@pytest.fixture
def lines(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluation, "SIZES", (20, 50))
    monkeypatch.setattr(evaluation, "LIMITS", {20: 2.0, 50: 10.0})
    path = tmp_path / "lines-2000.txt"
    evaluation.write_lines(path, 2000)
    return path


def test_lines_are_of_real_words_and_made_once(lines):
    texts = lines.read_text().splitlines()
    assert len(texts) == 2000 and all(len(text.split()) == evaluation.WORDS for text in texts)
    assert sum(text.split().count("of") for text in texts) > 100  # as often as in real sentences
    before = lines.stat()
    evaluation.write_lines(lines, 2000)
    assert lines.stat() == before


def test_the_reference_is_counted_once_and_then_read(lines, monkeypatch):
    corpus = prepare(str(lines), seq_len=evaluation.LENGTH, progress=False)
    counted = evaluation.count_reference(lines)
    assert counted["rows"] == len(corpus.train) and 0 < counted["grams"] < 27 * len(corpus.train)
    monkeypatch.setattr("seqgan_gp.scores.protocols.MarkovChain.__init__", None)
    found = evaluation.score_once(lines, 20)
    assert min(found.values()) > 0


def test_a_row_has_median_and_range():
    row = evaluation.row("score", [0.5, 0.25, 1.0], [100.0, 2000.0], 2.0)
    assert row == "| score | 0.50 | 0.25 to 1.00 | 2 | 2,000 |"
    assert evaluation.row("make", [3.0], []) == "| make | 3.00 | 3.00 to 3.00 | - | - |"


@pytest.mark.slow
def test_the_table_is_whole(lines):
    rows = list(evaluation.measure(lines.parent, 2000, 1))
    assert len([row for row in rows if row.startswith("|")]) == 2 + 3 + 4 + 3
    assert "2,000 lines, 1," in rows[-1]
