"""The command `sample`: draws samples from a run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError
from seqgan_gp_cli.help import Command

EACH = "each"
NUM, NUM_OF_EACH = 16, 8


@click.command(
    cls=Command,
    examples=[
        ("sixteen samples, printed", "sample runs/00000-text-wgan-gp"),
        ("a thousand lines in a file", "sample runs/00000-text-wgan-gp --num 1000 --out samples.txt"),
        ("ids of symbols for NumPy, by another seed", "sample runs/00000-text-wgan-gp --seed 1 --out samples.npz"),
        ("a folder of images", "sample runs/00002-image-cgan --num 100 --format folder --out samples"),
        ("eight images of each class as one picture", "sample runs/00002-image-cgan --label each --out classes.png"),
    ],
)
@click.argument("run")
@click.option(
    "--num",
    type=click.IntRange(1, 100_000_000),
    metavar="N",
    help="number of samples to draw  [16; 8 of each class with --label each]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    metavar="SEED",
    help="seed of the samples: the i-th sample depends on the seed and i alone  [0]",
)
@click.option(
    "--out",
    metavar="FILE",
    help="file or folder to write, which is replaced if it exists; - prints  [text: -; else a file in RUN]",
)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="form of the samples: txt, jsonl or npz for text; png, folder or npz for images; png, npy or csv for points  "
    "[by the ending of --out; else txt or png]",
)
@click.option(
    "--label",
    metavar="NAME|each",
    help="class to draw, or each for all classes in turn; for runs with labels  [drawn as often as in the data]",
)
@click.option(
    "--code", "codes", multiple=True, metavar="K=VALUE|each",
    help="value of the latent code with number K, counted from 0, or each for a picture that sweeps every code along "
    "rows; for runs with codes, such as infogan; may be repeated  [drawn at random]",
)  # fmt: skip
@click.option(
    "--ema/--raw",
    default=None,
    help="draw from the running average of the weights or from the trained weights  [the average if the run has one]",
)
@click.option(
    "--device", default="auto", metavar="DEVICE", help="device to draw on: cpu, cuda, cuda:1, mps or auto  [auto]"
)
def sample(
    run: str, num: int | None, seed: int, out: str | None, form: str | None, label: str | None,
    codes: tuple[str, ...], ema: bool | None, device: str,
) -> None:  # fmt: skip
    """Draw samples from RUN, the folder of a run, by its newest checkpoint."""
    from gan_core.storage.sealed import full_disk, is_full, writing
    from seqgan_gp_cli.load import load

    loaded = load(run, ema, device)
    domain = loaded.domain
    samples = domain.samples
    form = form or (Path(out).suffix[1:] if out and Path(out).suffix[1:] in samples.formats else samples.formats[0])
    if form not in samples.formats:
        raise UsageError(f"--format {form} is not for {domain.name}: choose from {', '.join(samples.formats)}")
    if out is None:
        out = "-" if samples.printed else str(loaded.path / f"sampled.{form}")
    num, batches, columns = asked_for(loaded.trained(seed), domain.labels, num, label, codes)
    if label != EACH and form == samples.formats[0]:  # the form for people, where one class needs no name
        batches = (batch.without_labels() for batch in batches)
    if out == "-":
        if form not in samples.printed:
            raise UsageError(f"--format {form} is not text: give it a file with --out")
        with writing("standard output"):
            for piece in samples.lines(batches, form, for_terminal=sys.stdout.isatty()):
                click.echo(piece, nl=False)
        return
    try:
        with opened(Path(out)) as path:
            samples.export(batches, form, path, columns)
    except OSError as error:
        if is_full(error):
            raise full_disk(f"--out {out}", error, "free some space there, or choose another file") from error
        raise UsageError(f"--out {out} cannot be written: {error.strerror}; choose another file") from error
    click.echo(f"{num} samples of step {loaded.checkpoint.step} in {out}", err=True)


@contextlib.contextmanager
def opened(out: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces the file or folder `out`.

    If `out` is a symbolic link, its target is replaced. A device or a pipe is written to directly.
    """
    from gan_core.storage.sealed import replacing

    if out.exists() and not out.is_file() and not out.is_dir():  # such as /dev/full or a named pipe
        yield out
        return
    with replacing(out.resolve()) as temporary:
        yield temporary


def asked_for(
    trained: Any, labels: Any, num: int | None, label: str | None, codes: tuple[str, ...]
) -> tuple[int, Any, int | None]:
    """Draw the samples that the options describe; returns their number, the batches, and a picture's columns or None.

    Raises:
        UsageError: a label or a code does not exist.
    """
    import torch

    if label is not None and not trained.prior.shares:
        raise UsageError("--label is for a run that was told labels, such as cgan or acgan: leave it out")
    if codes and trained.prior.codes is None:
        raise UsageError("--code is for a run that has codes, such as infogan: leave it out")
    if EACH in codes:
        if num is not None or len(codes) > 1 or label is not None:
            raise UsageError("--code each draws a picture of its own: leave --num, --label and other codes out")
        picture = trained.traversal()
        return picture.num, picture.batches, picture.columns
    values = dict(code_of(text, trained.prior.codes) for text in codes)
    if label == EACH:
        num = num or NUM_OF_EACH * len(labels)
        y = trained.each_class(num)
    else:
        num = num or NUM
        y = None if label is None else torch.full((num,), labels.index(label))
    return num, trained.draw(num, y, values), None


def code_of(text: str, codes: Any) -> tuple[int, float]:
    """Parse K=VALUE to the number of a code and its value.

    Raises:
        UsageError: the form is wrong, or the run has no such code or value.
    """
    which, _, given = text.partition("=")
    try:
        index, value = int(which), float(given)
    except ValueError:
        raise UsageError(f"--code {text!r} is not of the form K=VALUE, such as 0=3") from None
    if not 0 <= index < codes.num:
        raise UsageError(f"--code {text}: the codes of this run are 0 to {codes.num - 1}")
    if index < codes.categorical and not (value.is_integer() and 0 <= value < codes.categories):
        raise UsageError(f"--code {text}: code {index} has the values 0 to {codes.categories - 1}")
    if index >= codes.categorical and not abs(value) <= 10:
        raise UsageError(f"--code {text}: code {index} was drawn from -1 to 1 in training, and goes up to 10 at most")
    return index, value
