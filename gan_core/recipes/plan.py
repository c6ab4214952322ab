"""Command-line options made from fields, and how a run's numbers are settled.

Every option of `Settings` and of every part is a dataclass field with its limits and its help. A value is settled
in this order, later ones winning: the field's default, the preset's sizes, the recipe's numbers, the preset's numbers
for that recipe, the --config file, the command line.
"""

import dataclasses
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError
from gan_core.parts import base as parts
from gan_core.recipes import published as recipes
from gan_core.recipes.settings import Settings
from gan_core.storage.inputs import read_limited

CONFIG_LIMIT = 1 << 20  # bytes of a --config file


@dataclass(frozen=True)
class Preset:
    """A named set of numbers.

    numbers: for any recipe. tuned: for one recipe, by its name; these win over the recipe's own.
    """

    summary: str
    numbers: dict[str, Any]
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What the command line must know of a domain before it has data. noun: what its samples are, in the plural."""

    name: str
    noun: str
    settings: type[Settings]
    presets: dict[str, Preset]
    recipe: str  # the default ones
    preset: str


@dataclass(frozen=True)
class Plan:
    """A settled run: its recipe and preset, the names of its parts, and every number by setting or `part.field`."""

    recipe: str
    preset: str
    parts: tuple[str, ...]
    numbers: dict[str, Any]

    def settings(self, kind: Kind) -> Settings:
        """The numbers that are settings."""
        return kind.settings(**{key: value for key, value in self.numbers.items() if "." not in key})


def flag(key: str) -> str:
    """The option of a setting or of a `part.field`: `gp.weight` is --gp-weight."""
    return "--" + key.replace(".", "-").replace("_", "-")


def fields_of(kind: Kind) -> dict[str, dataclasses.Field]:
    """Every option there is for a domain, by key: settings first, then `part.field` for every registered part."""
    found = {option.name: option for option in parts.options_of(kind.settings)}
    for name, part in parts.REGISTRY.items():
        found |= {f"{name}.{option.name}": option for option in parts.options_of(part)}
    return found


def parse(key: str, option: dataclasses.Field, raw: Any) -> Any:
    """A value for an option, from the command line or a file.

    Raises:
        UsageError: it is not of the option's type or not within its limits.
    """
    limits = option.metadata
    if option.type is bool:
        if isinstance(raw, bool):
            return raw
        raise UsageError(f"{flag(key)} {raw!r} is not true or false")
    if option.type is str:
        value = str(raw)
        if limits["choices"] and value not in limits["choices"]:
            raise UsageError(f"{flag(key)} {value!r} does not exist: choose from {', '.join(limits['choices'])}")
        return value
    wanted = "a whole number" if option.type is int else "a number"
    try:
        number = int(str(raw)) if option.type is int else float(str(raw))
    except ValueError:
        raise UsageError(f"{flag(key)} {raw!r} is not {wanted}{span(limits)}") from None
    low, high, above = limits["low"], limits["high"], limits["above"]
    if (
        (isinstance(number, float) and not math.isfinite(number))
        or (low is not None and number < low)
        or (high is not None and number > high)
        or (above is not None and number <= above)
    ):
        raise UsageError(f"{flag(key)} {raw} is out of range: give {wanted}{span(limits)}")
    return number


def span(limits: Mapping[str, Any]) -> str:
    """The limits of a number, in words."""
    low, high, above = limits["low"], limits["high"], limits["above"]
    start = f" above {above:g}" if above is not None else f" from {low:.15g}" if low is not None else ""
    end = "" if high is None else f" up to {high:.15g}"
    return start + end


class FieldType(click.ParamType):
    """The type of an option that is a field."""

    def __init__(self, key: str, option: dataclasses.Field) -> None:
        self.key, self.option = key, option
        self.name = option.metadata["metavar"] or ("N" if option.type is int else "X")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The choices, or the unit."""
        choices = self.option.metadata["choices"]
        return f"[{'|'.join(choices)}]" if choices else self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, with the option's own sentence on failure."""
        return parse(self.key, self.option, value)


def variable(key: str) -> str:
    """The name under which click passes an option on."""
    return key.replace(".", "__").replace("-", "_")


def click_options(kind: Kind) -> list[click.Option]:
    """The options of a domain's training command. Those not given are None; help shows what the default run has."""
    shown = settle(kind, {}).numbers
    options = []
    for key, option in fields_of(kind).items():
        default = shown.get(key, option.default)
        part = key.partition(".")[0] if "." in key else ""
        text = f"{part + ': ' if part else ''}{option.metadata['help']}  [{default if default != '' else 'none'}]"
        names = [flag(key) + (f"/{flag('no-' + key)}" if option.type is bool else ""), variable(key)]
        kind_of = {"is_flag": True} if option.type is bool else {"type": FieldType(key, option)}
        options.append(click.Option(names, default=None, help=text, **kind_of))
    return options


def read_file(kind: Kind, path: Path) -> dict[str, Any]:
    """The options in a --config file: TOML, keys as on the command line without the dashes in front.

    Options of parts may stand in a table of their own, `[gp]` with `weight = 10`. `recipe`, `preset`, `add` and
    `without` may stand there too.

    Raises:
        UsageError: it is unreadable, or holds a key that is no option.
    """
    try:
        table = tomllib.loads(read_limited(path, CONFIG_LIMIT).decode())
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    known = {flag(key)[2:]: key for key in fields_of(kind)}
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        flat |= (
            {f"{name}-{k.replace('_', '-')}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        )
    given: dict[str, Any] = {}
    for name, value in flat.items():
        if name in ("recipe", "preset"):
            given[name] = str(value)
        elif name in ("add", "without"):
            given[name] = [str(part) for part in (value if isinstance(value, list) else [value])]
        elif name in known:
            given[known[name]] = parse(known[name], fields_of(kind)[known[name]], value)
        else:
            raise UsageError(f"--config {path} has {name!r}, which is no option of train-{kind.name}: see its --help")
    return given


def settle(kind: Kind, given: Mapping[str, Any]) -> Plan:
    """Settle a run from what was given: `recipe`, `preset`, `add`, `without`, settings and `part.field`.

    Raises:
        UsageError: a name does not exist, or an option's part is not in the run.
    """
    recipe_name, preset_name = given.get("recipe") or kind.recipe, given.get("preset") or kind.preset
    recipe = recipes.lookup(recipe_name)
    if preset_name not in kind.presets:
        raise UsageError(f"--preset {preset_name} does not exist: choose from {', '.join(kind.presets)}")
    preset = kind.presets[preset_name]
    names = settle_parts(recipe.parts, given.get("add", ()), given.get("without", ()))
    options = fields_of(kind)
    in_run = {key: o.default for key, o in options.items() if "." not in key or key.partition(".")[0] in names}
    numbers = dict(in_run)
    for source in (preset.numbers, recipe.numbers, preset.tuned.get(recipe_name, {})):
        numbers |= {key: value for key, value in source.items() if key in in_run}
    for key, value in given.items():
        if key in ("recipe", "preset", "add", "without"):
            continue
        if key not in in_run:
            part = key.partition(".")[0]
            raise UsageError(
                f"{flag(key)} is an option of {part}, which is not in this run ({', '.join(names)}): "
                f"add it with --add {part}, or leave the option out"
            )
        numbers[key] = value
    # A run that is resumed with other --steps goes on by the schedule that it began with.
    numbers["decay_steps"] = numbers["decay_steps"] or numbers["steps"]
    return Plan(recipe_name, preset_name, names, numbers)


def settle_parts(names: Sequence[str], add: Iterable[str], without: Iterable[str]) -> tuple[str, ...]:
    """A recipe's parts, more and fewer."""
    chosen = list(names)
    for name in without:
        if name not in chosen:
            raise UsageError(f"--without {name}: it is not in this run, which has {', '.join(chosen)}")
        chosen.remove(name)
    for name in add:
        parts.lookup(name)
        if name in chosen:
            raise UsageError(f"--add {name}: it is in this run already")
        chosen.append(name)
    return tuple(chosen)


def seconds(text: str) -> float:
    """The seconds of a --max-time such as 90s, 5m or 1h30m; infinity where it is empty.

    Raises:
        UsageError: it is none.
    """
    if not text:
        return math.inf
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
    total = sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([dhms]?)", text))
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+|\d+(\.\d+)?", text) or not 0 < total < math.inf:
        raise UsageError(f"--max-time {text!r} is no time: give one such as 90s, 5m or 1h30m")
    return total
