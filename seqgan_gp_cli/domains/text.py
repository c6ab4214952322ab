"""Text on the command line: sentences and other lines of symbols."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from seqgan_gp.settings import TEXT
from seqgan_gp_cli.domains.base import Entry, Report, register

PLAIN = "plain"
EXAMPLES = (
    ("the built-in sentences, under five minutes on two CPU cores", "train-text"),
    ("your own lines, for an hour", "train-text --data lines.txt --max-time 1h"),
    ("another recipe with a part more", "train-text --recipe lsgan --add spectral"),
    ("an option of a part of the recipe", "train-text --recipe began --began-gamma 0.7"),
    ("pieces of words for symbols", "train-text --data lines.txt --tokenizer bpe --vocab-size 300"),
    ("what a run would be, without training it", "train-text --preset paper --dry-run"),
    ("go on with the newest run for more steps", "train-text --resume --steps 20000"),
    ("the options of another recipe", "train-text --recipe began --help"),
)  # fmt: skip


def score_run(loaded: Any, request: Any) -> Report:
    """The report of a run of sentences."""
    from seqgan_gp.scores.protocols import PROTOCOLS

    request.refuse("not for a run, whose lines have a form already", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    protocol = request.protocol or "heldout"
    if protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol} is not for a run: choose from {', '.join(PROTOCOLS)}")
    trained = loaded.trained(request.seed)
    report = loaded.domain.scores.score(protocol, trained, request.num, request.data)
    return report | loaded.domain.scores.score_labels(trained, request.num or 0)


def samples(target: Path) -> bool:
    """Whether a path is a file, whatever its name: any file may hold lines."""
    return not target.is_dir()


def score_samples(target: Path, request: Any) -> tuple[Report, Callable[[Report], str]]:
    """The report of a file of lines."""
    from seqgan_gp.corpus.corpus import plain_rows
    from seqgan_gp.scores.plain import plain_scorer
    from seqgan_gp.scores.protocols import table

    request.refuse("for images", "backbone")
    request.refuse("for runs, and all lines of a file are scored", "num")
    if request.protocol not in (None, PLAIN):
        raise UsageError(f"--protocol {request.protocol} is not for a file: use plain, or give a run's folder")
    if request.data is None:
        raise UsageError("--data is missing: name the file of real lines to compare the samples with")
    length, bad_utf8 = request.seq_len or 32, request.bad_utf8 or "error"
    samples = plain_rows(str(target), length, bad_utf8=bad_utf8)
    return plain_scorer(request.data, length, bad_utf8).score(samples), table


register(
    Entry(
        kind=TEXT,
        summary="Train a generator of sentences, or of other lines of symbols.",
        examples=EXAMPLES,
        module="seqgan_gp.domain",
        score_run=score_run,
        samples=samples,
        score_samples=score_samples,
        listed=10,
        asked=90,
    )
)
