"""recipes, inspect, doctor: commands that only show."""

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

SUMMARY_LIMIT = 1 << 24  # bytes; a larger summary.json is not one of ours
DAMAGED = "{} is damaged: remove it, or train on with --resume"


@click.command()
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the recipes and the parts, or explain NAME, one of them: its objective, its parts, its numbers."""
    from gan_core.parts.base import REGISTRY
    from gan_core.parts.fields import flag, options_of
    from gan_core.recipes.published import RECIPES
    from seqgan_gp_cli.domains import DOMAINS

    def explain(part: str) -> None:
        kind = REGISTRY[part]
        click.echo(f"\n{part}  ({kind.__module__.replace('.', '/')}.py, class {kind.__name__})")
        click.echo(textwrap.indent(textwrap.dedent("    " + (kind.__doc__ or "")).strip(), "  "))
        for option in options_of(kind):
            click.echo(f"    {flag(f'{part}.{option.name}')}  {option.metadata['help']}  [{option.default}]")

    del DOMAINS  # imported for the parts that it registers
    if name is None:
        click.echo("Recipes (train-text or train-image --recipe NAME; `recipes NAME` explains one):")
        for key, recipe in RECIPES.items():
            click.echo(f"  {key:<14} {' + '.join(recipe.parts):<30} {recipe.title}, {recipe.source}")
        click.echo("\nParts (--add PART, --without PART; `recipes PART` explains one):")
        for key, kind in REGISTRY.items():
            click.echo(f"  {key:<24} {(kind.__doc__ or '').strip().splitlines()[0]}")
    elif name in RECIPES:
        recipe = RECIPES[name]
        click.echo(f"{recipe.title}, {recipe.source}: {' + '.join(recipe.parts)}")
        click.echo("numbers: " + ", ".join(f"{flag(key)[2:]} {value}" for key, value in recipe.numbers.items()))
        for part in recipe.parts:
            explain(part)
    elif name in REGISTRY:
        explain(name)
    else:
        raise UsageError(f"there is no recipe or part called {name!r}: `recipes` lists them")


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object and nothing else")
def inspect(run: str, as_json: bool) -> None:
    """Show RUN, a run's folder: what it is, how it scores, and whether its newest checkpoint is whole."""
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
    """The summary.json of a run, {} where there is none.

    Raises:
        CheckpointError: it is damaged.
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
    """What a summary says, as lines for people.

    Raises:
        CheckpointError: it is damaged.
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


@click.command()
def doctor() -> None:
    """Show what runs depend on here: versions, devices, threads, caches, free disk space."""
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
