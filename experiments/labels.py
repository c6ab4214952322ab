"""Label-aware GANs on the built-in data: do samples show what was asked for, and what do critics learn of classes?

    python -m experiments.labels [--outdir DIR] [--only NAME ...] [--seed N]

Every row is one run of the command line, as a user would start it, at most ten minutes of training on two cores. The
table goes to DIR/labels.md, the numbers to DIR/labels.json, and pictures of the samples to DIR/labels-*.png.
"""

import argparse
import json
import math
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from experiments.plain_classifier import plain_classifier

ROOT = Path(__file__).parents[1]
Report = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A run, and what is read off its report. told: the columns of its line of the table, by their heads."""

    command: str
    told: Callable[[Report], dict[str, str]]


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f}%"


def asked(report: Report) -> dict[str, str]:
    """Of a generator that is told labels."""
    labels = report["labels"]
    told = {
        "what": "samples that a held-out classifier finds to be what was asked for",
        "measured": percent(labels["conditional"]["accuracy"]),
        "to compare": f"real test data {percent(labels['classifier']['accuracy'])}",
        "chance": percent(labels["conditional"]["chance"]),
    }
    if "intra_frechet" in labels:
        intra = labels["intra_frechet"]
        told["to compare"] += f"; intra-class Frechet distance {intra['mean']:.2f}, real {intra['floor']:.2f}"
    return told


def guessed(report: Report) -> dict[str, str]:
    """Of a critic that learnt from 100 labels a class."""
    plain = report["plain"]
    return {
        "what": "test images that the critic classifies wrongly, 100 labels a class",
        "measured": percent(report["labels"]["critic"]["error"]),
        "to compare": f"its trunk, these labels alone: {percent(plain['error'])}, best {percent(plain['best_error'])}",
        "chance": percent(1 - report["labels"]["critic"]["chance"]),
    }


def clustered(report: Report) -> dict[str, str]:
    """Of a critic that learnt without labels."""
    critic = report["labels"]["critic"]
    return {
        "what": f"test images outside of the class of their category, {critic['categories']} categories, no labels",
        "measured": percent(critic["majority_error"]),
        "to compare": f"one category a class: {percent(critic['matched_error'])}",
        "chance": percent(1 - critic["chance"]),
    }


def matched(report: Report) -> dict[str, str]:
    """Of codes."""
    codes = report["labels"]["codes"]
    samples, real = codes["samples"][0], codes["real"][0]
    return {
        "what": "samples whose class is the one that their code is matched with",
        "measured": percent(samples["accuracy"]),
        "to compare": f"real test images, as Q reads them: {percent(real['accuracy'])}; samples tell at least "
        f"{codes['bits']['category']:.2f} of the code's {math.log2(codes['categories']):.2f} bits",
        "chance": percent(samples["chance"]),
    }


IMAGE, TEXT = "train-image --recipe", "train-text --recipe"
ROWS = {
    "cgan": Row(f"{IMAGE} cgan", asked),
    "acgan": Row(f"{IMAGE} acgan", asked),
    "wgan-gp-acgan": Row(f"{IMAGE} wgan-gp-acgan", asked),
    "projection": Row(f"{IMAGE} projection", asked),
    "sgan": Row(f"{IMAGE} sgan --labels-per-class 100", guessed),
    "catgan": Row(f"{IMAGE} catgan --labels-per-class 100", guessed),
    "catgan-unsupervised": Row(f"{IMAGE} catgan --catgan-supervised 0 --catgan-categories 20", clustered),
    "infogan": Row(f"{IMAGE} infogan", matched),
    "text-wgan-gp-concat": Row(f"{TEXT} wgan-gp --add concat", asked),
    "text-wgan-gp-acgan": Row(f"{TEXT} wgan-gp-acgan", asked),
}


def measure(name: str, row: Row, outdir: Path, seed: int) -> Report:
    """The labels of a run's report, with its steps, seconds and command; the run is made where it is not there yet."""
    command = f"{row.command} --seed {seed}"
    pattern = "[0-9]" * 5 + f"-{name}-{seed}"
    done = sorted((outdir / "runs").glob(pattern))
    if not done or not (done[-1] / "summary.json").is_file():
        started = [sys.executable, "cli.py", *shlex.split(command), "--outdir", str(outdir / "runs"), "--name"]
        subprocess.run([*started, f"{name}-{seed}"], cwd=ROOT, check=True)
        done = sorted((outdir / "runs").glob(pattern))
    summary = json.loads((done[-1] / "summary.json").read_text())
    report = {"command": command, "steps": summary["steps"], "seconds": summary["seconds"]}
    report["labels"] = summary["evaluation"]["labels"]
    if row.told is guessed:
        report["plain"] = plain_classifier({"recipe": name, "labels_per_class": 100, "seed": seed})
    pictures = sorted((done[-1] / "samples").glob("[0-9]*.png")) + sorted(
        (done[-1] / "samples").glob("traversal-*.png")
    )
    if pictures:
        shutil.copyfile(pictures[-1], outdir / f"labels-{name}.png")
    return report


def table(reports: dict[str, Report], seed: int) -> str:
    """The table, in Markdown."""
    heads = ("what", "measured", "to compare", "chance")
    lines = ["| command | " + " | ".join(heads) + " | steps | minutes |", "|---" * (len(heads) + 3) + "|"]
    for name, report in reports.items():
        told = ROWS[name].told(report)
        cells = [f"`{report['command']}`", *(told[head] for head in heads), f"{report['steps']:,}"]
        lines.append("| " + " | ".join([*cells, f"{report['seconds'] / 60:.1f}"]) + " |")
    about = (
        f"{date.today()}, {torch.get_num_threads()} threads of {platform.processor() or platform.machine()}, torch "
        f"{torch.__version__}: `python -m experiments.labels --seed {seed}`"
    )
    return "\n".join([*lines, "", about, ""])


def main() -> None:
    """Make the runs, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out"), help="[experiments-out]")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    reports = {}
    for name in args.only:
        began = time.monotonic()
        reports[name] = measure(name, ROWS[name], args.outdir, args.seed)
        print(f"{name}: {ROWS[name].told(reports[name])} in {time.monotonic() - began:.0f} s", flush=True)
        (args.outdir / "labels.json").write_text(json.dumps(reports, indent=1) + "\n")
        (args.outdir / "labels.md").write_text(table(reports, args.seed))
    print(table(reports, args.seed))


if __name__ == "__main__":
    main()
