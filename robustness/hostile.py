"""Hostile inputs of ten kinds through the real command line: does any of them hurt?

    python -m robustness.hostile [--num 1000] [--seed 0] [--kinds KIND ...] [--outdir experiments-out/hostile]

Each case is a file, or a run, that was changed at random or made to attack, in a folder of its own, and a command that
reads it. It runs in a process forked from this one, which has imported everything, and may end with exit code 0, 2, 3
or 4 only; where it fails it says so in one line. No case may run code, write outside its folder, print control bytes,
take a gigabyte or 20 seconds of a processor. The table goes to DIR/hostile.md; the folders of cases at fault stay in
DIR/faults.
"""

import argparse
import io
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL import Image

from cli import main as command_line
from robustness.attacks import TINY, Attack, Scene
from robustness.attacks_on_runs import KINDS

CODES = (0, 2, 3, 4)
MOST_SECONDS = 20.0  # of a processor, so that it does not matter what else the machine does
MOST_WAITED = 60.0  # seconds by the clock, after which a case is ended
MOST_BYTES = 1 << 30
CEILING = 6 << 30  # bytes of data that a case may ask for before the machine is in danger


@dataclass(frozen=True)
class Case:
    """A command that was run on a hostile input, and how it ended.

    code: its exit code; minus the signal that ended it. seconds: of a processor. peak: bytes of memory, with those of
        this process.
    """

    kind: str
    number: int
    args: list[str]
    code: int
    seconds: float
    peak: int
    faults: list[str] = field(default_factory=list)


def forked(work: Path, args: Sequence[str]) -> tuple[int, float, int]:
    """Run a command line in work/here, in a process of its own: its exit code, CPU seconds, and bytes at its peak."""
    began = time.monotonic()
    sys.stdout.flush()
    process = os.fork()
    if not process:
        become(work, args)
    ended = 0
    while not ended:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if not ended and time.monotonic() - began > MOST_WAITED:
            os.killpg(process, signal.SIGKILL)
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss


def become(work: Path, args: Sequence[str]) -> None:
    """Turn this process into a command line: in its folder, with its own cache, its output in files. Never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(work / "here")
        for number, name in enumerate(("/dev/null", "../stdout", "../stderr")):
            handle = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
            os.dup2(handle, number)
        sys.stdin, sys.stdout, sys.stderr = (open(n, mode, encoding="utf-8") for n, mode in enumerate("rww"))  # noqa: PTH123, SIM115 (handles, open to the end)
        for name, folder in (("SEQGAN_GP_CACHE", "cache"), ("TMPDIR", "tmp"), ("HOME", "home"), ("HF_HOME", "home")):
            os.environ[name] = str(work / folder)
        os.environ |= {"HF_HUB_OFFLINE": "1"}
        tempfile.tempdir = None
        datasets.config.HF_DATASETS_CACHE = work / "home" / "datasets"
        resource.setrlimit(resource.RLIMIT_DATA, (CEILING, CEILING))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(MOST_SECONDS) + 5,) * 2)
        sys.path.insert(0, "")  # what `python -m` does, and what a module beside a run would need to be found
        try:
            command_line(list(args))
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def faults_of(work: Path, kept: dict[str, bytes], code: int, seconds: float, peak: int) -> list[str]:
    """What a case did that it may not."""
    said, complained = (
        (work / name).read_bytes().decode(errors="replace") if (work / name).exists() else ""
        for name in ("stdout", "stderr")
    )
    found = []
    if code not in CODES:
        found.append(f"exit code {code}")
    lines = [line for line in complained.split("\n")[:-1] if not line.startswith("warning:")]
    if code > 0 and (len(lines) != 1 or not lines[0].startswith("Error: ")):
        found.append("not one line of error")
    if code and any(word in complained for word in ("Traceback", "unexpected")):
        found.append("an error that nobody foresaw")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in (said + complained).replace("\n", "")):
        found.append("control bytes")
    if seconds > MOST_SECONDS:
        found.append(f"over {MOST_SECONDS:g} s")
    if peak > MOST_BYTES:
        found.append(f"{peak >> 20} MB")
    if (work / "executed").exists():
        found.append("IT RAN CODE")
    if strays := {path.name for path in work.iterdir()} - set(PARTS):
        found.append(f"wrote outside: {', '.join(sorted(strays))}")
    if contents(work / "outside") != kept:
        found.append("changed a file outside")
    return found


PARTS = ("here", "outside", "cache", "tmp", "home", "stdout", "stderr")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def new_place(work: Path) -> None:
    """A folder for a case: one to work in, and one beside it that nothing may touch."""
    shutil.rmtree(work, ignore_errors=True)
    for name in PARTS[:5]:
        (work / name).mkdir(parents=True)
    (work / "outside" / "folder").mkdir()
    (work / "outside" / "kept.txt").write_text("kept\n" * 9)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(work / "outside" / "picture.png")


def good_files(folder: Path) -> None:
    """Make the files and runs that are then changed.

    Raises:
        RuntimeError: a command fails on them.
    """
    new_place(folder)
    here, drawn = folder / "here", np.random.default_rng(0)
    words = ["".join(drawn.choice(list("abcdefghé"), 4)) for _ in range(40)]
    lines = [" ".join(drawn.choice(words, 3)) for _ in range(300)]
    (here / "lines.txt").write_text("".join(line + "\n" for line in lines))
    (here / "labelled.txt").write_text("".join(f"{'xy'[i % 2]}\t{line}\n" for i, line in enumerate(lines)))
    (here / "options.toml").write_text('recipe = "wgan-gp"\ndata = "lines.txt"\nseq-len = 8\n[gp]\nweight = 5\n')
    make_images(here, drawn)
    pieces = ["--tokenizer", "bpe", "--vocab-size", "300"]
    text = ["train-text", "--data", "lines.txt", *TINY, "--depth", "1", "--seq-len", "8", "--steps", "1"]
    image = ["train-image", "--data", "images.npz", *TINY, "--arch", "mlp", "--generator-norm", "none", "--steps", "1"]
    commands = {"text": text, "pieces": [*text, *pieces], "image": [*image, "--recipe", "cgan", "--eval-num", "8"]}
    for name, args in commands.items():
        code, *_ = forked(folder, [*args, "--ema", "0.5", "--name", name])
        if code:
            raise RuntimeError((folder / "stderr").read_text())
        next((here / "runs").glob(f"*-{name}")).rename(here / name)


def make_images(here: Path, drawn: np.random.Generator) -> None:
    """The same small images in every form that is read."""
    images, labels = drawn.integers(0, 256, (24, 8, 8), np.uint8), np.arange(24, dtype=np.uint8) % 3
    np.savez(here / "images.npz", images=images, labels=labels)
    (here / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *images.shape) + images.tobytes())
    (here / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 24) + labels.tobytes())
    (here / "images").mkdir()
    rows = []
    with zipfile.ZipFile(here / "images.zip", "w") as archive:
        for i, image in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            (here / "images" / f"{i}.png").write_bytes(file.getvalue())
            archive.writestr(f"{'abc'[i % 3]}/{i}.png", file.getvalue())
            rows.append({"bytes": file.getvalue(), "path": f"{i}.png"})
    (here / "cifar").mkdir()
    records = np.concatenate([labels[:, None], drawn.integers(0, 256, (24, 3072), np.uint8)], axis=1)
    (here / "cifar/data_batch_1.bin").write_bytes(records[:16].tobytes())
    (here / "cifar/test_batch.bin").write_bytes(records[16:].tobytes())
    (here / "cifar/batches.meta.txt").write_text("\n".join(f"class{i}" for i in range(10)))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    table = datasets.Dataset.from_dict({"image": rows, "label": labels.tolist()}, features=features)
    table.to_parquet(here / "images.parquet")
    lines = (here / "lines.txt").read_text().splitlines()
    datasets.Dataset.from_dict({"text": lines}).to_parquet(here / "text.parquet")


def cases(outdir: Path, num: int, seed: int, kinds: Sequence[str]) -> Iterator[Case]:
    """Run so many cases, as many of each kind; the attacks of a kind come in turn with random changes."""
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    shutil.rmtree(outdir / "faults", ignore_errors=True)
    good_files(outdir / "good")
    for kind in kinds:
        change, attacks = KINDS[kind]
        for number in range(num // len(kinds)):
            attack = attacks[number // 2 % len(attacks)] if number % 2 == 0 else change
            yield one_case(outdir, kind, number, attack, random.Random(f"{seed} {kind} {number}"))
    shutil.rmtree(outdir / "work", ignore_errors=True)


def one_case(outdir: Path, kind: str, number: int, attack: Attack, rng: random.Random) -> Case:
    """Run an attack; what it left behind is kept if it is at fault."""
    good, work, faults = outdir / "good", outdir / "work", outdir / "faults"
    new_place(work)
    args = attack(Scene(work / "here", good / "here", work / "outside", work / "executed", rng))
    kept = contents(work / "outside")
    code, seconds, peak = forked(work, args)
    case = Case(kind, number, args, code, seconds, peak, faults_of(work, kept, code, seconds, peak))
    if case.faults:
        faults.mkdir(exist_ok=True)
        work.rename(faults / f"{kind}-{number}")
    return case


def row(kind: str, ended: list[Case]) -> str:
    """A line of the table."""
    codes = Counter(case.code for case in ended)
    told = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
    most, longest = max(case.peak for case in ended), max(case.seconds for case in ended)
    faulty = sum(bool(case.faults) for case in ended)
    return f"| {kind} | {len(ended)} | {told} | {most / 1e6:.0f} | {longest:.1f} | {faulty} |"


def main() -> None:
    """Run the cases, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num", type=int, default=1000, help="cases in all, as many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/hostile"))
    args = parser.parse_args()
    outdir = args.outdir.resolve()
    ended: dict[str, list[Case]] = {}
    for case in cases(outdir, args.num, args.seed, args.kinds):
        ended.setdefault(case.kind, []).append(case)
        if case.faults:
            print(f"{case.kind}-{case.number}: {', '.join(case.faults)}: {case.args!a}", file=sys.stderr, flush=True)
    lines = ["| input | cases | exit codes | most MB | longest s | faults |", "|---|---|---|---|---|---|"]
    lines += [row(kind, found) for kind, found in ended.items()]
    print("\n".join(lines))
    told = f"python -m robustness.hostile --num {args.num} --seed {args.seed}"
    lines += ["", f"{date.today()}, torch {torch.__version__}, MB with Python and torch themselves: `{told}`", ""]
    (outdir / "hostile.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
