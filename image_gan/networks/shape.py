"""What every architecture goes by."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers from which an architecture makes its networks.

    Attributes:
        size: pixels a side.
        channels: of an image, 1 or 3; of what a critic's trunk sees, with the planes of labels behind them.
        width: base channels of the critic, as each architecture says; units of a layer for the mlp.
        generator_width: base channels of the generator, likewise.
        critic_norm: "none", "batch", "layer" or "instance".
        generator_norm: "none", "batch" or "conditional".
        num_classes: of the labels that a generator with conditional norm is told.
        pool: how the resnet's critic ends, "mean" or "sum" over the pixels.
        depth: hidden layers of the mlp, convolutions a stage of BEGAN; 0 for the published number.
        skip: whether BEGAN's decoders show their first map to every stage.
    """

    size: int
    channels: int
    width: int
    generator_width: int
    critic_norm: str = "none"
    generator_norm: str = "batch"
    num_classes: int = 0
    pool: str = "mean"
    depth: int = 0
    skip: bool = False
