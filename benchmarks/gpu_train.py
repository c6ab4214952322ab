"""Trains the paper's text networks on a GPU, in sessions of under 10 minutes, and lists their scores against time.

    benchmarks/gpu_train.sh ttur|paper-5 --data LINES [--minutes 8] [--out DIR] [OPTION OF train-text ...]
    benchmarks/gpu_train.sh ttur --data LINES --device cpu --quick     shows on a CPU that it works

    ttur      --preset ttur                      (Heusel et al. 2017)
    paper-5   --preset paper --critic-steps 5

The same command goes on with the run. Each ends with a table of JS-4 and JS-6 by step and by seconds of training,
beside what real lines (the floor) and Markov chains score, and with DIR/NAME/scores.json.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import need_gpu
from benchmarks.tables import markdown
from benchmarks.timing import machine

ROOT = Path(__file__).parents[1]
RUNS = {"ttur": ["--preset", "ttur"], "paper-5": ["--preset", "paper", "--critic-steps", "5"]}
EVERY = ["--eval-every", "2500", "--save-every", "2500", "--sample-every", "10000"]
QUICK = [
    *["--width", "16", "--depth", "1", "--batch-size", "64", "--steps", "6", "--threads", "1"],
    *["--eval-every", "3", "--save-every", "3", "--sample-every", "0", "--log-every", "3"],
]
SCORES = ("4", "6")  # n of the n-grams


def session(name: str, data: str, out: Path, device: str, minutes: float, options: list[str]) -> Path:
    """Begin a run, or go on with it, for so many minutes; its folder."""
    where = ["--outdir", str(out / name), "--device", device, "--max-time", f"{60 * minutes:.0f}s"]
    started = sorted((out / name).glob("*/config.json"))
    how = ["--resume", str(started[-1].parent)] if started else [*RUNS[name], "--data", data, *options]
    done = subprocess.run([sys.executable, str(ROOT / "cli.py"), "train-text", *where, *how])
    if done.returncode:
        raise SystemExit(done.returncode)
    return sorted((out / name).glob("*/config.json"))[-1].parent


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl that hold scores: step, seconds, evaluation; of a step the newest."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return list({line["step"]: line for line in lines if "evaluation" in line}.values())


def table(found: list[dict[str, Any]]) -> str:
    """The scores of a run in Markdown, two columns a protocol; at the end what real lines and Markov chains score."""
    last = {name: report for name, report in found[-1]["evaluation"].items() if "js" in report}

    def line(title: str, seconds: str, js: dict[str, dict[str, float]]) -> list[str]:
        return [title, seconds, *(f"{js[name][n]:.4f}" for name in last for n in SCORES)]

    lines = []
    for each in found:
        scores = {name: each["evaluation"][name]["js"] for name in last}
        lines.append(line(str(each["step"]), f"{each['seconds']:.0f}", scores))
    lines.append(line("real lines", "", {name: report["floor"] for name, report in last.items()}))
    for order in next(iter(last.values()))["markov"]:
        chain = {name: report["markov"][order] for name, report in last.items()}
        lines.append(line(f"Markov chain of order {order}", "", chain))
    titles = [f"JS-{n}, {name} ({report['num_samples']} samples)" for name, report in last.items() for n in SCORES]
    return "\n".join(markdown(["step", "seconds", *titles], lines))


def main() -> None:
    """Train for a session and print the scores so far."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--data", required=True, help="lines to learn from, as for train-text")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training in this session  [8]")
    parser.add_argument("--out", type=Path, default=Path("runs") / "gpu", metavar="DIR")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="a few steps of small networks, to see that it works")
    args, options = parser.parse_known_args()
    need_gpu("benchmarks/gpu_train.sh", args.device, args.quick)
    options = [*(QUICK if args.quick else EVERY), *options]
    folder = session(args.run, args.data, args.out, args.device, args.minutes, options)
    found, about = evaluations(folder), machine(torch.device(args.device))
    print(f"\n{table(found)}\n\n{about['date']}, {about['device']}, torch {about['torch']}; {folder}")
    (args.out / args.run / "scores.json").write_text(json.dumps({"machine": about, "scores": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
