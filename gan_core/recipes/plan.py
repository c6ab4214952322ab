"""The options of a run, and how its numbers are settled. This module imports no torch: help is made from it.

Every option of `Settings` and of every part is a dataclass field with its limits and its help. A number is taken from
the last of these that has it: the field's default, the preset's sizes, the recipe's numbers, the preset's numbers for
that recipe, and what the user gave.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_core.errors import UsageError, named
from gan_core.parts import catalogue
from gan_core.parts.fields import options_of, parse
from gan_core.recipes import published as recipes
from gan_core.recipes.settings import Settings
from gan_core.schedules.base import Schedule
from gan_core.text import choose, nearest


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
    """What must be known of a domain before it has data. noun: what its samples are, in the plural."""

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

    def written(self) -> dict[str, Any]:
        """The numbers as config.json has them: schedules as text."""
        return {key: str(value) if isinstance(value, Schedule) else value for key, value in self.numbers.items()}


# The options that had other names until 2026-11: old name -> name.
RENAMED = {
    "g_lr": "generator_lr",
    "d_lr": "critic_lr",
    "g_norm": "generator_norm",
    "g_width": "generator_width",
    "g_batch_multiple": "generator_batch_multiple",
    "lr_patience": "plateau_patience",
}


def renamed(key: str) -> str:
    """A sentence about an option that has another name now, "" for any other key."""
    return f"{key} is called {RENAMED[key]} now" if key in RENAMED else ""


def fields_of(kind: Kind) -> dict[str, dataclasses.Field]:
    """Every option of a domain by key: its settings first, then `part.field` for every known part."""
    found = {option.name: option for option in options_of(kind.settings)}
    for name, part in catalogue.known().items():
        found |= {f"{name}.{option.name}": option for option in part.options}
    return found


def settle(kind: Kind, given: Mapping[str, Any]) -> Plan:
    """Settle a run from what was given: `recipe`, `preset`, `add`, `without`, settings and `part.field`.

    Raises:
        UsageError: a name does not exist, or an option's part is not in the run.
    """
    recipe_name, preset_name = given.get("recipe") or kind.recipe, given.get("preset") or kind.preset
    recipe = recipes.lookup(recipe_name)
    if preset_name not in kind.presets:
        raise UsageError(f"{named('preset', preset_name)} does not exist: {choose(preset_name, kind.presets)}")
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
        if key not in options:
            near = nearest(key, options)
            raise UsageError(
                renamed(key) or f"{named(key)} is no option" + (f": did you mean {named(near)}?" if near else "")
            )
        if key not in in_run:
            part = key.partition(".")[0]
            raise UsageError(
                f"{named(key)} is an option of {part}, which is not in this run ({', '.join(names)}): "
                f"add it with {named('add', part)}, or leave the option out"
            )
        numbers[key] = value
    for key, value in numbers.items():
        if options[key].metadata["varies"] and isinstance(value, str):  # as recipes and presets have schedules
            numbers[key] = parse(key, options[key], value)
    # A run that is resumed with another number of steps keeps the schedule that it began with.
    numbers["decay_steps"] = numbers["decay_steps"] or numbers["steps"]
    return Plan(recipe_name, preset_name, names, numbers)


def settle_parts(names: Sequence[str], add: Iterable[str], without: Iterable[str]) -> tuple[str, ...]:
    """A recipe's parts, more and fewer."""
    chosen = list(names)
    for name in without:
        if name not in chosen:
            raise UsageError(f"{named('without', name)}: it is not in this run, which has {', '.join(chosen)}")
        chosen.remove(name)
    for name in add:
        catalogue.find(name)
        if name in chosen:
            raise UsageError(f"{named('add', name)}: it is in this run already")
        chosen.append(name)
    return tuple(chosen)
