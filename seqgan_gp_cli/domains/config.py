"""What the config.json of a run says of its domain and its plan, checked as the input of a user is."""

from pathlib import Path
from typing import Any

from gan_core.errors import CheckpointError, UsageError
from gan_core.parts.fields import parse
from gan_core.recipes.plan import Plan, fields_of, renamed
from seqgan_gp_cli.domains.base import DOMAINS, Entry


def entry_of(config: dict[str, Any], path: Path) -> Entry:
    """The domain that a run's config names.

    Raises:
        CheckpointError: this version knows no such domain.
    """
    if str(config.get("domain")) not in DOMAINS:
        raise CheckpointError(f"{path} is a run of domain {config.get('domain')!r}, which this version does not know")
    return DOMAINS[str(config["domain"])]


def plan_of(config: dict[str, Any], path: Path) -> Plan:
    """The plan of a run, from its config.json, whose values are checked like those that a user types.

    Raises:
        CheckpointError: an option does not exist in this version, or its value is out of range.
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
    """Refuse a run whose backbone is code that would be imported, unless the user names the same backbone.

    named: the backbone in the config of the run at `path`. given: the user's --backbone, None without one.

    Raises:
        CheckpointError: only the run names it.
    """
    from image_gan.scores.backbones import runs_code

    if runs_code(named) and named != given:
        raise CheckpointError(f"{path / 'config.json'} names code, {named}: give --backbone {named} if you trust it")


def check_form(config: dict[str, Any]) -> None:
    """Refuse a config.json whose values are not of the types that `make_config` writes.

    Raises:
        UsageError: a value is of another type; the message names the first.
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
