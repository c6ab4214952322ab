"""The command `evaluate`: scores a run or saved samples."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.help import Command

PLAIN = "plain"
IMAGE_FILES = (".npz", ".zip")
POINT_FILES = (".npy", ".csv")


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of `evaluate`; None for an option that was not given."""

    data: str | None
    protocol: str | None
    backbone: str | None
    num: int | None
    seq_len: int | None
    bad_utf8: str | None
    seed: int
    ema: bool | None
    device: str

    def refuse(self, reason: str, *options: str) -> None:
        """Raise UsageError if one of these options was given."""
        for option in options:
            if getattr(self, option) is not None:
                raise UsageError(f"{flag(option)} is {reason}: leave it out")


@click.command(
    cls=Command,
    examples=[
        ("a run by its own data", "evaluate runs/00000-text-wgan-gp"),
        ("a run by the protocol of the paper, as JSON", "evaluate runs/00000-text-wgan-gp --protocol wgan-gp --json"),
        ("a file of samples against a file of real lines", "evaluate samples.txt --data lines.txt --seq-len 32"),
        ("a folder of images against another one", "evaluate samples --data pictures --backbone rotation"),
        ("a file of points against built-in ones", "evaluate points.csv --data 8gaussians"),
    ],
)
@click.argument("target", metavar="RUN|SAMPLES")
@click.option(
    "--data", metavar="DATA", help="real lines, images or points to compare the samples with  [the run's own]"
)
@click.option(
    "--protocol",
    metavar="heldout|wgan-gp|plain",
    help="text only: protocol of the score: heldout (10,000 samples against held-out lines), wgan-gp (640 samples "
    "against the training lines) or plain (two files)  [heldout for a run, plain for a file]",
)
@click.option(
    "--backbone",
    metavar="NAME",
    help="images only: network whose features are compared, as in train-image --backbone  [the run's own; else auto]",
)
@click.option(
    "--num",
    type=click.IntRange(2, 10_000_000),
    metavar="N",
    help="number of samples to draw from a run  [by the protocol or the settings of the run]",
)
@click.option(
    "--seq-len",
    type=click.IntRange(1, 4096),
    metavar="SYMBOLS",
    help="files of lines only: length that lines are cut or padded to  [32]",
)
@click.option(
    "--bad-utf8",
    type=click.Choice(["error", "replace", "skip"]),
    help="files of lines only: what to do with a line that is not UTF-8: stop, mark its bad bytes, or skip it  [error]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="SEED", help="seed of the samples of a run  [0]"
)
@click.option(
    "--ema/--raw",
    default=None,
    help="score the running average of the weights or the trained weights  [the average if the run has one]",
)
@click.option(
    "--device", default="auto", metavar="DEVICE", help="device to draw on: cpu, cuda, cuda:1, mps or auto  [auto]"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object and nothing else")
def evaluate(target: str, as_json: bool, **options: Any) -> None:
    """Score RUN, the folder of a run, or SAMPLES: a UTF-8 file of lines; a folder, .npz or .zip of images; or a .npy or
    .csv file of points.

    Beside the score stand its protocol or backbone, the numbers of samples, the score of as many real samples, and the
    scores of Markov chains (text) or of noise (images).
    """
    report, table = score(Path(target), Request(**options))
    click.echo(json.dumps(report) if as_json else table(report))


def score(target: Path, request: Request) -> tuple[dict[str, Any], Callable[[dict[str, Any]], str]]:
    """Score a target; returns the report and its text."""
    from gan_core.training.run import run_folder

    if target.suffix in POINT_FILES:
        return score_points(target, request)
    if not target.is_dir():
        return (score_images if target.suffix in IMAGE_FILES else score_lines)(target, request)
    if request.data is not None and not (run_folder(target) / "config.json").is_file():
        return score_images(target, request)
    from seqgan_gp_cli.load import load

    loaded = load(str(target), request.ema, request.device, with_data=True)
    scorers = {"text": score_text_run, "image": score_image_run, "points": score_point_run}
    run_score = scorers[loaded.entry.kind.name]
    return run_score(loaded, request), loaded.entry.report


def score_text_run(loaded: Any, request: Request) -> dict[str, Any]:
    """Score a run of the text domain."""
    from seqgan_gp.scores.protocols import PROTOCOLS

    request.refuse("not for a run, whose lines have a form already", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    protocol = request.protocol or "heldout"
    if protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol} is not for a run: choose from {', '.join(PROTOCOLS)}")
    trained = loaded.trained(request.seed)
    report = loaded.domain.scores.score(protocol, trained, request.num, request.data)
    return report | loaded.domain.scores.score_labels(trained, request.num or 0)


def score_image_run(loaded: Any, request: Request) -> dict[str, Any]:
    """Score a run of the image domain."""
    from seqgan_gp_cli.domains import refuse_code

    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    if request.backbone is None:
        refuse_code(loaded.path, loaded.settings.backbone, None)
    return loaded.domain.scores.score(
        loaded.trained(request.seed), request.num or 0, request.backbone or "", request.data
    )


def score_point_run(loaded: Any, request: Request) -> dict[str, Any]:
    """Score a run of the point domain."""
    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    request.refuse("not for a run of points, which is scored by its own", "data")
    return loaded.domain.scores.score(loaded.trained(request.seed), request.num or 0)


def score_points(target: Path, request: Request) -> tuple[dict[str, Any], Callable[[dict[str, Any]], str]]:
    """Score a .npy or .csv file of points."""
    from point_gan.domain import report, score_files

    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for images", "backbone")
    request.refuse("for runs, and all points are scored", "num")
    if request.data is None:
        raise UsageError("--data is missing: name the real points to compare the samples with, such as 8gaussians")
    return score_files(str(target), request.data), report


def score_lines(target: Path, request: Request) -> tuple[dict[str, Any], Callable[[dict[str, Any]], str]]:
    """Score a file of lines."""
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


def score_images(target: Path, request: Request) -> tuple[dict[str, Any], Callable[[dict[str, Any]], str]]:
    """Score a folder, .npz or .zip of images."""
    from image_gan.domain import score_files
    from image_gan.scores.report import table

    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for runs, and all images are scored", "num")
    if request.data is None:
        raise UsageError("--data is missing: name the real images to compare the samples with")
    return score_files(str(target), request.data, request.backbone or "auto"), table
