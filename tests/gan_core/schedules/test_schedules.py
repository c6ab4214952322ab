"""Schedules against their formulas, as text and back, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.errors import UsageError
from gan_core.schedules import registry
from gan_core.schedules.base import Schedule, at, constant, cosine, exponential, join, linear, parse, steps
from gan_core.schedules.registry import KINDS, kind

# text, step -> value, by hand
EXPECTED = {
    "constant:3:10": {0: 3, 9: 3, 1000: 3},
    "linear:0:1:4": {0: 0, 1: 0.25, 4: 1, 5: 1},
    "linear:2:-2:8": {0: 2, 4: 0, 8: -2, 99: -2},
    "cosine:10:1:5000": {0: 10, 1250: 1 + 9 * (1 + math.sqrt(0.5)) / 2, 2500: 5.5, 5000: 1, 6000: 1},
    "exponential:1:0.01:100": {0: 1, 50: 0.1, 75: 0.1**1.5, 100: 0.01, 200: 0.01},
    "steps:1:0.5:0.1:3000": {0: 1, 999: 1, 1000: 0.5, 1999: 0.5, 2000: 0.1, 3000: 0.1, 9999: 0.1},
    "linear:0:1e-4:1000,cosine:1e-4:0:9000": {0: 0, 500: 5e-5, 1000: 1e-4, 5500: 5e-5, 10_000: 0, 10**9: 0},
}


@pytest.mark.parametrize("text", EXPECTED)
def test_values(text):
    schedule = parse(text)
    for step, value in EXPECTED[text].items():
        assert schedule(step) == pytest.approx(value, rel=1e-12, abs=1e-15), step


def test_every_kind_has_an_expected_value():
    assert {part.partition(":")[0] for text in EXPECTED for part in text.split(",")} == set(KINDS)


def test_as_in_python():
    assert linear(0, 1e-4, steps=1000) == parse("linear:0:0.0001:1000")
    assert join(linear(0, 1, steps=2), cosine(1, 0, steps=4)) == parse("linear:0:1:2,cosine:1:0:4")
    assert constant(2, steps=1)(7) == 2 and steps(1, 2, steps=2)(1) == 2 and exponential(1, 4, steps=2)(1) == 2
    assert at(3.5, 100) == 3.5 and at(linear(0, 1, steps=10), 5) == 0.5


values = st.floats(-1e6, 1e6, allow_nan=False)
segments = st.builds(
    lambda kind, a, b, n: f"{kind}:{a!r}:{b!r}:{n}", st.sampled_from(["linear", "cosine", "steps"]), values, values,
    st.integers(1, 10**6),
)  # fmt: skip


@given(st.lists(segments, min_size=1, max_size=4), st.integers(0, 10**7))
def test_text_and_back_and_values_within_those_given(texts, step):
    schedule = parse(",".join(texts))
    again = parse(str(schedule))
    assert again(step) == pytest.approx(schedule(step), rel=1e-12, abs=1e-6)
    low, high = min(schedule.values), max(schedule.values)
    assert low - 1e-6 <= schedule(step) <= high + 1e-6
    assert schedule(0) == pytest.approx(float(texts[0].split(":")[1]))
    assert schedule(10**7) == pytest.approx(float(texts[-1].split(":")[2]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine:1:2", "cosine takes 2 values and then steps, such as cosine:10:1:5000"),
        ("cosine:1:2:3:4", "cosine takes 2 values"),
        ("constant:1:2:3", "constant takes 1 value and then steps"),
        ("steps:1:3", "steps takes 2 or more values"),
        ("sine:1:2:3", "there is no schedule called 'sine': choose from constant, linear, cosine"),
        ("exponential:1:-1:3", "its two values must both be above 0, or both below"),
        ("exponential:0:1:3", "its two values must both be above 0"),
        ("linear:nan:1:3", "not finite"), ("linear:1:inf:3", "not finite"), ("linear:1:2:0", "no steps"),
        ("linear:1:2:-4", "no steps"), ("linear:1:2:1.5", "is no schedule"), ("", "is no schedule"),
        ("linear:1:2:3,", "is no schedule"), ("linear:a:b:c", "is no schedule"), ("linear:1:2:1e400", "is no schedule"),
    ],
)  # fmt: skip
def test_misuse_is_one_sentence(text, message):
    with pytest.raises(UsageError, match=message) as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_a_kind_is_one_function(monkeypatch):
    monkeypatch.setattr(registry, "KINDS", KINDS)
    monkeypatch.setitem(KINDS, "square", None)
    del KINDS["square"]

    @kind("square", "square:0:1:10")
    def square(done, values):
        return values[0] + (values[1] - values[0]) * done**2

    assert parse("square:0:2:10")(5) == 0.5
    with pytest.raises(ValueError, match="two schedules"):
        kind("square", "square:0:1:10")(square)
    del KINDS["square"]
    assert isinstance(parse("linear:0:1:2"), Schedule)
