"""Lines and slow counts that the n-gram and Markov tests share."""

import gzip
import math
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

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


@st.composite
def two_sets(draw):
    symbols = draw(st.sampled_from([1, 2, 3, 40, 1 << 11, 1 << 16, 1 << 21]))
    length = draw(st.integers(1, 8))
    symbol = st.integers(0, symbols - 1) | st.sampled_from([0, symbols - 1])
    rows = st.lists(st.lists(symbol, min_size=length, max_size=length), min_size=1, max_size=6)
    return np.array(draw(rows)), np.array(draw(rows)), symbols, draw(st.integers(1, min(6, length)))
