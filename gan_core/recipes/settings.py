"""The options of a run that do not belong to a part. A domain subclasses `Settings` to add its own.

This module imports no torch, because help texts are made from it. The choices are names of entries in other modules'
tables; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from gan_core.errors import UsageError, named
from gan_core.parts.fields import option
from gan_core.schedules import base as schedules
from gan_core.schedules.base import Number, Schedule

OPTIMIZERS = ("adam", "rmsprop")
DECAYS = ("none", "linear", "cosine")
NOISES = ("normal", "uniform")
PRECISIONS = ("fp32", "tf32", "bf16", "auto")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every domain has. Each field's help documents it.

    safe: the settings that may differ when a run is resumed, because they do not change the result of a step.
    of_arch: the options of the network that the setting `arch` names, if the domain has that setting.
    """

    of_arch: Mapping[str, Any] = field(default_factory=dict)

    safe: ClassVar[frozenset[str]] = frozenset(
        ["steps", "max_time", "device", "threads", "log_every", "sample_every", "eval_every", "save_every", "keep"]
    )

    steps: int = option(1000, "generator steps in total, counted from the start of the run", low=1, metavar="STEPS")
    max_time: str = option(
        "", "stop after this time, such as 90s, 5m or 1h30m, and save the run so that it can be resumed", metavar="TIME"
    )
    batch_size: int = option(64, "samples in a batch of the critic", low=1, high=65536, metavar="N")
    accumulate: int = option(
        1, "micro-batches of a step: each batch is processed in N pieces one after the other, which takes less memory",
        low=1, high=65536, metavar="N", section="speed",
    )  # fmt: skip
    generator_batch_multiple: int = option(
        1, "size of the generator's batch as a multiple of `batch_size`", low=1, high=64, metavar="N"
    )
    critic_steps: int = option(5, "critic steps before each generator step", low=1, high=1000, metavar="N")
    unroll: int = option(
        0, "critic steps ahead through which the generator's loss is differentiated (unrolled GAN); 0: none", low=0,
        high=100, metavar="K",
    )  # fmt: skip
    optimizer: str = option("adam", "optimiser of the generator and the critic", choices=OPTIMIZERS)
    generator_lr: float = option(1e-4, "learning rate of the generator", low=0.0, metavar="RATE", varies=True)
    critic_lr: float = option(1e-4, "learning rate of the critic", low=0.0, metavar="RATE", varies=True)
    beta1: float = option(0.5, "Adam's beta1: decay of its average of gradients", low=0.0, high=0.9999, varies=True)
    beta2: float = option(
        0.9, "Adam's beta2: decay of its average of squared gradients", low=0.0, high=0.999999, varies=True
    )
    lr_decay: str = option(
        "none", "schedule by which both learning rates fall from their values to 0 over `decay_steps`", choices=DECAYS
    )
    decay_steps: int = option(
        0, "steps over which the learning rates decay; 0: the `steps` that the run starts with", low=0, metavar="STEPS"
    )
    plateau_patience: int = option(
        0, "halve both learning rates when BEGAN's measure of convergence has not fallen for this many steps; 0: never",
        low=0, metavar="STEPS",
    )  # fmt: skip
    ema: float = option(
        0.0,
        "decay of the running average of the generator's weights; 0: no average",
        low=0.0,
        high=0.999999,
        varies=True,
    )
    classes: int = option(
        0, "number of classes that the labelled data must have; 0: any", low=0, high=32767, metavar="N", section="data"
    )
    labels_per_class: int = option(
        0, "labels to keep in each class, chosen by `seed`, the others are hidden; 0: all", low=0, metavar="N",
        section="data",
    )  # fmt: skip
    labelled_share: float = option(
        0.0,
        "share of each critic batch that is drawn from labelled examples if some have no label; 0: no separate draw",
        low=0.0, high=1.0, metavar="SHARE", section="data",
    )  # fmt: skip
    z_dim: int = option(
        128, "dimensions of the noise that the generator starts from", low=1, high=65536, metavar="N",
        section="networks",
    )  # fmt: skip
    noise: str = option("normal", "distribution of the noise: N(0, 1) or U[-1, 1]", choices=NOISES, section="networks")
    width: int = option(
        64, "width of the networks, in channels", low=1, high=16384, metavar="CHANNELS", section="networks"
    )
    seed: int = option(
        0, "seed from which every random choice of the run derives", low=0, high=2**63 - 1, metavar="SEED"
    )
    device: str = option(
        "auto", "device to train on: cpu, cuda, cuda:1, mps, or auto for the fastest one", metavar="DEVICE",
        section="speed",
    )  # fmt: skip
    precision: str = option(
        "fp32", "arithmetic of the networks; auto: bf16 where the hardware computes in it, else fp32",
        choices=PRECISIONS, section="speed",
    )  # fmt: skip
    compile: bool = option(False, "compile each training step into one graph (torch.compile)", section="speed")
    cuda_graphs: bool = option(
        False, "record the GPU kernels of a training step once and replay them (NVIDIA GPUs only)", section="speed"
    )
    threads: int = option(0, "number of CPU threads; 0: all processors", low=0, high=4096, metavar="N", section="speed")
    log_every: int = option(50, "write the losses every N steps; 0: never", low=0, metavar="N", section="written")
    sample_every: int = option(500, "write samples every N steps; 0: never", low=0, metavar="N", section="written")
    eval_every: int = option(
        0, "score samples every N steps; 0: only at the end", low=0, metavar="N", section="written"
    )
    save_every: int = option(
        500, "write a checkpoint every N steps; 0: only at the end", low=0, metavar="N", section="written"
    )
    keep: int = option(2, "number of newest checkpoints to keep", low=1, metavar="N", section="written")

    def rates(self, role: str) -> dict[str, Number]:
        """The numbers of a player's optimiser by name; `lr_decay` is applied to `lr`.

        Raises:
            UsageError: `lr_decay` is set and the learning rate follows a schedule too.
        """
        lr: Number = getattr(self, f"{role}_lr")
        if self.lr_decay != "none":
            if isinstance(lr, Schedule):
                raise UsageError(
                    f"{named(f'{role}_lr')} follows a schedule of its own: leave {named('lr_decay', self.lr_decay)} out"
                )
            lr = schedules.parse(f"{self.lr_decay}:{lr!r}:0:{self.decay_steps or self.steps}")
        return {"lr": lr, "beta1": self.beta1, "beta2": self.beta2}
