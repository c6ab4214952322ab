"""Does a run in bfloat16 learn as one in float32 does? Equal steps, the same seeds, the scores beside their spread.

    python -m benchmarks.precision [--domains text image] [--seeds N ...] [--steps STEPS] [--outdir DIR] [OPTION ...]

Each run is one of the command line at the preset `small`, scored at its end. bfloat16 does as well where its mean is
worse by no more than the larger range of the seeds. Other options are passed on to every run, as --compile is.
Runs that are done are kept, so that an interrupted experiment goes on. The table goes to DIR/precision.md.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

from gan_core.training.run import read_lines

ROOT = Path(__file__).parents[1]
PRECISIONS = ("fp32", "bf16")
SCORES = {"text": ("js-4/heldout", "js-6/heldout"), "image": ("frechet/classifier", "kid/classifier")}


def scores_of(
    domain: str, precision: str, seed: int, steps: int, outdir: Path, more: Sequence[str]
) -> dict[str, float]:
    """The scores that a run ended with; it is trained first if it was not."""
    name = f"{domain}-{precision}-{seed}"
    done = list(outdir.glob(f"*-{name}/summary.json"))
    if not done:
        args = [f"train-{domain}", "--precision", precision, "--seed", str(seed), "--steps", str(steps), "--name", name]
        args += ["--max-time", "", "--outdir", str(outdir), "--eval-every", "0", *more]
        subprocess.run([sys.executable, str(ROOT / "cli.py"), *args], check=True, stdout=subprocess.DEVNULL)
        done = list(outdir.glob(f"*-{name}/summary.json"))
    logged = [json.loads(line) for line in read_lines(done[-1].parent / "metrics.jsonl")]
    found: dict[str, float] = [line["scores"] for line in logged if "scores" in line][-1]
    return found


def compared(domain: str, found: dict[str, list[dict[str, float]]]) -> list[str]:
    """Rows of the table: each score by precision, seed by seed, and whether bfloat16 does as well."""
    rows = []
    for score in SCORES[domain]:
        values = {precision: [one[score] for one in runs] for precision, runs in found.items()}
        means = {precision: statistics.mean(of_one) for precision, of_one in values.items()}
        spread = max(max(of_one) - min(of_one) for of_one in values.values())
        apart = means["bf16"] - means["fp32"]
        cells = [f"{means[p]:.4f} ({', '.join(f'{value:.4f}' for value in values[p])})" for p in PRECISIONS]
        verdict = "yes" if apart <= spread else "NO"
        rows.append(f"| {domain} | {score} | {' | '.join(cells)} | {apart:+.4f} | {spread:.4f} | {verdict} |")
    return rows


def main() -> None:
    """Train, compare, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--domains", nargs="+", choices=SCORES, default=list(SCORES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/precision"))
    args, more = parser.parse_known_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    rows = ["| domain | score | fp32: mean (seeds) | bf16: mean (seeds) | apart | range of the seeds | as good |"]
    rows += ["|---" * 7 + "|"]
    for domain in args.domains:
        found = {
            precision: [scores_of(domain, precision, seed, args.steps, args.outdir, more) for seed in args.seeds]
            for precision in PRECISIONS
        }
        rows += compared(domain, found)
    command = shlex.join(["python", "-m", "benchmarks.precision", *sys.argv[1:]])
    rows += ["", f"{date.today()}, torch {torch.__version__}: `{command}`"]
    print("\n".join(rows))
    (args.outdir / "precision.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
