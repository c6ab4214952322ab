"""Unrolled GAN: the generator's loss looks ahead through steps of the critic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Adam, RMSprop

from gan_core.errors import UsageError, named
from gan_core.game.game import Game
from gan_core.networks.critic import mixes_samples
from gan_core.parts.base import Constraint
from gan_core.runtime import dist
from gan_core.runtime.device import sent
from gan_core.runtime.engine import Step, Terms
from gan_core.sample import Latent, Sample

Weights = dict[str, Tensor]
Moments = dict[str, tuple[Tensor, ...]]  # the optimiser's state, by the name of the parameter


class Unrolled(Game):
    """The game of Metz et al. 2017, arXiv 1611.02163.

    The critic learns as in `Game`. The generator minimises the surrogate loss of equations 7 to 9,
    f_K(G, D) = f(G, D_K), where D_0 = D and D_{k+1} is D_k after one step of the critic's optimiser. The K steps start
    from the optimiser's present state, take the generator's own batch of reals and generated samples, and apply
    the penalties that are due in the critic's next K steps. The gradient flows through all of them. They leave the
    critic and its optimiser as they are.

    With several processes every process computes the loss of the whole batch, as each critic step needs the gradient
    of the whole batch.

    unroll: the number K of critic steps. 0 gives the ordinary game.

    Raises:
        UsageError: a step of this critic cannot be differentiated through; the sentence names the remedy.
    """

    def __init__(self, *args: Any, unroll: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unroll = unroll
        if not unroll:
            return
        refuse_unrolling(self)
        self.needs_reals = True
        self._form = FORMS[type(self.critic.optimiser)]
        nets = nn.ModuleList([self.critic.net])
        self._critic_at, self._generator_at = Step(nets, self._critic_objective), Step(nets, self._generator_loss)
        self._ahead = self.engine.differentiated(self.generator.net, self._ahead_terms, [self.critic.net])
        self._generator_gradients = self._unrolled_gradients

    def _unrolled_gradients(self, latent: Latent, real: Sample) -> Terms:
        """Leave the gradients of f_K in the generator; returns the terms of the loss."""
        processes, turns = dist.size(), range(self.critic_turns, self.critic_turns + self.unroll)
        due = tuple(frozenset(p.name for p in self.penalties if turn % p.every == 0) for turn in turns)
        latent, real = _whole_batch(latent, real)
        with dist.alone():
            return self._ahead(latent, real, self._moments(), self._numbers(), due, processes)

    def _ahead_terms(
        self,
        latent: Latent,
        real: Sample,
        moments: Moments,
        numbers: Tensor,
        due: Sequence[frozenset[str]],
        shares: int,
    ) -> tuple[Tensor, Terms]:
        """The loss after the critic steps, divided by `shares`, as the processes' gradients are summed; its terms.

        numbers: (K, N) those of each step, see `Form.numbers`. due: the penalties of each step.
        """
        fake = self._made(latent).to(real.x.dtype)
        critic = {name: parameter.detach() for name, parameter in self.critic.net.named_parameters()}
        for row, playing in zip(numbers.unbind(), due, strict=True):
            critic, moments = self._stepped(critic, moments, row.unbind(), real, fake, playing)
        total, terms = functional_call(self._generator_at, _in_step(critic), (fake, real))
        return total / shares, terms

    def _stepped(
        self,
        critic: Weights,
        moments: Moments,
        numbers: Sequence[Tensor],
        real: Sample,
        fake: Sample,
        due: frozenset[str],
    ) -> tuple[Weights, Moments]:
        """The critic's weights and moments after one more step, as functions of the generated samples."""

        def objective(weights: Weights) -> Tensor:
            return functional_call(self._critic_at, _in_step(weights), (real, fake, due))

        gradients = torch.func.grad(objective)(critic)
        stepped = {
            name: self._form.step(weight, gradients[name], moments[name], numbers) for name, weight in critic.items()
        }
        return {name: new for name, (new, _) in stepped.items()}, {name: new for name, (_, new) in stepped.items()}

    def _critic_objective(self, real: Sample, fake: Sample, due: frozenset[str]) -> Tensor:
        """All that the critic minimises: its losses, the penalties that are due, and the costs of its constraints."""
        total, _ = self._critic_loss(real, fake, due)
        with torch.autocast(real.x.device.type, enabled=False):  # as in `Player.learn`
            costs = [constraint.cost(self.critic.net) for constraint in self.critic.constraints]
        return total + sum(cost for cost in costs if cost is not None)

    def _moments(self) -> Moments:
        """The state of the critic's optimiser; zeros before its first step."""
        state = self.critic.optimiser.state
        return {
            name: tuple(state[p][key] if state.get(p) else torch.zeros_like(p) for key in self._form.moments)
            for name, p in self.critic.net.named_parameters()
        }

    def _numbers(self) -> Tensor:
        """The numbers (K, N) of the next K steps. A tensor, so that a compiled step need not know their values."""
        optimiser, first = self.critic.optimiser, self.critic.parameters[0]
        done = next((int(state["step"]) for state in optimiser.state.values() if state), 0)
        (group,) = optimiser.param_groups
        rows = [self._form.numbers(group, done + k) for k in range(1, self.unroll + 1)]
        return sent(torch.tensor(rows, dtype=first.dtype), first.device)


Numbers = Sequence[Tensor]
Stepped = tuple[Tensor, tuple[Tensor, ...]]  # a parameter and its moments


@dataclass(frozen=True)
class Form:
    """An optimiser of torch as a differentiable function of the gradient.

    moments: the keys of a parameter's state that are tensors of its shape.
    numbers: (the optimiser's parameter group, number of the step, 1 for the first) -> the scalars of that step.
    step: (weight, gradient, moments, numbers) -> the weight and the moments after the step.
    """

    moments: tuple[str, ...]
    numbers: Callable[[dict[str, Any], int], tuple[float, ...]]
    step: Callable[[Tensor, Tensor, tuple[Tensor, ...], Numbers], Stepped]


def adam_numbers(group: dict[str, Any], step: int) -> tuple[float, ...]:
    """The numbers of `adam_step`."""
    beta1, beta2 = group["betas"]
    size = group["lr"] / (1 - beta1**step)
    return beta1, 1 - beta1, beta2, 1 - beta2, size, (1 - beta2**step) ** 0.5, group["eps"]


def adam_step(weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], numbers: Numbers) -> Stepped:
    """Adam with bias correction: Kingma and Ba 2015, algorithm 1, arXiv 1412.6980."""
    (first, second), (beta1, rest1, beta2, rest2, size, correction, eps) = moments, numbers
    first = beta1 * first + rest1 * gradient
    second = beta2 * second + rest2 * gradient.square()
    return weight - size * first / (_root(second) / correction + eps), (first, second)


def rmsprop_numbers(group: dict[str, Any], step: int) -> tuple[float, ...]:
    """The numbers of `rmsprop_step`."""
    return group["alpha"], 1 - group["alpha"], group["lr"], group["eps"]


def rmsprop_step(weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], numbers: Numbers) -> Stepped:
    """RMSProp as torch computes it, with eps added to the root."""
    (square,), (alpha, rest, size, eps) = moments, numbers
    square = alpha * square + rest * gradient.square()
    return weight - size * gradient / (_root(square) + eps), (square,)


FORMS = {
    Adam: Form(("exp_avg", "exp_avg_sq"), adam_numbers, adam_step),
    RMSprop: Form(("square_avg",), rmsprop_numbers, rmsprop_step),
}
VARIANTS = ("weight_decay", "amsgrad", "maximize", "momentum", "centered")  # options that the forms leave out


def refuse_unrolling(game: Game) -> None:
    """Refuse a game with critic steps that cannot be differentiated through.

    Raises:
        UsageError: one sentence that names the remedy.
    """
    why = f"{named('unroll')} differentiates through the critic's steps, and"
    otherwise = f"or use {named('unroll', 0)}"
    critic = game.critic
    if mixes_samples(critic.net):
        raise UsageError(
            f"{why} the critic has batch norm, whose averages change in every pass: use a critic without it or with "
            f"layer norm, {otherwise}"
        )
    for constraint in critic.constraints:
        # weight norm too: torch's second derivative of it by the weights is wrong (2.13: by a tenth on a small layer)
        if constraint.reparametrises or type(constraint).enforce is not Constraint.enforce:
            raise UsageError(
                f"{why} {constraint.name} changes its weights by steps without exact derivatives: leave it out with "
                f"{named('without', constraint.name)}, {otherwise}"
            )
    for loss in game.losses:
        if loss.state_dict():
            raise UsageError(
                f"{why} {loss.name} has a controller that moves between them: use another loss, {otherwise}"
            )
    if game.rules.accumulate > 1:
        raise UsageError(
            f"{why} each of them needs the whole batch at once: leave {named('accumulate')} out, {otherwise}"
        )
    optimiser = critic.optimiser
    groups = optimiser.param_groups
    if type(optimiser) not in FORMS or len(groups) > 1 or any(groups[0].get(option) for option in VARIANTS):
        raise UsageError(
            f"{why} this {type(optimiser).__name__} has no differentiable form: use {named('optimizer', 'adam')} or "
            f"rmsprop without options of their own, {otherwise}"
        )


def _in_step(critic: Weights) -> Weights:
    """The critic's weights by their names in the `Step` that calls it."""
    return {f"nets.0.{name}": weight for name, weight in critic.items()}


def _root(x: Tensor) -> Tensor:
    """The square root. Where x is 0 the root's gradient is taken as 0, not NaN."""
    flat = x == 0
    return torch.where(flat, 0.0, torch.where(flat, 1.0, x).sqrt())


def _whole_batch(latent: Latent, real: Sample) -> tuple[Latent, Sample]:
    """The rows of all processes."""
    z, x = dist.gathered(latent.z), dist.gathered(real.x)
    own = (latent.y, latent.code, real.y, real.code)
    latent_y, latent_code, real_y, real_code = (None if part is None else dist.gathered(part) for part in own)
    return Latent(z, latent_y, latent_code), Sample(x, real_y, real_code)
