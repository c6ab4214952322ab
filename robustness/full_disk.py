"""What a full disk does to a run: limits on the size of files, and /dev/full in the place of each output.

    python -m robustness.full_disk [--outdir DIR] [--limits N] [--only text|image] [--seed N]

The real command goes on with a good run while no file may grow beyond a limit, of which N are tried, from 0 bytes to
the largest file of a run; the same while it prepares its data. Each time it must end with one sentence and exit code 1,
or do all of its work; afterwards, without the limit, the run must be whole and end as one that nothing disturbed. The
table goes to DIR/full_disk.md. 20 limits take about half an hour on two cores.
"""

import argparse
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch

from gan_core.storage.sealed import DamagedError, verify
from robustness.reliability import EVERY, ROOT, Bench, digest

WHOLE = ["--steps", "40", "--sample-every", "10"]
HALF = ["--steps", "20", "--sample-every", "10"]
FULL = Path("/dev/full")
FORMATS = {"text": ("txt", "jsonl", "npz"), "image": ("png", "npz")}


@dataclass(frozen=True)
class Found:
    """What a disk that was full at `place` did.

    after: what was wrong when there was space again, "" if nothing was.
    """

    place: str
    domain: str
    code: int
    output: str
    after: str

    @property
    def sentences(self) -> list[str]:
        """The errors that the user read."""
        return [line for line in self.output.splitlines() if line.startswith("Error: ")]

    @property
    def good(self) -> bool:
        """Whether it is as it should be: nothing failed, or one sentence did the telling; and nothing was lost."""
        told = len(self.sentences) == (self.code != 0) and "Traceback" not in self.output
        return told and self.code in (0, 1) and not self.after


def limited(bench: Bench, limit: int, *args: str, cache: Path | None = None) -> tuple[int, str]:
    """The exit code and the output of the command line while no file may grow beyond `limit` bytes; -1 for no limit."""

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *args], cwd=bench.folder, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, preexec_fn=lower,
        env=os.environ | ({"SEQGAN_GP_CACHE": str(cache.resolve())} if cache else {}),
    )  # fmt: skip
    return done.returncode, done.stdout


def disturbed(bench: Bench, domain: str, place: str, act: Callable[[Path], tuple[int, str]], wanted: str) -> Found:
    """What `act`, which goes on with a copy of the good run, ends with, and what is left when there is space again."""
    run = bench.folder / "copy" / "00000-run"
    shutil.rmtree(run.parent, ignore_errors=True)
    shutil.copytree(bench.folder / f"{domain}-good", run)
    code, output = act(run)
    return Found(place, domain, code, output, wrong_after(bench, domain, run, wanted))


def wrong_after(bench: Bench, domain: str, run: Path, wanted: str) -> str:
    """What is wrong with a run when there is space again: "" if its checkpoints are whole and it ends as it should."""
    for path in run.rglob("*"):
        if path.is_char_device():
            path.unlink()
        if path.name.startswith("."):
            return f"{path.relative_to(run)} was left"
    try:
        saved = [verify(folder) for folder in (run / "checkpoints").iterdir()]
    except DamagedError as error:
        return str(error)
    code, output = bench.run("inspect", str(run.resolve()))
    if not saved or code or "verified" not in output:
        return f"inspect ends with {code}"
    code, output = bench.run(f"train-{domain}", "--resume", str(run.resolve()), *WHOLE[:2])
    if code:
        return f"--resume ends with {code}"
    return "" if digest(run) == wanted else "another end"


def limits(bench: Bench, domain: str, wanted: str, num: int) -> list[Found]:
    """A run goes on under each of `num` limits on the size of files."""
    found = []
    for limit in steps_up_to(largest(bench.folder / f"{domain}-straight"), num):

        def act(run: Path, limit: int = limit) -> tuple[int, str]:
            return limited(bench, limit, f"train-{domain}", "--resume", str(run.resolve()), *WHOLE[:2])

        found.append(disturbed(bench, domain, f"files of {limit:,} bytes at most", act, wanted))
    return found


def preparations(bench: Bench, domain: str, num: int) -> list[Found]:
    """A new run begins, with nothing in the cache, under each of `num` limits; nothing half may be left there."""
    found = []
    for limit in steps_up_to(largest(bench.folder / f"{domain}-cache"), num):
        cache, runs = bench.folder / "new-cache", bench.folder / "new-runs"
        for folder in (cache, runs):
            shutil.rmtree(folder, ignore_errors=True)
        args = [*bench.runs[domain], "--outdir", runs.name, "--steps", "2"]
        code, output = limited(bench, limit, *args, cache=cache)
        after = wrong_cache(cache)
        again, _ = limited(bench, -1, *args, cache=cache)
        after = after or (f"again ends with {again}" if again else "")
        found.append(Found(f"new cache, files of {limit:,} bytes at most", domain, code, output, after))
    return found


def wrong_cache(cache: Path) -> str:
    """What is wrong with a cache: "" if all that is kept there is whole."""
    for path in cache.iterdir() if cache.exists() else ():
        if path.suffix in (".tmp", ".old"):
            return f"{path.name} was left"
        if path.is_dir():
            try:
                verify(path)
            except DamagedError as error:
                return str(error)
    return ""


def devices(bench: Bench, domain: str, wanted: str) -> list[Found]:
    """/dev/full in the place of each file that is written as training goes, of --out, and of standard output.

    A run refuses links, so that the files are devices themselves, which only root can make.
    """
    found = []
    names = ("log.txt", "summary.json", "curves.png", f"samples/000030.{FORMATS[domain][0]}")
    for name in names if os.geteuid() == 0 else ():

        def act(run: Path, name: str = name) -> tuple[int, str]:
            (run / name).unlink(missing_ok=True)
            os.mknod(run / name, stat.S_IFCHR | 0o666, FULL.stat().st_rdev)
            return limited(bench, -1, f"train-{domain}", "--resume", str(run.resolve()), *WHOLE[:2])

        found.append(disturbed(bench, domain, f"{name} is /dev/full", act, wanted))
    good = str((bench.folder / f"{domain}-good").resolve())
    for form in FORMATS[domain]:
        code, output = bench.run("sample", good, "--num", "9", "--format", form, "--out", str(FULL))
        found.append(Found(f"sample --format {form} --out /dev/full", domain, code, output, wrong_device()))
    printing = [("inspect", good), ("inspect", good, "--json"), ("evaluate", good, "--json"), ("recipes",), ("doctor",)]
    printing += [("sample", good)] if domain == "text" else []
    printing += [(*bench.runs[domain], "--outdir", "printed")]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as it is for users
    for args in printing:
        with FULL.open("w") as out:
            done = subprocess.run(
                [sys.executable, str(ROOT / "cli.py"), *args], cwd=bench.folder, stdout=out, stderr=subprocess.PIPE,
                text=True, env=buffered,
            )  # fmt: skip
        shown = " ".join("RUN" if arg == good else arg for arg in args[:3])
        found.append(Found(f"{shown} > /dev/full", domain, done.returncode, done.stderr, ""))
    return found


def wrong_device() -> str:
    """Whether /dev/full is still the device."""
    return "" if FULL.is_char_device() else "/dev/full was replaced"


def largest(folder: Path) -> int:
    """The size of the largest file in a folder, in bytes."""
    return max(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def steps_up_to(most: int, num: int) -> list[int]:
    """0 and `num` - 1 more limits, evenly in ratio, from 16 bytes to `most`."""
    return [0, *np.unique(np.geomspace(16, most, num - 1).astype(int)).tolist()]


def prepared(bench: Bench, domain: str) -> str:
    """Train the good run and the undisturbed one; returns what the latter ends with."""
    straight = bench.train(domain, f"{domain}-first", *WHOLE)
    straight.rename(bench.folder / f"{domain}-straight")
    args = [*bench.runs[domain], "--save-every", str(EVERY), "--outdir", f"{domain}-half", *HALF]
    code, output = limited(bench, -1, *args, cache=bench.folder / f"{domain}-cache")
    if code:
        raise RuntimeError(output)
    bench.newest(f"{domain}-half").rename(bench.folder / f"{domain}-good")
    return digest(bench.folder / f"{domain}-straight")


def table(found: list[Found]) -> list[str]:
    """The rows of what was found, in Markdown."""
    lines = ["| place | domain | exit code | what the user reads | whole, and the same end |", "|---|---|---|---|---|"]
    for one in found:
        read = " // ".join(one.sentences) or ("" if one.code == 0 else one.output.strip()[-200:].replace("\n", " / "))
        verdict = "yes" if one.good else f"NO: {one.after or 'the sentence'}"
        lines.append(f"| {one.place} | {one.domain} | {one.code} | {read} | {verdict} |")
    return lines


def main() -> None:
    """Fill the disk everywhere, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/full-disk"))
    parser.add_argument("--limits", type=int, default=20)
    parser.add_argument("--only", choices=("text", "image"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    bench = Bench(args.outdir / "work", args.seed)
    found: list[Found] = []
    for domain in bench.runs if args.only is None else [args.only]:
        wanted = prepared(bench, domain)
        for part in (
            devices(bench, domain, wanted), limits(bench, domain, wanted, args.limits),
            preparations(bench, domain, args.limits // 2),
        ):  # fmt: skip
            found += part
            print("\n".join(table(part)), flush=True)
    bad = sum(not one.good for one in found)
    lines = [
        *table(found), "",
        f"{len(found)} full disks, {bad} of them not as they should be. {date.today()}, torch {torch.__version__}: "
        f"`python -m robustness.full_disk --limits {args.limits} --seed {args.seed}`", "",
    ]  # fmt: skip
    (args.outdir / "full_disk.md").write_text("\n".join(lines))
    print(lines[-2])
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
