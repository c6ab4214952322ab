"""The training commands' implementation, from options to a finished run. commands.py defines the commands."""

import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from gan_core.errors import CheckpointError, GanError, UsageError
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import Plan, settle
from gan_core.runtime import dist
from gan_core.runtime.device import pick_device, use_threads
from gan_core.storage.sealed import write_json
from gan_core.text import plain
from gan_core.training import checkpoint
from gan_core.training.loop import Trainer
from gan_core.training.recorder import Recorder, legend
from gan_core.training.run import Run, newest_run, read_config, run_folder
from gan_core.training.signals import Stopped
from seqgan_gp_cli import program
from seqgan_gp_cli.domains import DOMAINS, Entry, plan_of, refuse_code
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.load import check_networks
from seqgan_gp_cli.options import NEWEST, seconds
from seqgan_gp_cli.screen import Terminal


def run_command(
    entry: Entry, given: dict[str, Any], outdir: Path, name: str | None, resume: str | None, dry_run: bool
) -> None:
    """Run `train`, such that it ends cleanly on SIGTERM and prints on rank 0 only."""
    with terminable(), quiet_unless_first():
        train(entry, given, outdir, name, resume, dry_run)


def train(
    entry: Entry, given: dict[str, Any], outdir: Path, name: str | None, resume: str | None, dry_run: bool
) -> None:
    """Train a new run, or resume one.

    Raises:
        GanError: an option, the data or a checkpoint cannot be used, or training diverged; see `gan_core.errors`.
    """
    kind = entry.kind
    path = config = None
    if resume is None and dist.restarts():  # torchrun repeats the command that started the run
        with contextlib.suppress(CheckpointError):
            resume = str(newest_run(outdir, kind.name))
    if resume is not None:
        path = newest_run(outdir, kind.name) if resume == NEWEST else run_folder(resume)
        config = read_config(path)
        plan = resumed_plan(path, config, given, kind.name)
    else:
        plan = settle(kind, given)
    settings: Any = plan.settings(kind)
    until = seconds(settings.max_time)
    device = dist.local_device(pick_device(settings.device))
    use_threads(settings.threads)
    with dist.processes(device):
        dist.check_batch(settings.batch_size, settings.accumulate)
        domain = entry.open(settings)
        parts = make_parts(plan.parts, plan.numbers)
        if path is not None and config is not None:
            check_data(path, config, domain.data, settings)
            if saved := checkpoint.latest(path / "checkpoints"):
                check_networks(domain, parts, settings, saved.folder)
        game = build(domain, parts, settings, device)
        show_plan(plan, domain, game)
        if dry_run:
            return
        if dist.rank():
            follow(Trainer(game, domain, settings, device), path, until)
            return
        if path is None or config is None:
            config = make_config(kind.name, plan, domain)
            run = Run.create(outdir, name or f"{kind.name}-{plan.recipe}", config)
        else:
            run = Run(path)
        with contextlib.closing(run):
            recorder = Recorder(run, domain, game.parts, settings.keep, Terminal())
            trainer = Trainer(game, domain, settings, device, recorder)
            if path is not None:  # look for the checkpoint again, now that the lock keeps other processes out
                trainer.resume(checkpoint.latest(run.checkpoints))
                config["numbers"] = plan.written()
                write_json(run.path / "config.json", config)
                tell_resumed(game.step, config)
            play(trainer, run, config, until, outdir)


def check_data(path: Path, config: dict[str, Any], data: Any, settings: Any) -> None:
    """Refuse to resume a run with data that differs from its training data.

    Raises:
        CheckpointError: the message has both fingerprints.
    """
    before, now = config["data"]["fingerprint"], data.fingerprint
    if before != now:
        raise CheckpointError(
            f"--resume {path}: --data {settings.data} is not what the run was trained on (its fingerprint is "
            f"{now[:12]}, the run has {str(before)[:12]}): restore it"
        )


def follow(trainer: Trainer, path: Path | None, until: float) -> None:
    """Train on a rank other than 0, without writing or printing. path: the run to resume, or None."""
    if path is not None:
        trainer.resume(checkpoint.latest(path / "checkpoints"))
    try:
        trainer.train(until)
    except Stopped as stop:
        raise click.exceptions.Exit(stop.code) from stop


@contextlib.contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Discard standard output on all ranks but 0. Every rank still reports its errors on standard error."""
    if not int(os.environ.get("RANK", "0")):
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def play(trainer: Trainer, run: Run, config: dict[str, Any], until: float, outdir: Path) -> None:
    """Train, and print before and after where the run's files are."""
    game, entry = trainer.game, DOMAINS[config["domain"]]
    command = program()
    print(f"run:         {run.path}")
    print(f"to resume:   {command} train-{entry.kind.name} --resume {shlex.quote(str(run.path))}")
    print(f"to watch:    tensorboard --logdir {shlex.quote(str(outdir))}")
    if game.engine.compile:
        print("compiling:   the first steps take up to a minute, once on a machine for each kind of run")
    for line in legend(game.parts):
        print(line)
    sys.stdout.flush()
    began = time.monotonic()
    try:
        with summarised(trainer, config):
            trainer.train(until)
    except Stopped as stop:
        print(f"{stop}: saved at step {game.step} in {run.path}", file=sys.stderr)
        raise click.exceptions.Exit(stop.code) from stop
    print(f"\ntrained to step {game.step} of {trainer.settings.steps} in {time.monotonic() - began:.0f} s\n")
    print(entry.report(trainer.evaluation))
    print(f"\nsamples:      {run.samples}\ncurves:       {run.path / 'curves.png'}")
    print(f"more samples: {command} sample {shlex.quote(str(run.path))} --num 20", flush=True)


@contextlib.contextmanager
def summarised(trainer: Trainer, config: dict[str, Any]) -> Iterator[None]:
    """Write the summary when training ends, even by an error, which then takes precedence over errors in writing."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(GanError, OSError):
            trainer.summarise(config)
        raise
    trainer.summarise(config)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Outside of training, let SIGTERM end the process like Ctrl-C: remove temporary files, exit with code 143."""

    def end(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        click.echo("Error: terminated", err=True)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tell_resumed(step: int, config: dict[str, Any]) -> None:
    """Print the step at which a run is resumed, and warn of differences that change its results."""
    print(f"resuming at step {step}")
    for what, before, now in (
        ("threads", config.get("threads"), torch.get_num_threads()),
        ("processes", config.get("processes", 1), dist.size()),
        ("torch", config.get("versions", {}).get("torch"), torch.__version__),
    ):
        if before != now:
            before = plain(str(before))  # config.json is untrusted
            click.echo(
                f"warning: this run began with {what} {before} and goes on with {now}: not bit for bit the same",
                err=True,
            )


def resumed_plan(path: Path, config: dict[str, Any], given: dict[str, Any], kind_name: str) -> Plan:
    """The plan of a resumed run: the run's plan, with the given values of options that may change.

    Raises:
        CheckpointError: the given values of other options differ from the run's; the message names each.
        UsageError: the run belongs to another domain.
    """
    if config.get("domain") != kind_name:
        raise UsageError(f"{path} is a run of {config.get('domain')}: resume it with train-{config.get('domain')}")
    plan = plan_of(config, path)
    safe, differing = DOMAINS[kind_name].kind.settings.safe, []
    for key, value in given.items():
        if key in ("add", "without"):
            differing += [f"{flag(key)} {part}" for part in value if (part in plan.parts) != (key == "add")]
            continue
        present = {"recipe": plan.recipe, "preset": plan.preset}.get(key, plan.numbers.get(key))
        if key not in safe and value != present:
            differing.append(f"{flag(key)} {value} (the run has {present})")
    if differing:
        raise CheckpointError(
            f"--resume {path} does not match: {', '.join(differing)}; leave these out or start a new run"
        )
    refuse_code(path, plan.numbers.get("backbone", ""), given.get("backbone"))
    return dataclasses.replace(plan, numbers=plan.numbers | {key: v for key, v in given.items() if key in safe})


def make_config(name: str, plan: Plan, domain: Any) -> dict[str, Any]:
    """The content of config.json."""
    return {
        "domain": name,
        "recipe": plan.recipe,
        "preset": plan.preset,
        "parts": list(plan.parts),
        "numbers": plan.written(),
        "data": domain.data.about(),
        "threads": torch.get_num_threads(),
        "processes": dist.size(),
        "versions": {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "numpy": np.__version__,
            **{package: version(package) for package in ("click", "sentencepiece", "safetensors")},
        },
        "command": shlex.join(sys.argv),
    }


def show_plan(plan: Plan, domain: Any, game: Any) -> None:
    """Print a run's plan: its parts, its numbers, its data and its networks."""
    print(plain(f"recipe {plan.recipe}, preset {plan.preset}: {' + '.join(plan.parts)}"))
    cells = [plain(f"{key} {value}") for key, value in plan.numbers.items() if value != ""]
    width = max(map(len, cells)) + 2
    columns = max(1, 120 // width)
    for first in range(0, len(cells), columns):
        print("  " + "".join(cell.ljust(width) for cell in cells[first : first + columns]).rstrip())
    print("data:        " + domain.data.summary())
    for role, player in (("generator", game.generator), ("critic", game.critic)):
        print(f"{role + ':':<13}{sum(p.numel() for p in player.net.parameters()):,} parameters")
    sys.stdout.flush()
