"""sample: draw samples from a run."""

import sys
from pathlib import Path

import click

from gan_core.errors import UsageError

FORMATS = ("txt", "jsonl", "npz")


@click.command()
@click.argument("run")
@click.option("--num", type=click.IntRange(1, 100_000_000), default=16, metavar="N", help="how many, exactly  [16]")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="SEED", help="sample i depends on it and i  [0]"
)
@click.option("--out", default="-", metavar="FILE", help="file to write, replaced if it is there, or -  [-]")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="form of the output  [by the file's ending, else txt]"
)
@click.option(
    "--ema/--raw", default=None, help="the running average, or the trained weights  [average if there is one]"
)
@click.option("--device", default="auto", metavar="DEVICE", help="cpu, cuda, cuda:1, mps, or auto  [auto]")
def sample(run: str, num: int, seed: int, out: str, form: str | None, ema: bool | None, device: str) -> None:
    """Draw samples from RUN, a run's folder."""
    from seqgan_gp_cli.load import load

    form = form or (Path(out).suffix[1:] if Path(out).suffix[1:] in FORMATS else "txt")
    if form == "npz" and out == "-":
        raise UsageError("--format npz is not text: give it a file with --out")
    loaded = load(run, ema, device)
    batches = loaded.draw(seed)(num)
    if out == "-":
        for piece in loaded.domain.export(batches, form, for_terminal=sys.stdout.isatty()):
            click.echo(piece, nl=False)
        return
    write(Path(out), loaded.domain.export(batches, form, for_terminal=False))
    click.echo(f"{num} samples of step {loaded.checkpoint.step} in {out}", err=True)


def write(path: Path, pieces) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece if isinstance(piece, bytes) else piece.encode())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"--out {path} cannot be written: {error.strerror}; choose another file") from error
    finally:
        temporary.unlink(missing_ok=True)
