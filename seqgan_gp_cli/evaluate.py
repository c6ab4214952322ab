"""evaluate: score a run, or samples that were saved."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError
from seqgan_gp_cli.domains import Report, in_turn
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.help import Command


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `evaluate` was asked for; None where an option was not given."""

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
        """Raise UsageError where one of these options was given."""
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


def score(target: Path, request: Request) -> tuple[Report, Callable[[Report], str]]:
    """The report of a target, and the function that formats it for people. A folder without --data has to be a run."""
    if request.data is not None or not target.is_dir():
        for entry in in_turn():
            if entry.samples(target):
                return entry.score_samples(target, request)
    from seqgan_gp_cli.load import load

    loaded = load(str(target), request.ema, request.device, with_data=True)
    return loaded.entry.score_run(loaded, request), loaded.entry.report
