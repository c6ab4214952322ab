"""evaluate: score a run, or a file of samples."""

import json
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError

PLAIN = "plain"


@click.command()
@click.argument("target", metavar="RUN|SAMPLES")
@click.option("--data", metavar="DATA", help="other real lines to compare with  [the run's own]")
@click.option("--protocol", metavar="heldout|wgan-gp|plain", help="how to score  [heldout for a run, plain for a file]")
@click.option(
    "--num", type=click.IntRange(2, 10_000_000), metavar="N", help="samples to draw from a run  [by protocol]"
)
@click.option(
    "--seq-len", type=click.IntRange(1, 4096), metavar="SYMBOLS", help="cut and pad lines to this (files)  [32]"
)
@click.option(
    "--bad-utf8",
    type=click.Choice(["error", "replace", "skip"]),
    default="error",
    help="lines not in UTF-8 (files)  [error]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="SEED", help="of the samples  [0]")
@click.option(
    "--ema/--raw", default=None, help="the running average, or the trained weights  [average if there is one]"
)
@click.option("--device", default="auto", metavar="DEVICE", help="cpu, cuda, cuda:1, mps, or auto  [auto]")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object and nothing else")
def evaluate(target: str, as_json: bool, **options: Any) -> None:
    """Score RUN, a run's folder, or SAMPLES, a UTF-8 file of lines.

    A score is printed with its protocol, its sizes, what as many real lines score, and what Markov chains score.
    """
    is_run = Path(target).is_dir()
    report = score_run(target, **options) if is_run else score_file(target, **options)
    if as_json:
        click.echo(json.dumps(report))
        return
    from seqgan_gp.scores import table

    click.echo(table(report))


def score_run(
    target: str, data: str | None, protocol: str | None, num: int | None, seq_len: int | None, bad_utf8: str,
    seed: int, ema: bool | None, device: str,
) -> dict[str, Any]:  # fmt: skip
    """The report of a run."""
    from seqgan_gp.scores import PROTOCOLS
    from seqgan_gp_cli.load import load

    protocol = protocol or "heldout"
    if protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol} is not for a run: choose from {', '.join(PROTOCOLS)}")
    if seq_len is not None:
        raise UsageError("--seq-len is not for a run, whose lines have a length already: leave it out")
    loaded = load(target, ema, device, with_data=True)
    return loaded.domain.score(protocol, loaded.draw(seed), num, data)


def score_file(
    target: str, data: str | None, protocol: str | None, num: int | None, seq_len: int | None, bad_utf8: str,
    seed: int, ema: bool | None, device: str,
) -> dict[str, Any]:  # fmt: skip
    """The report of a file of samples."""
    from seqgan_gp.corpus import plain_rows
    from seqgan_gp.scores import score_plain

    if protocol not in (None, PLAIN):
        raise UsageError(f"--protocol {protocol} is not for a file of samples: use plain, or give a run's folder")
    if data is None:
        raise UsageError("--data is missing: name the file of real lines to compare the samples with")
    if num is not None:
        raise UsageError("--num is for runs: all lines of a file are scored")
    samples, reference = (plain_rows(spec, seq_len or 32, bad_utf8=bad_utf8) for spec in (target, data))
    return score_plain(samples, reference)
