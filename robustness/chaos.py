"""ckpt-chaos over the real command: a run dies at one of its file events, goes on, and ends as one that did not die.

    python -m pip install ckpt-chaos
    python -m robustness.chaos [--outdir DIR] [--points N] [--modes MODE ...] [--jobs N]

ckpt-chaos (PyPI) is a judge that knows nothing of this project. It records each file that a small run of train-text
makes, renames or removes, and starts the run anew for each of N of these events, to let it die there:

    before     just before the event
    torn       with the file that is being written cut to half
    term       by SIGTERM, and five seconds later for good
    unsynced   before the event, and what was not flushed to the disk is lost

Then the run goes on, or begins, where it died before it had begun. It must start from the newest checkpoint that was
whole, and end with the same networks. (Not with the same metrics.jsonl: `torn` also cuts that file to half after it was
closed, which no death of a process does; `robustness.reliability` compares the losses.) The report goes to
DIR/chaos.md. 160 points take half an hour on two cores.
"""

import argparse
import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch

from robustness.reliability import EVERY, ROOT, Bench

MODES = ("before", "torn", "term", "unsynced")
BAD = "HARD_FAIL,SILENT_DIVERGENCE,LOST_WORK,CONTROL_FAIL"
OUT = "{out}"  # where ckpt-chaos puts the folder of each run
RUN = ["--steps", "20", "--save-every", str(EVERY), "--sample-every", "10", "--keep", "100"]  # it compares them all
DIGEST = f"cat {OUT}/[0-9]*/checkpoints/step-000020/*.safetensors | sha256sum"


def commands(bench: Bench) -> tuple[list[str], str, str]:
    """The command that trains, the one that goes on after a death, and the one that prints what a run ended with."""
    python, cli = sys.executable, str(ROOT / "cli.py")
    kind, *options = bench.runs["text"]
    options[options.index("lines.txt")] = str((bench.folder / "lines.txt").resolve())
    train = [python, cli, kind, *options, *RUN, "--outdir", OUT]
    again = shlex.join([python, cli, kind, "--resume", "--outdir", OUT])
    script = f"if ls -d {OUT}/[0-9]* > /dev/null 2>&1; then {again}; else {shlex.join(train)}; fi"
    return train, shlex.join(["sh", "-c", script]), shlex.join(["sh", "-c", DIGEST])


def lost_steps(work: Path) -> list[int]:
    """For each death, how many steps the run went back behind the newest checkpoint that was whole."""
    outcomes = [json.loads(path.read_text())["outcome"] for path in sorted(work.glob("pt_[0-9]*/result.json"))]
    return [one["newest_complete_step"] - (one["resumed_from_step"] or 0) for one in outcomes]


def main() -> int:
    """Let ckpt-chaos judge, and keep its report; returns its exit code, 0 where every run passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/chaos"))
    parser.add_argument("--points", type=int, default=160)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if importlib.util.find_spec("ckpt_chaos") is None:
        print("Error: ckpt-chaos is not installed: python -m pip install ckpt-chaos", file=sys.stderr)
        return 1
    bench = Bench(args.outdir / "data", 0)
    work, report = args.outdir / "work", args.outdir / "chaos.md"
    shutil.rmtree(work, ignore_errors=True)
    report.unlink(missing_ok=True)
    train, again, result = commands(bench)
    judged = subprocess.run(
        [
            sys.executable, "-m", "ckpt_chaos", "run",
            "--work", str(work.resolve()), "--summary", str(report.resolve()),
            "--resume-cmd", again, "--result-cmd", result, "--step-regex", r"resuming at step (\d+)",
            "--checkpoint-glob", f"{OUT}/*/checkpoints/step-*", "--modes", ",".join(args.modes),
            "--max-points", str(args.points), "--jobs", str(args.jobs), "--fail-on", BAD, "--", *train,
        ],
        cwd=ROOT,
    )  # fmt: skip
    lost = lost_steps(work)
    about = (
        f"{len(lost)} deaths, of which {sum(steps > 0 for steps in lost)} lost work: {sum(lost)} steps in all. "
        f"{date.today()}, torch {torch.__version__}: "
        f"`python -m robustness.chaos --points {args.points} --modes {' '.join(args.modes)}`"
    )
    with report.open("a") as file:
        file.write(f"\n{about}\n")
    print(about)
    return judged.returncode


if __name__ == "__main__":
    sys.exit(main())
