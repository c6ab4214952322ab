"""The kinds of schedule: functions (done, values) -> value; `done` in [0, 1] is the elapsed share of a segment."""

import math

from gan_core.schedules.registry import Values, kind


@kind("constant", "constant:1:1000", values=1)
def constant(done: float, values: Values) -> float:
    """constant:VALUE:STEPS: always the value."""
    return values[0]


@kind("linear", "linear:0:1:1000")
def linear(done: float, values: Values) -> float:
    """linear:FROM:TO:STEPS: a straight line, for example a warm-up from 0."""
    return values[0] * (1 - done) + values[1] * done


@kind("cosine", "cosine:10:1:5000")
def cosine(done: float, values: Values) -> float:
    """cosine:FROM:TO:STEPS: half a period of a cosine (Loshchilov and Hutter 2017, equation 5, arXiv 1608.03983)."""
    start, end = values
    return end + (start - end) * (0.5 * (1 + math.cos(math.pi * done)))


def signs_differ(values: Values) -> str:
    """The fault of values for an exponential, which cannot reach or cross 0; "" if there is none."""
    return "" if values[0] * values[1] > 0 else "its two values must both be above 0, or both below"


@kind("exponential", "exponential:1e-3:1e-5:1000", fault=signs_differ)
def exponential(done: float, values: Values) -> float:
    """exponential:FROM:TO:STEPS: changes by the same factor in every step."""
    return values[0] * (values[1] / values[0]) ** done


@kind("steps", "steps:1:0.5:0.1:3000", values=2, most=1000)
def steps(done: float, values: Values) -> float:
    """steps:VALUE:...:VALUE:STEPS: each value for an equal share of the steps; the last one stays."""
    return values[min(int(done * len(values)), len(values) - 1)]
