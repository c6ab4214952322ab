"""Command-line options made from fields, and how a run's numbers are settled.

Every option of `Settings` and of every part is a dataclass field with its limits and its help. A value is settled
in this order, later ones winning: the field's default, the preset's sizes, the recipe's numbers, the preset's numbers
for that recipe, the --config file, the command line.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_core.errors import UsageError
from gan_core.parts import base as parts
from gan_core.parts.fields import flag
from gan_core.recipes import published as recipes
from gan_core.recipes.settings import Settings


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
    """What the command line must know of a domain before it has data.

    noun: what its samples are, in the plural. networks: classes whose fields are options, by the values of the setting
    `arch`; only the options of the network that `arch` names are in a run.
    """

    name: str
    noun: str
    settings: type[Settings]
    presets: dict[str, Preset]
    recipe: str  # the default ones
    preset: str
    networks: Mapping[str, type] = field(default_factory=dict)


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
        of_arch = options_of_networks(kind, self.numbers.get("arch", ""))
        return kind.settings(
            **{key: value for key, value in self.numbers.items() if "." not in key},
            of_arch={key.partition(".")[2]: value for key, value in self.numbers.items() if key in of_arch},
        )


# Options by their names until 2026-11, and what they are called now.
RENAMED = {
    "g_lr": "generator_lr",
    "d_lr": "critic_lr",
    "g_norm": "generator_norm",
    "g_width": "generator_width",
    "g_batch_multiple": "generator_batch_multiple",
    "skip": "began.skip",
    "pool": "resnet.pool",
}


def renamed(key: str) -> str:
    """A sentence on an option that has another name now, "" of any other."""
    new = RENAMED.get(key.lstrip("-").replace("-", "_"))
    return f"{key} is called {flag(new) if key.startswith('--') else new} now" if new else ""


def fields_of(kind: Kind) -> dict[str, dataclasses.Field]:
    """Every option of a domain by key: settings, then `part.field` and `network.field` of everything registered."""
    found = {option.name: option for option in parts.options_of(kind.settings)}
    return found | options_of_parts(parts.REGISTRY) | options_of_networks(kind, *kind.networks)


def options_of_parts(names: Iterable[str]) -> dict[str, dataclasses.Field]:
    """The options of some registered parts, by `part.field`."""
    return {f"{name}.{option.name}": option for name in names for option in parts.options_of(parts.REGISTRY[name])}


def options_of_networks(kind: Kind, *names: str) -> dict[str, dataclasses.Field]:
    """The options of some networks of a domain, by `network.field`; no option for a name that is not a network."""
    known = {name: kind.networks[name] for name in names if name in kind.networks}
    return {f"{name}.{option.name}": option for name, net in known.items() for option in parts.options_of(net)}


def settle(kind: Kind, given: Mapping[str, Any]) -> Plan:
    """Settle a run from what was given: `recipe`, `preset`, `add`, `without`, settings and `part.field`.

    Raises:
        UsageError: a name does not exist, or the part or the network of an option is not in the run.
    """
    recipe_name, preset_name = given.get("recipe") or kind.recipe, given.get("preset") or kind.preset
    recipe = recipes.lookup(recipe_name)
    if preset_name not in kind.presets:
        raise UsageError(f"--preset {preset_name} does not exist: choose from {', '.join(kind.presets)}")
    preset = kind.presets[preset_name]
    names = settle_parts(recipe.parts, given.get("add", ()), given.get("without", ()))
    said = {key: value for key, value in given.items() if key not in ("recipe", "preset", "add", "without")}
    sources = (preset.numbers, recipe.numbers, preset.tuned.get(recipe_name, {}), said)
    arch = next(
        (source["arch"] for source in reversed(sources) if "arch" in source), getattr(kind.settings, "arch", "")
    )
    in_run = {option.name: option for option in parts.options_of(kind.settings)}
    in_run |= options_of_parts(names) | options_of_networks(kind, arch)
    numbers = {key: option.default for key, option in in_run.items()}
    for source in sources[:-1]:
        numbers |= {key: value for key, value in source.items() if key in in_run}
    for key, value in said.items():
        if key not in in_run:
            part = key.partition(".")[0]
            if key in options_of_networks(kind, *kind.networks):
                raise UsageError(f"{flag(key)} means nothing to --arch {arch}: leave it out, or use --arch {part}")
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
