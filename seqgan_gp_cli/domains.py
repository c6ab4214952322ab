"""The table of domains. This module does not import torch before a run is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import CheckpointError, UsageError
from gan_core.parts.fields import parse
from gan_core.recipes.plan import Kind, Plan, fields_of, renamed
from image_gan.settings import IMAGE
from point_gan.settings import POINTS
from seqgan_gp.settings import TEXT

if TYPE_CHECKING:
    from gan_core.domain import Domain


@dataclass(frozen=True)
class Entry:
    """A domain: its options, and a function that imports its module."""

    kind: Kind
    module: Callable[[], Any]

    def open(self, settings: Any) -> "Domain":
        """Open the domain with its data."""
        return self.module().open_domain(settings)

    def from_checkpoint(self, settings: Any, folder: Path) -> "Domain":
        """Open the domain without data, from the files of a checkpoint."""
        return self.module().from_checkpoint(settings, folder)

    def report(self, evaluation: dict[str, Any]) -> str:
        """An evaluation as text."""
        return self.module().report(evaluation)


def text() -> Any:
    """Import the text domain."""
    from seqgan_gp import domain

    return domain


def points() -> Any:
    """Import the point domain."""
    from point_gan import domain

    return domain


def image() -> Any:
    """Import the image domain."""
    from image_gan import domain

    return domain


DOMAINS = {"text": Entry(TEXT, text), "points": Entry(POINTS, points), "image": Entry(IMAGE, image)}


def entry_of(config: dict[str, Any], path: Path) -> Entry:
    """The domain of a run, from its config.

    Raises:
        CheckpointError: this version has no such domain.
    """
    if str(config.get("domain")) not in DOMAINS:
        raise CheckpointError(f"{path} is a run of domain {config.get('domain')!r}, which this version does not know")
    return DOMAINS[str(config["domain"])]


def plan_of(config: dict[str, Any], path: Path) -> Plan:
    """The plan of a run, from its config.json, which is checked like user input.

    Raises:
        CheckpointError: an option does not exist in this version or is out of range.
    """
    from gan_core.recipes.build import make_parts

    kind = entry_of(config, path).kind
    try:
        check_form(config)
        options = fields_of(kind)
        if unknown := set(config["numbers"]) - set(options):
            raise UsageError(renamed(min(unknown)) or f"{min(unknown)!r} is no option")
        numbers = {key: parse(key, options[key], value) for key, value in config["numbers"].items()}
        plan = Plan(config["recipe"], config["preset"], tuple(config["parts"]), numbers)
        plan.settings(kind)
        make_parts(plan.parts, plan.numbers)
    except (KeyError, TypeError, ArithmeticError, UsageError) as error:
        raise CheckpointError(f"{path / 'config.json'} does not match this version: {error}") from error
    return plan


def refuse_code(path: Path, named: str, given: str | None) -> None:
    """Refuse a run whose backbone is a Python module, which would be imported, unless the user names it too.

    Raises:
        CheckpointError: only the run names the module.
    """
    from image_gan.scores.backbones import runs_code

    if runs_code(named) and named != given:
        raise CheckpointError(f"{path / 'config.json'} names code, {named}: give --backbone {named} if you trust it")


def check_form(config: dict[str, Any]) -> None:
    """Refuse a config.json whose values are not of the types that `make_config` writes.

    Raises:
        UsageError: the message names the first such value.
    """
    forms = {"recipe": str, "preset": str, "parts": list, "numbers": dict, "data": dict, "versions": dict}
    for key, form in forms.items():
        if not isinstance(config.get(key), form):
            raise UsageError(f"its {key} is no {form.__name__}")
    scalars = [*config["parts"], config["data"].get("fingerprint")]
    if not all(isinstance(value, str) for value in scalars) or len(set(config["parts"])) < len(config["parts"]):
        raise UsageError("its parts or its fingerprint of the data are not as they are written")
    for key, value in config["numbers"].items():
        if not isinstance(value, int | float | str):
            raise UsageError(f"its {key} is no number, word or switch")
