"""Recipe + domain -> game."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

import gan_core.recipes.published  # noqa: F401  (it brings the parts into the registry)
from gan_core.domain import Domain
from gan_core.errors import UsageError
from gan_core.game.game import Game
from gan_core.game.player import Player
from gan_core.game.prior import Prior
from gan_core.game.refusals import refuse_parts
from gan_core.game.schedule import OPTIMIZERS
from gan_core.game.unrolled import Unrolled
from gan_core.networks.conditional import Generator
from gan_core.networks.critic import ENERGIES, AutoencoderCritic, Critic, ScoringCritic
from gan_core.parts.base import Conditioning, Constraint, Loss, Needs, Part, Penalty, lookup
from gan_core.parts.fields import options_of
from gan_core.recipes.settings import Settings
from gan_core.runtime.engine import Engine
from gan_core.runtime.randomness import reseed


def make_parts(names: Sequence[str], numbers: Mapping[str, Any]) -> list[Part]:
    """The parts of those names; `numbers` sets their fields as `part.field`."""
    parts = []
    for name in names:
        kind = lookup(name)
        fields = {field.name for field in options_of(kind)}
        values = {key.partition(".")[2]: value for key, value in numbers.items() if key.startswith(f"{name}.")}
        if unknown := set(values) - fields:
            raise UsageError(f"{name} has no option {sorted(unknown)[0]}: it has {', '.join(sorted(fields))}")
        parts.append(kind(**values))
    return parts


def make_critic(domain: Domain, parts: Sequence[Part], settings: Settings) -> Critic:
    """A new critic that the parts ask for, a trunk with heads or an autoencoder, and the constraints that hold it."""
    num_classes = len(domain.labels)
    needs = needs_of(parts, num_classes)
    way = next((part for part in parts if isinstance(part, Conditioning)), None)
    trunk, features = domain.trunk(way.inputs(num_classes) if way else 0)
    heads = {name: width for need in needs for name, width in need.heads.items()}
    score = next(need.score for need in needs if need.score)
    entry = way.entry(num_classes, features) if way else None
    critic: Critic
    if score in ENERGIES:
        decoder = domain.decoder(settings.z_dim)
        critic = AutoencoderCritic(trunk, features, settings.z_dim, decoder, heads, score, domain.energy_scale, entry)
    else:
        critic = ScoringCritic(trunk, features, heads, score, entry)
    prepared(critic, domain, held(parts, "critic"))
    return critic


def make_generator(domain: Domain, parts: Sequence[Part], settings: Settings) -> nn.Module:
    """A new generator, told the labels and codes that the parts ask for, with the constraints that hold it."""
    return prepared(new_generator(domain, make_prior(domain, parts, settings)), domain, held(parts, "generator"))


def new_generator(domain: Domain, prior: Prior) -> Generator:
    """A domain's generator for what a prior draws, its weights as PyTorch has them.

    Raises:
        UsageError: it takes labels, and the prior draws none.
    """
    num_classes, by_norm = len(prior.shares), domain.labels_by_norm
    if by_norm and not num_classes:
        raise UsageError(
            "--generator-norm conditional is told labels, which no part of this run asks for: "
            "use --generator-norm batch"
        )
    inputs = prior.size + (prior.codes.width if prior.codes else 0) + (0 if by_norm else num_classes)
    return Generator(domain.generator(inputs, num_classes if by_norm else 0), num_classes, by_norm)


def make_prior(domain: Domain, parts: Sequence[Part], settings: Settings) -> Prior:
    """What the generator starts from: noise, and the labels and codes that the parts ask for."""
    needs = needs_of(parts, len(domain.labels))
    shares = domain.labels.shares if any(need.asks for need in needs) else ()
    codes = next((need.codes for need in needs if need.codes), None)
    return Prior(settings.z_dim, settings.noise, shares, codes)


def needs_of(parts: Sequence[Part], num_classes: int) -> list[Needs]:
    """What the losses and conditionings among the parts need."""
    return [part.needs(num_classes) for part in parts if isinstance(part, Loss | Conditioning)]


def teaches_classes(parts: Sequence[Part], num_classes: int) -> bool:
    """Whether one of the parts teaches the critic's head `class` from labels."""
    return any("class" in need.heads and need.labels != "none" for need in needs_of(parts, num_classes))


def build(domain: Domain, parts: Sequence[Part], settings: Settings, device: torch.device) -> Game:
    """A new game: networks initialised from the seed, constraints attached, optimisers made.

    Raises:
        UsageError: the parts cannot play together.
    """
    losses = [part for part in parts if isinstance(part, Loss)]
    penalties = [part for part in parts if isinstance(part, Penalty)]
    refuse_parts(parts, domain.labels)
    if settings.lr_decay == "stall" and all(loss.convergence() is None for loss in losses):
        raise UsageError("--lr-decay stall needs a measure of convergence, which no loss of this run has: use another")
    reseed(settings.seed, "initialisation")
    nets = {
        "generator": make_generator(domain, parts, settings),
        "critic": make_critic(domain, parts, settings),
    }
    rates = {"generator": settings.generator_lr, "critic": settings.critic_lr}
    players = {}
    for role, net in nets.items():
        net.to(device)
        optimiser = OPTIMIZERS[settings.optimizer](net.parameters(), rates[role], settings.beta1, settings.beta2)
        players[role] = Player(net, optimiser, held(parts, role), settings.ema if role == "generator" else 0.0)
    for part in parts:
        part.to(device)
    rules = partial(Unrolled, unroll=settings.unroll) if settings.unroll else Game
    return rules(
        players["generator"], players["critic"], losses, penalties, make_prior(domain, parts, settings),
        Engine(device, settings.precision, settings.compile, settings.cuda_graphs), settings.seed, len(domain.labels),
        settings.accumulate,
    )  # fmt: skip


def held(parts: Sequence[Part], role: str) -> list[Constraint]:
    """The constraints that hold a player's network.

    Raises:
        UsageError: two of them each replace its weights.
    """
    holding = [part for part in parts if isinstance(part, Constraint) and part.on in (role, "both")]
    replacing = [constraint.name for constraint in holding if constraint.reparametrises]
    if len(replacing) > 1:
        raise UsageError(f"{' and '.join(replacing)} each replace the {role}'s weights: leave one out with --without")
    return holding


def prepared(net: nn.Module, domain: Domain, constraints: Sequence[Constraint]) -> nn.Module:
    """A network with its initial weights and its constraints."""
    domain.initialise(net)
    for constraint in constraints:
        constraint.attach(net)
    return net
