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
    """What must be known of a domain before it has data.

    noun: what its samples are, in the plural. networks: the package whose named classes are the values of the setting
    `arch`, "" where there is no such setting; only the options of the network that `arch` names are in a run.
    """

    name: str
    noun: str
    settings: type[Settings]
    presets: dict[str, Preset]
    recipe: str  # the default ones
    preset: str
    networks: str = ""


@dataclass(frozen=True)
class Plan:
    """A settled run.

    numbers: every number, by setting, `part.field` or `network.field`.
    """

    recipe: str
    preset: str
    parts: tuple[str, ...]
    numbers: dict[str, Any]

    def settings(self, kind: Kind) -> Settings:
        """The settings, with the options of the network."""
        arch = self.numbers.get("arch", "")
        of_arch = options_of_entries({name: net for name, net in networks_of(kind).items() if name == arch})
        return kind.settings(
            **{key: value for key, value in self.numbers.items() if "." not in key},
            of_arch={key.partition(".")[2]: value for key, value in self.numbers.items() if key in of_arch},
        )

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
    "skip": "began.skip",
    "pool": "resnet.pool",
}


def renamed(key: str) -> str:
    """A sentence about an option that has another name now, "" for any other key."""
    return f"{key} is called {RENAMED[key]} now" if key in RENAMED else ""


def fields_of(kind: Kind) -> dict[str, dataclasses.Field]:
    """Every option of a domain by key: settings, then `part.field` and `network.field` of all that are known."""
    found = {option.name: option for option in options_of(kind.settings)}
    return found | options_of_entries(catalogue.known()) | options_of_entries(networks_of(kind))


def networks_of(kind: Kind) -> Mapping[str, catalogue.Entry]:
    """The networks that the setting `arch` chooses from, by name."""
    return catalogue.read(kind.networks) if kind.networks else {}


def options_of_entries(entries: Mapping[str, catalogue.Entry]) -> dict[str, dataclasses.Field]:
    """The options of parts or networks, by `name.field`."""
    return {f"{name}.{option.name}": option for name, entry in entries.items() for option in entry.options}


def settle(kind: Kind, given: Mapping[str, Any]) -> Plan:
    """Settle a run from what was given: `recipe`, `preset`, `add`, `without`, settings and `part.field`.

    Raises:
        UsageError: a name does not exist, or the part or the network of an option is not in the run.
    """
    recipe_name, preset_name = given.get("recipe") or kind.recipe, given.get("preset") or kind.preset
    recipe = recipes.lookup(recipe_name)
    if preset_name not in kind.presets:
        raise UsageError(f"{named('preset', preset_name)} does not exist: {choose(preset_name, kind.presets)}")
    preset = kind.presets[preset_name]
    names = settle_parts(recipe.parts, given.get("add", ()), given.get("without", ()))
    said = {key: value for key, value in given.items() if key not in ("recipe", "preset", "add", "without")}
    sources = (preset.numbers, recipe.numbers, preset.tuned.get(recipe_name, {}), said)
    arch = next(
        (source["arch"] for source in reversed(sources) if "arch" in source), getattr(kind.settings, "arch", "")
    )
    options, parts, networks = fields_of(kind), catalogue.known(), networks_of(kind)
    in_run = {key: option for key, option in options.items() if "." not in key}
    in_run |= options_of_entries({name: parts[name] for name in names})
    in_run |= options_of_entries({arch: networks[arch]} if arch in networks else {})
    numbers = {key: option.default for key, option in in_run.items()}
    for source in sources[:-1]:
        numbers |= {key: value for key, value in source.items() if key in in_run}
    for key, value in said.items():
        if key not in options:
            near = nearest(key, options)
            raise UsageError(
                renamed(key) or f"{named(key)} is no option" + (f": did you mean {named(near)}?" if near else "")
            )
        if key not in in_run:
            part = key.partition(".")[0]
            if key in options_of_entries(networks):
                raise UsageError(
                    f"{named(key)} means nothing to {named('arch', arch)}: leave it out, or use {named('arch', part)}"
                )
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
