"""What happens to a run that is killed, stopped, damaged or out of disk: counted on the real command line.

    python -m experiments.reliability [--outdir DIR] [--only CHECK ...] [--kills N] [--flips N] [--seed N]

Every check starts the command as a user would, on small runs of text and images, and compares the SHA-256 of what an
undisturbed run ends with. The table goes to DIR/reliability.md. The full numbers take about an hour on two cores.
"""

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
EVERY = 5  # steps between checkpoints
NETWORKS = ("generator.safetensors", "ema.safetensors", "critic.safetensors")
SMALL = [
    "--steps", "40", "--width", "8", "--batch-size", "8", "--threads", "1", "--log-every", "1",
    "--sample-every", "0", "--eval-every", "0",
]  # fmt: skip


@dataclass
class Bench:
    """A folder to work in, small data for both domains, and the random choices of a seed."""

    folder: Path
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        drawn = np.random.default_rng(self.seed)
        words = ["".join(drawn.choice(list("abcdefgh"), 4)) for _ in range(50)]
        lines = [" ".join(drawn.choice(words, 4)) for _ in range(2000)]
        (self.folder / "lines.txt").write_text("".join(line + "\n" for line in lines))
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


def digest(run: Path) -> str:
    """The SHA-256 of the networks that a run ended with, and of the losses that it logged."""
    newest = max((run / "checkpoints").glob("step-*"))
    hashed = hashlib.sha256()
    for name in NETWORKS:
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


def kills(bench: Bench, domain: str, num: int) -> str:
    """SIGKILL at random times, then --resume: does it end as the run that was not killed, and what is lost?"""
    began = time.monotonic()
    wanted = digest(bench.train(domain, f"{domain}-straight"))
    whole = time.monotonic() - began
    lost, ends = [], Counter()
    for number in range(num):
        name = f"{domain}-killed-{number}"
        args = [*bench.runs[domain], "--save-every", str(EVERY), "--outdir", name]
        process = bench.start(*args)
        time.sleep(bench.rng.uniform(0.05, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = sorted((bench.folder / name).glob("[0-9]*")) if (bench.folder / name).is_dir() else []
        reached = logged_step(found[-1]) if found else 0
        saved = [int(p.name[5:]) for p in found[-1].glob("checkpoints/step-*")] if found else []
        again = [*args, "--resume"] if saved else args
        if saved:
            again = [domain_command(domain), "--outdir", name, "--resume"]
            lost.append(reached - max(saved))
        code, output = bench.run(*again)
        same = code == 0 and digest(bench.newest(name)) == wanted
        ends["the same end" if same else f"another end (exit {code})"] += 1
        if not same:
            print(output, file=sys.stderr)
        shutil.rmtree(bench.folder / name)
    told = ", ".join(f"{count} {end}" for end, count in ends.items())
    return f"{num} kills: {told}; {len(lost)} after a first checkpoint, at most {max(lost, default=0)} steps lost"


def domain_command(domain: str) -> str:
    """The training command of a domain."""
    return f"train-{domain}"


def stops(bench: Bench, domain: str, num: int) -> str:
    """SIGTERM and SIGINT at random times: the exit codes, and whether the resumed run ends as an undisturbed one."""
    began = time.monotonic()
    wanted = digest(bench.train(domain, f"{domain}-unstopped"))
    whole = time.monotonic() - began
    ends: Counter[str] = Counter()
    for number in range(num):
        name = f"{domain}-stopped-{number}"
        process = bench.start(*bench.runs[domain], "--save-every", "0", "--outdir", name)
        time.sleep(bench.rng.uniform(0.4, 0.9) * whole)
        sent = (signal.SIGTERM, signal.SIGINT)[number % 2]
        process.send_signal(sent)
        process.communicate()
        code = process.returncode
        if code in (130, 143):
            code_again, _ = bench.run(domain_command(domain), "--outdir", name, "--resume")
            same = code_again == 0 and digest(bench.newest(name)) == wanted
            ends[f"exit {code}, then {'the same end' if same else 'another end'}"] += 1
        else:
            ends["ended by the signal before training" if code < 0 else f"exit {code}"] += 1
        shutil.rmtree(bench.folder / name, ignore_errors=True)
    return f"{num} signals: " + ", ".join(f"{count} x {end}" for end, count in sorted(ends.items()))


def damages(bench: Bench, domain: str, num: int) -> str:
    """One bit flipped, a file cut, emptied, swapped or missing: is a damaged checkpoint ever used without a word?"""
    run = bench.train(domain, f"{domain}-damaged")
    pristine = bench.folder / f"{domain}-pristine"
    shutil.copytree(run / "checkpoints", pristine)
    ends: Counter[str] = Counter()
    kinds = ["flip"] * num + ["cut"] * (num // 2) + ["empty", "swap", "remove"] * max(1, num // 20)
    for kind in kinds:
        shutil.rmtree(run / "checkpoints")
        shutil.copytree(pristine, run / "checkpoints")
        folders = sorted((run / "checkpoints").glob("step-*"))
        hurt = bench.rng.choice([folders[-1:], folders])
        for folder in hurt:
            damage(bench, kind, folder)
        code, output = bench.run("inspect", str(run.relative_to(bench.folder)), "--json")
        warned = "warning: " in output
        if code == 4:
            ends["exit 4"] += 1
        elif code == 0 and warned:
            ends["the one before, with a warning"] += 1
        else:
            ends[f"USED SILENTLY ({kind}, exit {code})"] += 1
    told = ", ".join(f"{count} x {end}" for end, count in sorted(ends.items()))
    return f"{len(kinds)} damages: {told}"


def damage(bench: Bench, kind: str, folder: Path) -> None:
    """Damage a file of a checkpoint."""
    files = sorted(folder.iterdir())
    file = bench.rng.choice(files)
    content = bytearray(file.read_bytes())
    if kind == "flip":
        content[bench.rng.randrange(len(content))] ^= 1 << bench.rng.randrange(8)
        file.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: bench.rng.randrange(len(content))])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "swap":
        other = bench.rng.choice([f for f in files if f != file])
        mine, its = file.read_bytes(), other.read_bytes()
        file.write_bytes(its)
        other.write_bytes(mine)
    else:
        file.unlink()


def cadences(bench: Bench, domain: str, num: int) -> str:
    """Sampling, scoring, logging and saving at every step, and never: the same networks?"""
    often = ["--sample-every", "1", "--eval-every", "10", "--log-every", "1", "--save-every", "1"]
    never = ["--sample-every", "0", "--eval-every", "0", "--log-every", "0", "--save-every", "0"]
    ends = []
    for name, more in (("often", often), ("never", never)):
        run = bench.train(domain, f"{domain}-{name}", *more)
        newest = max((run / "checkpoints").glob("step-*"))
        ends.append(hashlib.sha256(b"".join((newest / file).read_bytes() for file in NETWORKS)).hexdigest())
    return "the same networks" if ends[0] == ends[1] else "OTHER NETWORKS"


CHECKS: dict[str, Callable[[Bench, str, int], str]] = {
    "kills": kills, "stops": stops, "damages": damages, "cadences": cadences,
}  # fmt: skip


def main() -> None:
    """Make the checks, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/reliability"))
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    numbers = {"kills": args.kills, "stops": args.kills // 5, "damages": args.flips, "cadences": 1}
    bench = Bench(args.outdir / "work", args.seed)
    lines = ["| check | domain | found |", "|---|---|---|"]
    for name in args.only:
        for domain in bench.runs:
            found = CHECKS[name](bench, domain, numbers[name])
            lines.append(f"| {name} | {domain} | {found} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{date.today()}, torch {torch.__version__}: `python -m experiments.reliability --seed {args.seed}`",
        "",
    ]
    (args.outdir / "reliability.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
