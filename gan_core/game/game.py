"""The game of two players: a critic step and a generator step, the same for every loss, penalty and domain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_core.game.plateau import ReduceOnPlateau
from gan_core.game.player import Player
from gan_core.game.prior import Prior
from gan_core.game.refusals import refuse_critic
from gan_core.networks.critic import judge, judge_both, whole
from gan_core.networks.modes import frozen, remembered
from gan_core.parts.base import Loss, Part, Penalty
from gan_core.runtime.engine import Engine, Pytree, Terms, together
from gan_core.runtime.randomness import reseed
from gan_core.sample import Latent, Sample, Verdict


@dataclass(frozen=True)
class Rules:
    """The numbers of a game.

    seed: the seed of all its random numbers.
    num_classes: the number of classes in the data, 0 for unlabelled data.
    critic_steps: critic steps before each generator step.
    accumulate: micro-batches per step. Losses that compare samples within a batch (EBGAN's pulling-away term) see one
        micro-batch at a time.
    patience: steps after which the learning rates are halved if the measure of convergence has not fallen; 0: never.
    """

    seed: int = 0
    num_classes: int = 0
    critic_steps: int = 1
    accumulate: int = 1
    patience: int = 0


class Game:
    """A generator and a critic that play against each other; their losses are sums of losses and penalties.

    parts: the losses and penalties; constraints belong to the players.

    At the start of every step torch's default generators are seeded from (seed, player, step), and all numbers that
    follow a schedule are set to their values at the step. If `engine` compiles, a step's loss is one graph.

    Raises:
        UsageError: the parts contradict each other; the sentence names the remedy.
    """

    def __init__(
        self,
        generator: Player,
        critic: Player,
        parts: Sequence[Part],
        prior: Prior,
        engine: Engine,
        rules: Rules = Rules(),
    ) -> None:
        self.generator, self.critic = generator, critic
        self.prior, self.engine, self.rules = prior, engine, rules
        self.losses = [part for part in parts if isinstance(part, Loss)]
        self.penalties = [part for part in parts if isinstance(part, Penalty)]
        self.observers = [loss for loss in self.losses if type(loss).observe is not Loss.observe]
        self.needs_reals = any(loss.needs(rules.num_classes).reals for loss in self.losses)
        self.plateau = ReduceOnPlateau(rules.patience)
        self.step = 0
        self._turn = 0  # critic steps since the last generator step
        refuse_critic(critic.net, self.losses, self.penalties, rules.num_classes)
        self._critic_gradients = engine.differentiated(critic.net, self._critic_terms, [generator.net])
        self._generator_gradients = engine.differentiated(generator.net, self._generator_terms, [critic.net])

    @property
    def parts(self) -> list[Part]:
        """All parts of the game: losses, penalties, constraints."""
        constraints = dict.fromkeys([*self.critic.constraints, *self.generator.constraints])
        return [*self.losses, *self.penalties, *constraints]

    @property
    def critic_turns(self) -> int:
        """The number of critic steps so far."""
        return self.step * self.rules.critic_steps + self._turn

    def critic_step(self, real: Sample) -> Terms:
        """One step of the critic, on real samples and the same number of generated samples.

        Returns scalars by name: terms of the loss, values that penalties measured, readings of parts.
        """
        turn = self.critic_turns
        self._set_to_step()
        reseed(self.rules.seed, "critic", turn)
        due = frozenset(p.name for p in self.penalties if turn % p.every == 0)
        put_back = remembered(self.generator.net, self.critic.net)
        self.critic.optimiser.zero_grad(set_to_none=True)
        with frozen(self.generator.net):
            latent = self.prior.draw(len(real), real.x.device, like=real.y)
            terms, looked, judged = self._in_micro_batches(
                len(real), lambda rows: self._critic_gradients(real.rows(rows), latent.rows(rows), due)
            )
        terms = terms | self.critic.learn(self.rules.accumulate)
        if terms["skipped"]:
            put_back()
        else:
            for loss in self.observers:
                loss.observe(*(remade(verdict) for verdict in judged))
        self._turn += 1
        readings = {f"{part.name}/{name}": value for part in self.parts for name, value in part.readings().items()}
        return {**{f"critic/{name}": value for name, value in terms.items()}, **looked, **readings}

    def generator_step(self, batch_size: int, device: torch.device, real: Sample | None = None) -> Terms:
        """One step of the generator, which ends the iteration; returns the terms of its loss by name.

        real: real samples, required if `needs_reals`.
        """
        self._set_to_step()
        reseed(self.rules.seed, "generator", self.step)
        put_back = remembered(self.generator.net, self.critic.net)
        self.generator.optimiser.zero_grad(set_to_none=True)
        with frozen(self.critic.net):
            latent = self.prior.draw(batch_size, device, like=None if real is None else real.y)
            terms = self._in_micro_batches(
                batch_size, lambda rows: self._generator_gradients(latent.rows(rows), real and real.rows(rows))
            )
        terms = terms | self.generator.learn(self.rules.accumulate)
        if terms["skipped"]:
            put_back()
        self.step, self._turn = self.step + 1, 0
        self.plateau.watch(self.convergence())
        return {f"generator/{name}": value for name, value in terms.items()}

    def _set_to_step(self) -> None:
        """Set the scheduled numbers of parts, networks and optimisers to their values at the current step."""
        for part in self.parts:
            part.at_step(self.step)
        for player in (self.generator, self.critic):
            player.at_step(self.step, self.plateau.factor)

    def convergence(self) -> Tensor | None:
        """The measure of convergence of the first loss that has one, else None."""
        return next((m for loss in self.losses if (m := loss.convergence()) is not None), None)

    def _in_micro_batches(self, num: int, gradients: Callable[[slice], Pytree]) -> Pytree:
        """Call `gradients` for each micro-batch of a batch of `num` rows and merge the results.

        The gradients accumulate in the network.
        """
        each = num // self.rules.accumulate
        found = [gradients(slice(first, first + each)) for first in range(0, num, each)]
        return found[0] if len(found) == 1 else together(found)

    def _critic_terms(self, real: Sample, latent: Latent, due: frozenset[str]) -> tuple[Tensor, tuple]:
        with torch.no_grad():
            fake = self._made(latent).to(real.x.dtype)
        return self._critic_loss(real, fake, due)

    def _critic_loss(self, real: Sample, fake: Sample, due: frozenset[str]) -> tuple[Tensor, tuple]:
        net = self.critic.net
        playing = [penalty for penalty in self.penalties if penalty.name in due]
        judged = judge_both(net, real, fake, frozenset(p.where for p in playing))
        measured = {penalty.name: penalty.measured(net, *judged) for penalty in playing}
        judged = (whole(judged[0]), whole(judged[1]))
        terms = {loss.name: loss.critic(*judged) for loss in self.losses}
        terms |= {name: cost for name, (cost, _) in measured.items()}
        total = torch.stack(list(terms.values())).sum()
        terms |= {"total": total, "real": judged[0].score.mean(), "fake": judged[1].score.mean()}
        looked = {f"{name}/{what}": value for name, (_, found) in measured.items() for what, value in found.items()}
        return total, (terms, looked, tuple(told(verdict) for verdict in judged) if self.observers else ())

    def _made(self, latent: Latent) -> Sample:
        return Sample(self.generator.net(latent), latent.y, latent.code)

    def _generator_terms(self, latent: Latent, real: Sample | None) -> tuple[Tensor, Terms]:
        return self._generator_loss(self._made(latent), real)

    def _generator_loss(self, fake: Sample, real: Sample | None) -> tuple[Tensor, Terms]:
        net = self.critic.net
        of_real, of_fake = (None, judge(net, fake)) if real is None else judge_both(net, real, fake)
        of_real, of_fake = of_real and whole(of_real), whole(of_fake)
        terms = {loss.name: loss.generator(of_real, of_fake) for loss in self.losses}
        total = torch.stack(list(terms.values())).sum()
        return total, terms | {"total": total}

    def state_dict(self) -> dict[str, Any]:
        """The state that training needs besides the networks' weights and the seed."""
        return {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "parts": {part.name: part.state_dict() for part in self.parts},
            "plateau": self.plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.step, self._turn = state["step"], 0
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        for part in self.parts:
            part.load_state_dict(state["parts"][part.name])
        self.plateau.load_state_dict(state["plateau"])


def told(verdict: Verdict) -> dict[str, Any]:
    """The values of a verdict that `Loss.observe` may use, as a pytree."""
    labels = {"y": verdict.sample.y, "code": verdict.sample.code}
    known = {name: part for name, part in labels.items() if part is not None}
    return {"features": verdict.features, "heads": verdict.heads, "known": known}


def remade(told: dict[str, Any]) -> Verdict:
    """Rebuild a Verdict for `Loss.observe`; of its sample's x only the batch size is kept."""
    features = told["features"]
    return Verdict(Sample(features[:, :0], **told["known"]), features, told["heads"])
