"""What the commands know of the domains: the only table of them. Nothing here imports torch before a run is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.errors import CheckpointError, UsageError
from gan_core.parts.fields import parse
from gan_core.recipes.plan import Kind, Plan, fields_of, renamed
from image_gan.settings import IMAGE
from seqgan_gp.settings import TEXT


@dataclass(frozen=True)
class Entry:
    """A domain: its options, and what imports its class, which opens data or what lies in a checkpoint."""

    kind: Kind
    domain: Callable[[], Any]


def text() -> Any:
    """The domain of text."""
    from seqgan_gp.domain import TextDomain

    return TextDomain


def image() -> Any:
    """The domain of images."""
    from image_gan.domain import ImageDomain

    return ImageDomain


DOMAINS = {"text": Entry(TEXT, text), "image": Entry(IMAGE, image)}


def entry_of(config: dict[str, Any], path: Path) -> Entry:
    """The domain of a run's config.

    Raises:
        CheckpointError: this version knows no such domain.
    """
    if str(config.get("domain")) not in DOMAINS:
        raise CheckpointError(f"{path} is a run of domain {config.get('domain')!r}, which this version does not know")
    return DOMAINS[str(config["domain"])]


def plan_of(config: dict[str, Any], path: Path) -> Plan:
    """The plan that a run was made by. Its config.json is no more trusted than what a user types.

    Raises:
        CheckpointError: its options are not this version's, or out of range.
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
    """Refuse a run that names a backbone of someone's code, which would be imported, unless the user gives it too.

    Raises:
        CheckpointError: the run alone names it.
    """
    from image_gan.scores.backbones import runs_code

    if runs_code(named) and named != given:
        raise CheckpointError(f"{path / 'config.json'} names code, {named}: give --backbone {named} if you trust it")


def check_form(config: dict[str, Any]) -> None:
    """Refuse a config.json whose values are not of the types that `make_config` writes.

    Raises:
        UsageError: the message names the first of them.
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
