"""The training commands with their options and help. The module `train`, which imports torch, runs them."""

from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from gan_core.recipes.plan import Kind, fields_of
from gan_core.recipes.published import RECIPES
from gan_core.schedules.registry import KINDS
from seqgan_gp_cli.domains import DOMAINS
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.help import FieldOption, TrainCommand
from seqgan_gp_cli.options import EXAMPLE, NEWEST, click_options, read_file, read_schedules, variable

EXAMPLES = {
    "text": (
        ("the built-in sentences, under five minutes on two CPU cores", "train-text"),
        ("your own lines, for an hour", "train-text --data lines.txt --max-time 1h"),
        ("another recipe with a part more", "train-text --recipe lsgan --add spectral"),
        ("an option of a part of the recipe", "train-text --recipe began --began-gamma 0.7"),
        ("pieces of words for symbols", "train-text --data lines.txt --tokenizer bpe --vocab-size 300"),
        ("what a run would be, without training it", "train-text --preset paper --dry-run"),
        ("go on with the newest run for more steps", "train-text --resume --steps 20000"),
        ("the options of another recipe", "train-text --recipe began --help"),
    ),
    "image": (
        ("the built-in images, under five minutes on two CPU cores", "train-image"),
        ("your own folder of images at 32 pixels", "train-image --data pictures --size 32 --recipe wgan-gp"),
        ("a generator that is told the class of the image", "train-image --recipe projection"),
        ("a classifier from ten labels a class", "train-image --recipe sgan --labels-per-class 10"),
        ("another penalty in place of the recipe's", "train-image --recipe wgan-gp --without gp --add lp"),
        ("what a run would be, without training it", "train-image --recipe dcgan --preset paper --dry-run"),
        ("go on with the newest run for more steps", "train-image --resume --steps 20000"),
        ("the options of another recipe", "train-image --recipe began --help"),
    ),
    "points": (
        ("eight Gaussians, in a minute on two CPU cores", "train-points"),
        ("a weight that falls with the steps", "train-points --data moons --schedule gp-weight=cosine:10:0.1:2000"),
        ("your own points, x and y in two columns", "train-points --data points.csv --recipe r3gan"),
        ("go on with the newest run for more steps", "train-points --resume --steps 4000"),
    ),
}  # fmt: skip


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


def train_command(kind: Kind) -> TrainCommand:
    """The training command of a domain."""
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
        run_command(DOMAINS[kind.name], given, values["outdir"], values["name"], values["resume"], values["dry_run"])

    help = f"""Train a GAN on {kind.noun}.

    Without options it trains recipe {kind.recipe} in preset {kind.preset} on the built-in data. The run's folder gets
    its options, losses, samples, scores and checkpoints. The values in brackets are those that the run has, and the
    parts are its parts: give --recipe, --preset, --add or --without beside --help to see those of another run."""
    params = [*run_options(kind), *click_options(kind)]
    return TrainCommand(kind, params=params, callback=callback, help=help, examples=EXAMPLES[kind.name])


train_text, train_image, train_points = (train_command(DOMAINS[name].kind) for name in ("text", "image", "points"))
