"""The numbers and choices of a run that are not options of a part. Each is a command-line option.

A domain adds its own by subclassing `Settings`.
"""

from dataclasses import dataclass
from typing import ClassVar

from gan_core.game.prior import NOISES
from gan_core.game.schedule import DECAYS, OPTIMIZERS
from gan_core.parts.fields import option
from gan_core.runtime.engine import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the game and the loop go by; see each field's help.

    safe: the names of those that may differ when a run is resumed, as they never change what a step computes.
    """

    safe: ClassVar[frozenset[str]] = frozenset(
        ["steps", "max_time", "device", "threads", "log_every", "sample_every", "eval_every", "save_every", "keep"]
    )

    steps: int = option(1000, "generator steps in total, counted from the start of the run", low=1, metavar="STEPS")
    max_time: str = option("", "stop after this long, saved and resumable, such as 90s, 5m or 1h30m", metavar="TIME")
    batch_size: int = option(64, "samples a batch", low=1, high=65536, metavar="N")
    accumulate: int = option(
        1, "take a batch in N parts, one after the other, and make one step of them, where memory holds no more", low=1,
        high=65536, metavar="N",
    )  # fmt: skip
    generator_batch_multiple: int = option(
        1, "the generator's batch, in batches of the critic", low=1, high=64, metavar="N"
    )
    critic_steps: int = option(5, "critic steps before each generator step", low=1, high=1000, metavar="N")
    unroll: int = option(
        0, "critic steps that the generator's loss looks ahead through; 0: none", low=0, high=100, metavar="K"
    )
    optimizer: str = option("adam", "the optimiser of both networks", choices=tuple(OPTIMIZERS))
    generator_lr: float = option(1e-4, "learning rate of the generator", low=0.0, metavar="RATE")
    critic_lr: float = option(1e-4, "learning rate of the critic", low=0.0, metavar="RATE")
    beta1: float = option(0.5, "Adam's first beta", low=0.0, high=0.9999)
    beta2: float = option(0.9, "Adam's second beta", low=0.0, high=0.999999)
    lr_decay: str = option(
        "none", "how the learning rates fall to 0 over --decay-steps; stall: they halve when convergence stalls",
        choices=tuple(DECAYS),
    )  # fmt: skip
    decay_steps: int = option(
        0, "steps in which they do, 0 for the --steps that the run begins with", low=0, metavar="STEPS"
    )  # fmt: skip
    lr_patience: int = option(2000, "steps in which a stalled measure of convergence must fall", low=1, metavar="STEPS")
    ema: float = option(0.0, "decay of the generator's running average, 0 for none", low=0.0, high=0.999999)
    classes: int = option(0, "classes that labelled data must have, 0 for any number", low=0, high=32767, metavar="N")
    labels_per_class: int = option(
        0, "labels kept of each class, chosen by --seed, the others hidden; 0 for all", low=0, metavar="N"
    )  # fmt: skip
    labelled_share: float = option(
        0.0, "share of each batch taken from the examples that show a label, where some do not; 0 for as they come",
        low=0.0, high=1.0, metavar="SHARE",
    )  # fmt: skip
    z_dim: int = option(128, "dimensions of the noise", low=1, high=65536, metavar="N")
    noise: str = option("normal", "its distribution: N(0, 1) or U[-1, 1]", choices=NOISES)
    width: int = option(64, "channels of the widest layer of each network", low=1, high=16384, metavar="CHANNELS")
    seed: int = option(0, "every random choice derives from it", low=0, high=2**63 - 1, metavar="SEED")
    device: str = option("auto", "cpu, cuda, cuda:1, mps, or auto", metavar="DEVICE")
    precision: str = option("fp32", "arithmetic of the networks", choices=PRECISIONS)
    compile: bool = option(False, "compile each step into one graph (torch.compile)")
    cuda_graphs: bool = option(False, "record a step's kernels and replay them as one, on an NVIDIA GPU")
    threads: int = option(0, "CPU threads, 0 for as many as there are processors", low=0, high=4096, metavar="N")
    log_every: int = option(50, "write the losses every N steps, 0 for never", low=0, metavar="STEPS")
    sample_every: int = option(500, "write samples every N steps, 0 for never", low=0, metavar="STEPS")
    eval_every: int = option(0, "score the samples every N steps, 0 for only at the end", low=0, metavar="STEPS")
    save_every: int = option(500, "write a checkpoint every N steps, 0 for only at the end", low=0, metavar="STEPS")
    keep: int = option(2, "checkpoints kept, the newest", low=1, metavar="N")
