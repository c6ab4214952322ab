"""The options of a run and their values. This module imports no torch, because help texts are made from it.

Every option of `Settings`, of a part or of a network is a dataclass field with its limits and its help. Its value is
the last one given by: the field's default, the preset, the recipe, the preset's numbers for that recipe, the user.
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

    numbers: values for any recipe. tuned: values for one recipe, by its name; they override the recipe's numbers.
    """

    summary: str
    numbers: dict[str, Any]
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """The properties of a domain that do not depend on its data.

    noun: the name of its samples, in the plural. recipe, preset: the default ones.
    networks: the package whose named classes are the values of the setting `arch`; "" if there is no such setting.
        A run has the options of the network that `arch` names, and of no other network.
    """

    name: str
    noun: str
    settings: type[Settings]
    presets: dict[str, Preset]
    recipe: str
    preset: str
    networks: str = ""


@dataclass(frozen=True)
class Plan:
    """A run with the values of all its options.

    numbers: every value, by setting, `part.field` or `network.field`.
    """

    recipe: str
    preset: str
    parts: tuple[str, ...]
    numbers: dict[str, Any]

    def settings(self, kind: Kind) -> Settings:
        """The domain's settings, including the options of the network."""
        arch = self.numbers.get("arch", "")
        of_arch = options_of_entries({name: net for name, net in networks_of(kind).items() if name == arch})
        return kind.settings(
            **{key: value for key, value in self.numbers.items() if "." not in key},
            of_arch={key.partition(".")[2]: value for key, value in self.numbers.items() if key in of_arch},
        )

    def written(self) -> dict[str, Any]:
        """The numbers as they are written to config.json: schedules as text."""
        return {key: str(value) if isinstance(value, Schedule) else value for key, value in self.numbers.items()}


# Options that had other names until 2026-11: old name -> new name.
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
    """A sentence with the new name of a renamed option, "" for any other key."""
    return f"{key} is called {RENAMED[key]} now" if key in RENAMED else ""


def fields_of(kind: Kind) -> dict[str, dataclasses.Field]:
    """Every option of a domain by key: settings, then `part.field` of all parts and `network.field` of all networks."""
    found = {option.name: option for option in options_of(kind.settings)}
    return found | options_of_entries(catalogue.known()) | options_of_entries(networks_of(kind))


def networks_of(kind: Kind) -> Mapping[str, catalogue.Entry]:
    """The networks that the setting `arch` chooses from, by name."""
    return catalogue.read(kind.networks) if kind.networks else {}


def options_of_entries(entries: Mapping[str, catalogue.Entry]) -> dict[str, dataclasses.Field]:
    """The options of parts or networks, by `name.field`."""
    return {f"{name}.{option.name}": option for name, entry in entries.items() for option in entry.options}


def settle(kind: Kind, given: Mapping[str, Any]) -> Plan:
    """Make the plan of a run from the user's values of `recipe`, `preset`, `add`, `without`, settings and `part.field`.

    Raises:
        UsageError: a name does not exist, or an option belongs to a part or a network that is not in the run.
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
        if options[key].metadata["varies"] and isinstance(value, str):  # recipes and presets give schedules as text
            numbers[key] = parse(key, options[key], value)
    # A run that is resumed with another number of steps keeps its original schedule.
    numbers["decay_steps"] = numbers["decay_steps"] or numbers["steps"]
    return Plan(recipe_name, preset_name, names, numbers)


def settle_parts(names: Sequence[str], add: Iterable[str], without: Iterable[str]) -> tuple[str, ...]:
    """The names of a run's parts: those of the recipe, minus `without`, plus `add`.

    Raises:
        UsageError: a name to remove is not in the run, or a name to add does not exist or is in it already.
    """
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
