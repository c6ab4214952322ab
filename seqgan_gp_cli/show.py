"""The commands `recipes`, `inspect` and `doctor`, which only print information."""

import json
import os
import platform
import shutil
import textwrap
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from gan_core.errors import CheckpointError, UsageError
from gan_core.parts import catalogue
from gan_core.recipes.published import RECIPES
from gan_core.text import nearest
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.help import Command, shown

SUMMARY_LIMIT = 1 << 24  # bytes; a larger summary.json is not one of ours
DAMAGED = "{} is damaged: remove it, or train on with --resume"


@click.command(
    cls=Command,
    examples=[
        ("every recipe and every part, a line each", "recipes"),
        ("a recipe: its numbers, and the objective and options of its parts", "recipes wgan-gp"),
        ("a part", "recipes spectral"),
    ],
)
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the recipes and the parts, or explain NAME, which is one of them: its equations, parts and options.

    A part is a loss, a penalty on gradients, a constraint on weights or a conditioning on labels.
    """
    parts = catalogue.known()
    if name is None:
        click.echo("Recipes (train-text or train-image --recipe NAME; `recipes NAME` explains one):")
        for key, recipe in RECIPES.items():
            click.echo(f"  {key:<14} {' + '.join(recipe.parts):<30} {recipe.title}, {recipe.source}")
        click.echo("\nParts (--add PART, --without PART; `recipes PART` explains one):")
        for key, part in parts.items():
            click.echo(f"  {key:<24} {part.doc.splitlines()[0]}")
    elif name in RECIPES:
        recipe = RECIPES[name]
        click.echo(f"{recipe.title}, {recipe.source}: {' + '.join(recipe.parts)}")
        click.echo("numbers: " + ", ".join(f"{flag(key)[2:]} {value}" for key, value in recipe.numbers.items()))
        for key in recipe.parts:
            explain(parts[key])
    elif name in parts:
        explain(parts[name])
    else:
        near = nearest(name, [*RECIPES, *parts])
        raise UsageError(
            f"there is no recipe or part called {name!r}: {f'did you mean {near}?' if near else '`recipes` lists them'}"
        )


def explain(part: catalogue.Entry) -> None:
    """Print a part: where it is defined, its docstring and its options."""
    click.echo(f"\n{part.name}  ({part.module.replace('.', '/')}.py, class {part.qualname})")
    click.echo(textwrap.indent(part.doc, "  "))
    for option in part.options:
        click.echo(f"    {flag(f'{part.name}.{option.name}')}  {option.metadata['help']}  [{shown(option.default)}]")


@click.command(
    cls=Command,
    examples=[
        ("a run for people", "inspect runs/00000-text-wgan-gp"),
        ("a run for programs", "inspect runs/00000-text-wgan-gp --json"),
    ],
)
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object and nothing else")
def inspect(run: str, as_json: bool) -> None:
    """Show RUN, the folder of a run: its options and scores, and whether its newest checkpoint is whole."""
    from gan_core.text import plain
    from gan_core.training.checkpoint import newest
    from gan_core.training.run import read_config, run_folder
    from seqgan_gp_cli.domains import entry_of, plan_of

    path = run_folder(run)
    config = read_config(path)
    entry, plan = entry_of(config, path), plan_of(config, path)
    summary: dict[str, Any] = {key: config.get(key) for key in ("domain", "recipe", "preset")}
    summary |= read_summary(path / "summary.json")
    lines = told(entry, summary, path / "summary.json")
    found = newest(path / "checkpoints")
    summary |= {"step": found.step, "checkpoint": {"folder": str(found.folder), "verified": True}}
    if as_json:
        click.echo(json.dumps(summary))
        return
    click.echo(plain(f"{path}: {entry.kind.name}, recipe {plan.recipe}, preset {plan.preset}"))
    click.echo(f"parts:       {' + '.join(plan.parts)}")
    click.echo(plain(f"numbers:     {', '.join(f'{key} {value}' for key, value in plan.numbers.items())}"))
    click.echo(f"checkpoint:  step {found.step}, {found.folder}, verified")
    for line in lines:
        click.echo(plain(line))


def read_summary(file: Path) -> dict[str, Any]:
    """Read the summary.json of a run; {} if there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    from gan_core.storage.inputs import read_limited

    try:
        summary = json.loads(read_limited(file, SUMMARY_LIMIT)) if file.exists() else {}
        if not isinstance(summary, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(DAMAGED.format(file)) from error
    return summary


def told(entry: Any, summary: dict[str, Any], file: Path) -> list[str]:
    """The content of a summary as lines of text.

    Raises:
        CheckpointError: the summary is damaged.
    """
    lines = []
    try:
        if summary.get("parameters"):
            lines.append("parameters:  " + ", ".join(f"{role} {n:,}" for role, n in summary["parameters"].items()))
            lines.append(f"trained:     {summary['steps']} steps in {summary['seconds']:.0f} s")
        if summary.get("evaluation"):
            lines += ["", *entry.report(summary["evaluation"]).split("\n")]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(DAMAGED.format(file)) from error
    return lines


@click.command(cls=Command, examples=[("versions, devices, threads, caches and free disk space", "doctor")])
def doctor() -> None:
    """Show what runs depend on on this machine: versions, devices, threads, caches and free disk space."""
    import torch

    from gan_core.storage.cache import cache_root

    rows = [("system", f"{platform.platform()}, Python {platform.python_version()}")]
    for package in (
        "seqgan-gp",
        "torch",
        "numpy",
        "click",
        "datasets",
        "sentencepiece",
        "safetensors",
        "tensorboard",
        "pillow",
        "matplotlib",
    ):
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    rows.append(("CPU threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors"))
    rows.append(("CPU bf16", "fast" if torch.cpu._is_avx512_bf16_supported() else "emulated, slow"))
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        rows.append((f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB"))
    if not torch.cuda.is_available():
        rows.append(("CUDA", "none" if torch.version.cuda else "none: this torch is built for the CPU"))
    rows.append(("Apple MPS", "yes" if torch.backends.mps.is_available() else "none"))
    rows.append(("compiler", shutil.which("c++") or shutil.which("g++") or "none: --compile cannot work on the CPU"))
    cache = cache_root(None)
    rows.append(("cache", f"{cache} ({'there' if cache.is_dir() else 'not made yet'})"))
    rows.append(("free disk", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB here"))
    for name, value in rows:
        click.echo(f"{name + ':':<15}{value}")
