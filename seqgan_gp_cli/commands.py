"""The training commands with their options and help. The module `train`, which imports torch, runs them."""

from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from gan_core.recipes.plan import Kind, fields_of
from gan_core.recipes.published import RECIPES
from gan_core.schedules.registry import KINDS
from seqgan_gp_cli.domains import Entry
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.help import FieldOption, TrainCommand
from seqgan_gp_cli.options import EXAMPLE, NEWEST, click_options, read_file, read_schedules, variable


def run_options(kind: Kind) -> list[FieldOption]:
    """The options of a training command that are not fields: recipe, preset and parts, and the folder of runs."""
    presets = "; ".join(f"{name}: {preset.summary}" for name, preset in kind.presets.items())
    return [
        FieldOption(
            "recipe", "parts", ["--recipe"], metavar="RECIPE",
            help=f"published system to train, which is the sum of its parts: {', '.join(RECIPES)}",
        ),
        FieldOption("preset", "parts", ["--preset"], metavar="PRESET", help=f"set of numbers; {presets}"),
        FieldOption(
            "add", "parts", ["--add"], multiple=True, metavar="PART",
            help="add a part to the recipe; may be repeated; `recipes` lists the parts",
        ),
        FieldOption(
            "without", "parts", ["--without"], multiple=True, metavar="PART",
            help="leave a part of the recipe out; may be repeated",
        ),
        FieldOption(
            "schedule", "training", ["--schedule"], multiple=True, metavar="OPTION=KIND:FROM:TO:STEPS",
            help=f"let a number change with the steps, such as {EXAMPLE}; may be repeated; commas join schedules; "
            f"kinds: {', '.join(KINDS)}",
        ),
        FieldOption(
            "outdir", "written", ["--outdir"], type=Path, default=Path("runs"), metavar="DIR",
            help="folder in which each run gets a folder of its own", default_value="runs",
        ),
        FieldOption(
            "name", "written", ["--name"], metavar="NAME",
            help="name of the run's folder after its number", default_value=f"{kind.name}-RECIPE",
        ),
        FieldOption(
            "resume", "written", ["--resume"], is_flag=False, flag_value=NEWEST, metavar="[RUN]",
            help="go on with the run in this folder, or without a value with the newest run in `outdir`",
        ),
        FieldOption(
            "config", "written", ["--config"], type=Path, metavar="FILE.toml",
            help="read options from a TOML file; options on the command line take precedence",
        ),
        FieldOption(
            "dry_run", "written", ["--dry-run"], is_flag=True,
            help="print the options, data and networks of the run, and stop before it begins",
        ),
    ]  # fmt: skip


def train_command(entry: Entry) -> TrainCommand:
    """The training command of a domain."""
    kind = entry.kind
    keys = {variable(key): key for key in fields_of(kind)}

    def callback(**values: Any) -> None:
        from seqgan_gp_cli.train import run_command

        given = {keys[name]: value for name, value in values.items() if name in keys and value is not None}
        for name in ("recipe", "preset", "add", "without"):
            if values[name]:
                given[name] = list(values[name]) if name in ("add", "without") else values[name]
        scheduled = read_schedules(kind, values["schedule"])
        if twice := sorted(set(scheduled) & set(given)):
            raise UsageError(f"{flag(twice[0])} and --schedule {flag(twice[0])[2:]} contradict each other: give one")
        given |= scheduled
        if values["config"]:
            given = read_file(kind, values["config"]) | given
        run_command(entry, given, values["outdir"], values["name"], values["resume"], values["dry_run"])

    help = f"""Train a GAN on {kind.noun}.

    Without options it trains recipe {kind.recipe} in preset {kind.preset} on the built-in data. The run's folder gets
    its options, losses, samples, scores and checkpoints. The values in brackets are those that the run has, and the
    parts are its parts: give --recipe, --preset, --add or --without beside --help to see those of another run."""
    params = [*run_options(kind), *click_options(kind)]
    return TrainCommand(kind, params=params, callback=callback, help=help, examples=entry.examples)
