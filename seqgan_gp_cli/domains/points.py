"""Points in the plane on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from point_gan.settings import POINTS
from seqgan_gp_cli.domains.base import Entry, Report, register

FILES = (".npy", ".csv")
EXAMPLES = (
    ("eight Gaussians, in a minute on two CPU cores", "train-points"),
    ("a weight that falls with the steps", "train-points --data moons --schedule gp-weight=cosine:10:0.1:1000"),
    ("your own points, x and y in two columns", "train-points --data points.csv --recipe r3gan"),
    ("go on with the newest run for more steps", "train-points --resume --steps 2000"),
)  # fmt: skip


def score_run(loaded: Any, request: Any) -> Report:
    """The report of a run of points."""
    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    request.refuse("not for a run of points, which is scored by its own", "data")
    return loaded.domain.scores.score(loaded.trained(request.seed), request.num or 0)


def samples(target: Path) -> bool:
    """Whether a path is a .npy or .csv file."""
    return target.suffix in FILES and not target.is_dir()


def score_samples(target: Path, request: Any) -> tuple[Report, Callable[[Report], str]]:
    """The report of a .npy or .csv file of points."""
    from point_gan.domain import report, score_files

    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    request.refuse("for runs, and all points are scored", "num")
    if request.data is None:
        raise UsageError("--data is missing: name the real points to compare the samples with, such as 8gaussians")
    return score_files(str(target), request.data), report


register(
    Entry(
        kind=POINTS,
        summary="Train a generator of points in the plane, where everything can be seen.",
        examples=EXAMPLES,
        module="point_gan.domain",
        score_run=score_run,
        samples=samples,
        score_samples=score_samples,
        listed=30,
        asked=50,
    )
)
