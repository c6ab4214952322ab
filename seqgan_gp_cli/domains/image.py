"""Images on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from image_gan.settings import IMAGE
from seqgan_gp_cli.domains.base import Entry, Report, register
from seqgan_gp_cli.domains.config import refuse_code

FILES = (".npz", ".zip")
EXAMPLES = (
    ("the built-in images, under five minutes on two CPU cores", "train-image"),
    ("your own folder of images at 32 pixels", "train-image --data pictures --size 32 --recipe wgan-gp"),
    ("a generator that is told the class of the image", "train-image --recipe projection"),
    ("a classifier from ten labels a class", "train-image --recipe sgan --labels-per-class 10"),
    ("another penalty in place of the recipe's", "train-image --recipe wgan-gp --without gp --add lp"),
    ("what a run would be, without training it", "train-image --recipe dcgan --preset paper --dry-run"),
    ("go on with the newest run for more steps", "train-image --resume --steps 20000"),
    ("the options of another recipe", "train-image --recipe began --help"),
)  # fmt: skip


def score_run(loaded: Any, request: Any) -> Report:
    """The report of a run of images."""
    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    if request.backbone is None:
        refuse_code(loaded.path, loaded.settings.backbone, None)
    return loaded.domain.scores.score(
        loaded.trained(request.seed), request.num or 0, request.backbone or "", request.data
    )


def samples(target: Path) -> bool:
    """Whether a path is a .npz or .zip file, or a folder that is neither a run nor in one."""
    from gan_core.training.run import run_folder

    if target.is_dir():
        return not (run_folder(target) / "config.json").is_file()
    return target.suffix in FILES


def score_samples(target: Path, request: Any) -> tuple[Report, Callable[[Report], str]]:
    """The report of a folder, .npz or .zip of images."""
    from image_gan.domain import score_files
    from image_gan.scores.report import table

    request.refuse("for text", "protocol", "seq_len", "bad_utf8")
    request.refuse("for runs, and all images are scored", "num")
    if request.data is None:
        raise UsageError("--data is missing: name the real images to compare the samples with")
    return score_files(str(target), request.data, request.backbone or "auto"), table


register(
    Entry(
        kind=IMAGE,
        summary="Train a generator of images.",
        examples=EXAMPLES,
        module="image_gan.domain",
        score_run=score_run,
        samples=samples,
        score_samples=score_samples,
        listed=20,
        asked=60,
    )
)
