"""The plain reference: the published nets and steps the way that popular ports write them, with the penalty right.

Ordinary eager PyTorch in float32: channels first in memory, Conv1d for text, a call of the critic each for reals,
fakes and interpolates, autograd.grad with create_graph, torch's own spectral norm, Adam as it comes, new fakes for
every critic step. `benchmarks.steps` measures against it, and tests/test_benchmarks.py holds it and the toolkit to
the same gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Adam, Optimizer


class TextBlock(nn.Module):
    """x + 0.3 * convolutions(x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.ReLU(), nn.Conv1d(width, width, 5, padding=2), nn.ReLU(), nn.Conv1d(width, width, 5, padding=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.3 * self.residual(x)


class TextGenerator(nn.Module):
    """Noise (B, 128) -> softmax (B, V, L)."""

    def __init__(self, symbols: int, length: int, width: int, depth: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(128, width * length)
        self.blocks = nn.Sequential(*[TextBlock(width) for _ in range(depth)])
        self.symbols = nn.Conv1d(width, symbols, 1)
        self.shape = (width, length)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z).view(-1, *self.shape)
        return torch.softmax(self.symbols(self.blocks(x)), dim=1)


class TextCritic(nn.Module):
    """Text (B, V, L) -> scores (B, 1)."""

    def __init__(self, symbols: int, length: int, width: int, depth: int = 5) -> None:
        super().__init__()
        self.symbols = nn.Conv1d(symbols, width, 1)
        self.blocks = nn.Sequential(*[TextBlock(width) for _ in range(depth)])
        self.score = nn.Linear(width * length, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.blocks(self.symbols(x)).flatten(1))


class ImageBlock(nn.Module):
    """residual(x) + shortcut(x); in the generator the shortcut's 1x1 convolution is on the larger map."""

    def __init__(self, residual: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.residual, self.shortcut = nn.Sequential(*residual), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def image_generator(width: int) -> nn.Module:
    """Noise (B, 128) -> images (B, 3, 32, 32): the ResNet of Gulrajani et al. 2017."""

    def block() -> nn.Module:
        larger = nn.Upsample(scale_factor=2)
        residual = [nn.BatchNorm2d(width), nn.ReLU(), larger, conv(width, width)]
        residual += [nn.BatchNorm2d(width), nn.ReLU(), conv(width, width)]
        return ImageBlock(residual, [larger, conv(width, width, 1)])

    start = [nn.Linear(128, 16 * width), nn.Unflatten(1, (width, 4, 4))]
    return nn.Sequential(
        *start, block(), block(), block(), nn.BatchNorm2d(width), nn.ReLU(), conv(width, 3), nn.Tanh()
    )  # fmt: skip


def image_critic(width: int, sums: bool = False, spectral: bool = False) -> nn.Module:
    """Images (B, 3, 32, 32) -> scores (B, 1): the ResNet of Gulrajani et al. 2017, or of Miyato et al. 2018."""

    def residual(inputs: int, first: list[nn.Module], last: list[nn.Module]) -> list[nn.Module]:
        return [*first, conv(inputs, width), nn.ReLU(), conv(width, width), *last]

    class Pool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((2, 3)) if sums else x.mean((2, 3))

    half = nn.AvgPool2d(2)
    net = nn.Sequential(
        ImageBlock(residual(3, [], [half]), [half, conv(3, width, 1)]),
        ImageBlock(residual(width, [nn.ReLU()], [half]), [conv(width, width, 1), half]),
        ImageBlock(residual(width, [nn.ReLU()], []), []),
        ImageBlock(residual(width, [nn.ReLU()], []), []),
        nn.ReLU(),
        Pool(),
        nn.Linear(width, 1),
    )
    if spectral:
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
    return net


@dataclass
class Plain:
    """A pair of networks that learn from batches of `batch_size`, by the losses of WGAN-GP or those of SNGAN."""

    generator: nn.Module
    critic: nn.Module
    batch_size: int
    g_batch_size: int
    hinge: bool = False
    critic_steps: int = 5
    rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        self.optimisers: dict[str, Optimizer] = {
            "generator": Adam(self.generator.parameters(), self.rate, self.betas),
            "critic": Adam(self.critic.parameters(), self.rate, self.betas),
        }

    def critic_step(self, real: Tensor) -> Tensor:
        """One step of the critic; its loss."""
        with torch.no_grad():
            fake = self.generator(torch.randn(len(real), 128, device=real.device))
        self.optimisers["critic"].zero_grad()
        if self.hinge:
            loss = torch.relu(1 - self.critic(real)).mean() + torch.relu(1 + self.critic(fake)).mean()
        else:
            loss = self.critic(fake).mean() - self.critic(real).mean() + gradient_penalty(self.critic, real, fake)
        loss.backward()
        self.optimisers["critic"].step()
        return loss

    def generator_step(self, device: torch.device) -> Tensor:
        """One step of the generator; its loss."""
        self.optimisers["generator"].zero_grad()
        loss = -self.critic(self.generator(torch.randn(self.g_batch_size, 128, device=device))).mean()
        loss.backward()
        self.optimisers["generator"].step()
        return loss

    def iteration(self, reals: Callable[[], Tensor], device: torch.device) -> None:
        """All critic steps before a generator step, and that step."""
        for _ in range(self.critic_steps):
            self.critic_step(reals())
        self.generator_step(device)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, weight: float = 10.0) -> Tensor:
    """Gulrajani et al. 2017, equation 3: one e a sample, the norm over everything but the batch."""
    e = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    between = (e * real + (1 - e) * fake).requires_grad_(True)
    gradient = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
    return weight * (gradient.flatten(1).norm(2, dim=1) - 1).square().mean()
