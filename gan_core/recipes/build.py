"""Builds a game from parts, settings and a domain."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

import gan_core.parts
from gan_core.discovery import import_all
from gan_core.domain import Domain, Networks
from gan_core.errors import UsageError, named
from gan_core.game.game import Game, Rules
from gan_core.game.optimisers import OPTIMIZERS
from gan_core.game.player import Player
from gan_core.game.prior import Prior
from gan_core.game.refusals import refuse_parts
from gan_core.game.unrolled import Unrolled
from gan_core.networks.critic import ENERGIES, AutoencoderCritic, Critic, ScoringCritic
from gan_core.parts.base import Conditioning, Constraint, Loss, Needs, Part, lookup
from gan_core.parts.fields import options_of
from gan_core.recipes.settings import Settings
from gan_core.runtime.engine import Engine
from gan_core.runtime.randomness import reseed
from gan_core.schedules.base import at

import_all(gan_core.parts)  # fills the registry that recipes name parts of


def make_parts(names: Sequence[str], numbers: Mapping[str, Any]) -> list[Part]:
    """Make the parts of the given names; `numbers` sets their fields as `part.field`, its other keys are ignored."""
    parts = []
    for name in names:
        kind = lookup(name)
        keys = {field.name: f"{name}.{field.name}" for field in options_of(kind)}
        parts.append(kind(**{field: numbers[key] for field, key in keys.items() if key in numbers}))
    return parts


def make_critic(domain: Domain, parts: Sequence[Part], settings: Settings) -> Critic:
    """Make the critic that the parts require (a trunk with heads, or an autoencoder), with its constraints attached."""
    networks, num_classes = domain.networks, len(domain.labels)
    needs = needs_of(parts, num_classes)
    way = next((part for part in parts if isinstance(part, Conditioning)), None)
    trunk, features = networks.trunk(way.inputs(num_classes) if way else 0)
    heads = {name: width for need in needs for name, width in need.heads.items()}
    score = next(need.score for need in needs if need.score)
    entry = way.entry(num_classes, features) if way else None
    critic: Critic
    if score in ENERGIES:
        decoder = networks.decoder(settings.z_dim)
        critic = AutoencoderCritic(trunk, features, settings.z_dim, decoder, heads, score, networks.energy_scale, entry)
    else:
        critic = ScoringCritic(trunk, features, heads, score, entry)
    prepared(critic, networks, held(parts, "critic"))
    return critic


def make_generator(domain: Domain, parts: Sequence[Part], settings: Settings) -> nn.Module:
    """Make the generator, with inputs for the labels and codes that the parts require, and its constraints attached."""
    networks = domain.networks
    return prepared(networks.generator(make_prior(domain, parts, settings)), networks, held(parts, "generator"))


def make_prior(domain: Domain, parts: Sequence[Part], settings: Settings) -> Prior:
    """Make the prior of the generator: noise, and the labels and codes that the parts require."""
    needs = needs_of(parts, len(domain.labels))
    shares = domain.labels.shares if any(need.asks for need in needs) else ()
    codes = next((need.codes for need in needs if need.codes), None)
    return Prior(settings.z_dim, settings.noise, shares, codes)


def needs_of(parts: Sequence[Part], num_classes: int) -> list[Needs]:
    """The needs of the losses and conditionings among the parts."""
    return [part.needs(num_classes) for part in parts if isinstance(part, Loss | Conditioning)]


def teaches_classes(parts: Sequence[Part], num_classes: int) -> bool:
    """Whether one of the parts trains the critic's head `class` on labels."""
    return any("class" in need.heads and need.labels != "none" for need in needs_of(parts, num_classes))


def build(domain: Domain, parts: Sequence[Part], settings: Settings, device: torch.device) -> Game:
    """Build a new game: initialise the networks from the seed, attach constraints, make the optimisers.

    Raises:
        UsageError: the parts contradict each other, the settings or the labels.
    """
    refuse_parts(parts, domain.labels)
    if settings.plateau_patience and not any(isinstance(part, Loss) and part.converges for part in parts):
        raise UsageError(
            f"{named('plateau_patience')} needs a measure of convergence, which no loss of this run has: leave it out"
        )
    reseed(settings.seed, "initialisation")
    players = {}
    for role, make in (("generator", make_generator), ("critic", make_critic)):
        net = make(domain, parts, settings).to(device)
        rates = settings.rates(role)
        optimiser = OPTIMIZERS[settings.optimizer](
            net.parameters(), **{key: at(rate, 0) for key, rate in rates.items()}
        )
        players[role] = Player(net, optimiser, held(parts, role), settings.ema if role == "generator" else 0.0, rates)
    for part in parts:
        part.to(device)
    engine = Engine(device, settings.precision, settings.compile, settings.cuda_graphs)
    rules = Rules(
        settings.seed, len(domain.labels), settings.critic_steps, settings.accumulate, settings.plateau_patience
    )
    kind = partial(Unrolled, unroll=settings.unroll) if settings.unroll else Game
    return kind(players["generator"], players["critic"], parts, make_prior(domain, parts, settings), engine, rules)


def held(parts: Sequence[Part], role: str) -> list[Constraint]:
    """The constraints on a player's network.

    Raises:
        UsageError: two of them reparametrise the weights.
    """
    holding = [part for part in parts if isinstance(part, Constraint) and part.on in (role, "both")]
    replacing = [constraint.name for constraint in holding if constraint.reparametrises]
    if len(replacing) > 1:
        raise UsageError(
            f"{' and '.join(replacing)} each replace the {role}'s weights: leave one out with {named('without')}"
        )
    return holding


def prepared(net: nn.Module, networks: Networks, constraints: Sequence[Constraint]) -> nn.Module:
    """Initialise a network's weights, attach its constraints, and return it."""
    networks.initialise(net)
    for constraint in constraints:
        constraint.attach(net)
    return net
