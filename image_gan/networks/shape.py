"""The numbers that every architecture is built from."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers that every architecture is built from.

    Attributes:
        size: pixels a side of an image.
        channels: of an image, 1 or 3; a critic's trunk that is shown labels as planes has as many channels more.
        width: base channels of the critic; what they are the base of, each architecture says. Units a layer of mlp.
        generator_width: base channels of the generator.
        critic_norm: "none", "batch", "layer" or "instance".
        generator_norm: "none", "batch" or "conditional".
        num_classes: how many classes a generator with conditional norm is told apart.
        depth: hidden layers of mlp, convolutions a stage of began; 0: the published number.
    """

    size: int
    channels: int
    width: int
    generator_width: int
    critic_norm: str = "none"
    generator_norm: str = "batch"
    num_classes: int = 0
    depth: int = 0
