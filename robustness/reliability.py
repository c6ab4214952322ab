"""What happens to a run that is killed, stopped, damaged or out of disk: counted on the real command line.

    python -m robustness.reliability [--outdir DIR] [--only CHECK ...] [--kills N] [--flips N] [--seed N]

Every check starts the command as a user would, on small runs of text and images, and compares the SHA-256 of what an
undisturbed run ends with. The table goes to DIR/reliability.md. The full numbers take about an hour on two cores.
"""

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from gan_core.recipes.published import RECIPES

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
STEPS, EVERY = 200, 10  # of a run, and between its checkpoints
DOMAINS = ("text", "image")
CADENCES = ("sample", "eval", "log", "save")
NETWORKS = ("generator.safetensors", "ema.safetensors", "critic.safetensors")
SMALL = [
    "--steps", str(STEPS), "--width", "8", "--batch-size", "8", "--threads", "1", "--log-every", "1",
    "--sample-every", "0", "--eval-every", "0",
]  # fmt: skip


@dataclass
class Bench:
    """A folder to work in, small data for both domains, and the random choices of a seed."""

    folder: Path
    seed: int
    jobs: int = 2
    rng: random.Random = field(init=False)
    digests: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        drawn = np.random.default_rng(self.seed)
        words = ["".join(drawn.choice(list("abcdefgh"), 4)) for _ in range(50)]
        lines = [f"{number % 3}\t{' '.join(drawn.choice(words, 4))}\n" for number in range(2000)]
        (self.folder / "lines.txt").write_text("".join(lines))
        images = drawn.integers(0, 256, (300, 16, 16)).astype(np.uint8)
        np.savez(self.folder / "images.npz", images=images, labels=np.arange(300) % 3)
        self.runs: dict[str, list[str]] = {
            "text": ["train-text", "--data", "lines.txt", "--depth", "1", "--seq-len", "16", *SMALL],
            "image": ["train-image", "--data", "images.npz", "--eval-num", "20", *SMALL],
        }

    def start(self, *args: str, **how: int) -> subprocess.Popen:
        """The command line with these arguments."""
        command = [sys.executable, str(ROOT / "cli.py"), *args]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how
        )

    def run(self, *args: str) -> tuple[int, str]:
        """The exit code and the output of the command line with these arguments."""
        process = self.start(*args)
        output, _ = process.communicate()
        return process.returncode, output

    def train(self, domain: str, name: str, *more: str) -> Path:
        """A run that nothing disturbs."""
        code, output = self.run(*self.runs[domain], "--save-every", str(EVERY), "--outdir", name, *more)
        if code:
            raise RuntimeError(output)
        return self.newest(name)

    def newest(self, name: str) -> Path:
        """The newest run in a folder."""
        return max((self.folder / name).glob("[0-9]*"))

    def straight(self, domain: str) -> tuple[str, float]:
        """The digest of an undisturbed run, and the seconds that it took."""
        if domain not in self.digests:
            self.train(domain, f"{domain}-warm")  # the data is prepared once, and the seconds below are without it
            began = time.monotonic()
            self.digests[domain] = digest(self.train(domain, f"{domain}-straight")), time.monotonic() - began
        return self.digests[domain]

    def interrupt(self, args: list[str], number: int, seconds: float) -> int:
        """Send a signal to a command after some seconds; its exit code."""
        process = self.start(*args)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds)
        process.send_signal(number)
        process.communicate()
        return process.returncode

    def side_by_side(self, task: Callable[[T], str], cases: Sequence[T]) -> list[str]:
        """What a task returns for each case, `jobs` of them at a time."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(task, cases))


def digest(run: Path) -> str:
    """The SHA-256 of the networks that a run ended with, and of the losses that it logged."""
    newest = max((run / "checkpoints").glob("step-*"))
    hashed = hashlib.sha256()
    for name in NETWORKS:
        if (newest / name).exists():
            hashed.update((newest / name).read_bytes())
    for line in (run / "metrics.jsonl").read_text().splitlines():
        logged = json.loads(line)
        losses = {key: value for key, value in logged.items() if "/" in key and key != "it/s"}
        if losses:
            hashed.update(json.dumps([logged["step"], losses], sort_keys=True).encode())
    return hashed.hexdigest()


def logged_step(run: Path) -> int:
    """The last step that a run has logged whole."""
    steps = [0]
    path = run / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            steps.append(json.loads(line)["step"])
        except ValueError:
            continue
    return max(steps)


def told(ends: list[str]) -> str:
    """What happened, how often."""
    return f"{len(ends)}: " + ", ".join(f"{count} x {end}" for end, count in sorted(Counter(ends).items()))


def resumes(bench: Bench, domain: str, num: int) -> str:
    """For each recipe, a run stopped at `num` random steps and resumed: does it end as a straight one?"""

    def one(case: tuple[str, list[int]]) -> str:
        recipe, steps = case
        what = ["--recipe", recipe, "--decay-steps", str(STEPS)]  # which a recipe's preset may set, and --steps else
        args = [*bench.runs[domain], *what, "--save-every", "0"]
        name = f"{domain}-{recipe}"
        wanted = digest(bench.train(domain, f"{name}-straight", *what))
        codes = [bench.run(*args, "--outdir", name, "--steps", str(steps[0]))[0]]
        for step in [*steps[1:], STEPS]:
            codes.append(bench.run(f"train-{domain}", "--outdir", name, "--resume", "--steps", str(step))[0])
        same = not any(codes) and digest(bench.newest(name)) == wanted
        return f"the same end after {num} stops" if same else f"ANOTHER END ({recipe}, exits {codes})"

    cases = [(recipe, sorted(bench.rng.sample(range(1, STEPS), num))) for recipe in RECIPES]
    return told(bench.side_by_side(one, cases))


def kills(bench: Bench, domain: str, num: int) -> str:
    """SIGKILL at random times, then --resume: does it end as the run that was not killed, and what is lost?"""
    wanted, whole = bench.straight(domain)
    lost: list[int] = []

    def one(case: tuple[int, float]) -> str:
        number, share = case
        name = f"{domain}-killed-{number}"
        args = [*bench.runs[domain], "--save-every", str(EVERY), "--outdir", name]
        bench.interrupt(args, signal.SIGKILL, share * whole)
        found = sorted((bench.folder / name).glob("[0-9]*"))
        if found:
            saved = [int(path.name[5:]) for path in found[-1].glob("checkpoints/step-*")]
            lost.append(logged_step(found[-1]) - max(saved, default=0))
            args = [f"train-{domain}", "--outdir", name, "--resume"]
        code, output = bench.run(*args)
        same = code == 0 and digest(bench.newest(name)) == wanted
        if not same:
            print(output, file=sys.stderr)
        shutil.rmtree(bench.folder / name)
        when = "resumed" if found else "killed before there was a run, started again"
        return f"{when}, the same end" if same else f"{when}, ANOTHER END (exit {code})"

    ends = bench.side_by_side(one, [(number, bench.rng.uniform(0.05, 1.0)) for number in range(num)])
    return f"{told(ends)}; at most {max(lost, default=0)} steps lost, {EVERY} between checkpoints"


def stops(bench: Bench, domain: str, num: int) -> str:
    """SIGTERM and SIGINT at random times: the exit codes, and whether the resumed run ends as an undisturbed one."""
    wanted, whole = bench.straight(domain)

    def one(case: tuple[int, float]) -> str:
        number, share = case
        name = f"{domain}-stopped-{number}"
        sent = (signal.SIGTERM, signal.SIGINT)[number % 2]
        code = bench.interrupt([*bench.runs[domain], "--save-every", "0", "--outdir", name], sent, share * whole)
        if not list((bench.folder / name).glob("[0-9]*")):
            return f"exit {code} before there was a run"
        again, _ = bench.run(f"train-{domain}", "--outdir", name, "--resume")
        same = again == 0 and digest(bench.newest(name)) == wanted
        return f"exit {code}, then {'the same end' if same else 'ANOTHER END'}"

    return told(bench.side_by_side(one, [(number, bench.rng.uniform(0.3, 0.9)) for number in range(num)]))


def damages(bench: Bench, domain: str, num: int) -> str:
    """One bit flipped, a file cut, emptied, swapped or missing: is a damaged checkpoint ever used without a word?"""
    bench.straight(domain)
    pristine = bench.newest(f"{domain}-straight")

    def one(case: tuple[int, str, int]) -> str:
        number, kind, seed = case
        run = bench.folder / f"{domain}-damaged-{number}"
        shutil.copytree(pristine, run)
        folders = sorted((run / "checkpoints").glob("step-*"))
        rng = random.Random(seed)
        for folder in rng.choice([folders[-1:], folders]):
            damage(rng, kind, folder)
        code, output = bench.run("inspect", run.name, "--json")
        shutil.rmtree(run)
        if code == 4:
            return "exit 4"
        if code == 0 and "warning: " in output:
            return "the one before, with a warning"
        return f"USED SILENTLY ({kind}, exit {code})"

    kinds = ["flip"] * num + ["cut"] * (num // 2) + ["empty", "swap", "remove"] * max(1, num // 20)
    ends = bench.side_by_side(one, [(n, kind, bench.rng.randrange(1 << 32)) for n, kind in enumerate(kinds)])
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())
    return f"{told(ends)} ({counts})"


def damage(rng: random.Random, kind: str, folder: Path) -> None:
    """Damage a file of a checkpoint."""
    files = sorted(folder.iterdir())
    file = rng.choice(files)
    content = bytearray(file.read_bytes())
    if kind == "flip":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: rng.randrange(len(content))])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "swap":
        other = rng.choice([f for f in files if f != file])
        mine, its = file.read_bytes(), other.read_bytes()
        file.write_bytes(its)
        other.write_bytes(mine)
    else:
        file.unlink()


def cadences(bench: Bench, domain: str, num: int) -> str:
    """Sampling, scoring, logging and saving at every step, and at every `num`: the same networks?"""
    ends = []
    for every in (1, num):
        often = [word for what in CADENCES for word in (f"--{what}-every", str(every))]
        newest = max(
            (bench.train(domain, f"{domain}-every-{every}", "--steps", "100", *often) / "checkpoints").glob("step-*")
        )
        ends.append(hashlib.sha256(b"".join((newest / file).read_bytes() for file in NETWORKS)).hexdigest())
    return f"every 1 and every {num}: " + ("the same networks" if ends[0] == ends[1] else "OTHER NETWORKS")


CHECKS: dict[str, Callable[[Bench, str, int], str]] = {
    "resumes": resumes, "kills": kills, "stops": stops, "damages": damages, "cadences": cadences,
}  # fmt: skip


def main() -> None:
    """Make the checks, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/reliability"))
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="commands at a time")
    args = parser.parse_args()
    numbers = {
        "resumes": args.stops, "kills": args.kills, "stops": args.kills // 5, "damages": args.flips, "cadences": 50
    }  # fmt: skip
    bench = Bench(args.outdir.resolve() / "work", args.seed, args.jobs)
    lines = ["| check | domain | found |", "|---|---|---|"]
    for name in args.only:
        for domain in args.domains:
            found = CHECKS[name](bench, domain, numbers[name])
            lines.append(f"| {name} | {domain} | {found} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{date.today()}, torch {torch.__version__}: `python -m robustness.reliability --seed {args.seed}`",
        "",
    ]
    (args.outdir / "reliability.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
