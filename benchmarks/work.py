"""What steps cost at best, counted from the networks themselves: floating-point operations and numbers moved.

A product of matrices (a convolution is one) reads its operands and writes its result once; whatever lies between two
of them is taken to cost nothing, as a compiler may fuse it. Where the toolkit has a convolution and a mean, or a
doubling, as one convolution, it counts as that one; where a compiled step makes one of fewer products
(gan_core.ops.winograd), it counts as if it did not. Backward passes are counted by what they are at best:

- a critic step: one forward pass of the generator for the fakes; two of the critic, for reals and fakes, and four
  backward (by the inputs and by the weights); for each gradient penalty one forward, one backward by the input, and two
  more for the gradient of that;
- a generator step: forward and two backward of the generator, forward and one backward of the critic;
- Adam reads the weight, its gradient and two moments, and writes three of these: 28 bytes a weight.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gan_core.game.game import Game

ADAM_BYTES = 28


@dataclass(frozen=True)
class Work:
    """Floating-point operations; numbers read and written by products of matrices; weights moved by the optimiser."""

    flops: float = 0.0
    moved: float = 0.0
    learned: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.moved + other.moved, self.learned + other.learned)

    def times(self, factor: float) -> "Work":
        """So many times this."""
        return Work(factor * self.flops, factor * self.moved, factor * self.learned)

    def bytes(self, width: int = 4) -> float:
        """Bytes read and written, the operands of products `width` bytes each."""
        return width * self.moved + ADAM_BYTES * self.learned


@dataclass(frozen=True)
class Cost:
    """The work of a run's steps."""

    critic_step: Work
    generator_step: Work
    iteration: Work


class Products(TorchDispatchMode):
    """Adds up the work of products of matrices that run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            moved = sum(value.numel() for value in tree_leaves((args, out)) if isinstance(value, torch.Tensor))
            self.work += Work(count(*args, **(kwargs or {}), out_val=out), moved)
        return out


def forward(net: nn.Module, *inputs: Any) -> Work:
    """The work of a forward pass. Nothing is computed: it runs on the device `meta`."""
    with torch.no_grad(), Products() as products:
        copy.deepcopy(net).to("meta")(*inputs)
    return products.work


def cost_of(setting: Any, game: Game | None = None) -> Cost:
    """The work of the steps of a `benchmarks.steps.Setting`."""
    game = game or setting.game(compile=False)
    settings, real = setting.settings, setting.real

    def passes(batch: int) -> tuple[Work, Work]:
        latent = game.prior.draw(batch, setting.device).to(torch.device("meta"))
        x = torch.empty(batch, *real.x.shape[1:], device="meta")
        y = None if real.y is None else torch.empty(batch, dtype=torch.int64, device="meta")
        return forward(game.generator.net, latent), forward(game.critic.net, x, y)

    adam = [Work(learned=sum(p.numel() for p in player.net.parameters())) for player in (game.generator, game.critic)]
    generator, critic = passes(settings.batch_size)
    slopes = sum(4 / penalty.every for penalty in game.penalties)
    critic_step = generator + critic.times(6 + slopes) + adam[1]
    generator, critic = passes(setting.for_generator)
    generator_step = generator.times(3) + critic.times(2) + adam[0]
    return Cost(critic_step, generator_step, critic_step.times(settings.critic_steps) + generator_step)
