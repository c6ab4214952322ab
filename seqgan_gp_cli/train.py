"""What train-text and train-image do: from options to a finished run. The commands themselves stand in commands.py."""

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
    """What a training command does: `train` that ends cleanly on SIGTERM and prints in the first process only."""
    with terminable(), quiet_unless_first():
        train(entry, given, outdir, name, resume, dry_run)


def train(
    entry: Entry, given: dict[str, Any], outdir: Path, name: str | None, resume: str | None, dry_run: bool
) -> None:
    """Train a new run, or go on with one.

    Raises:
        GanError: see the kinds of it.
    """
    kind = entry.kind
    path = config = None
    if resume is None and dist.restarts():  # with the command that began the run
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
            if path is not None:  # once more: only now that it is locked can nobody else write there
                trainer.resume(checkpoint.latest(run.checkpoints))
                config["numbers"] = plan.written()
                write_json(run.path / "config.json", config)
                tell_resumed(game.step, config)
            play(trainer, run, config, until, outdir)


def check_data(path: Path, config: dict[str, Any], data: Any, settings: Any) -> None:
    """Refuse to go on with other data than a run began with.

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
    """Train along with the first process, which writes and prints; `path`: of the run to go on with."""
    if path is not None:
        trainer.resume(checkpoint.latest(path / "checkpoints"))
    try:
        trainer.train(until)
    except Stopped as stop:
        raise click.exceptions.Exit(stop.code) from stop


@contextlib.contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Of several processes only the first prints, and only it has a bar; errors are told by each that has one."""
    if not int(os.environ.get("RANK", "0")):
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def play(trainer: Trainer, run: Run, config: dict[str, Any], until: float, outdir: Path) -> None:
    """Train, and say where to find what, before and after."""
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
    """Write the summary however training ends; an error of training is the one that is told."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(GanError, OSError):
            trainer.summarise(config)
        raise
    trainer.summarise(config)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends what is not training as Ctrl-C does: temporary files go, and the exit code is 143."""

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
    """Print where a run goes on, and what is not as it was."""
    print(f"resuming at step {step}")
    for what, before, now in (
        ("threads", config.get("threads"), torch.get_num_threads()),
        ("processes", config.get("processes", 1), dist.size()),
        ("torch", config.get("versions", {}).get("torch"), torch.__version__),
    ):
        if before != now:
            before = plain(str(before))  # as config.json has it
            click.echo(
                f"warning: this run began with {what} {before} and goes on with {now}: not bit for bit the same",
                err=True,
            )


def resumed_plan(path: Path, config: dict[str, Any], given: dict[str, Any], kind_name: str) -> Plan:
    """The plan of a run, with the options that may change when it is resumed.

    Raises:
        CheckpointError: other options were given and differ from the run's; the message names each.
        UsageError: the run is of another domain.
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
    """What config.json holds."""
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
    """Print the settled run: its parts, its numbers, its data and its networks."""
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
