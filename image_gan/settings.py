"""The options of image runs, and their presets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings
from image_gan.choices import ARCHS, BAD_IMAGES, CRITIC_NORMS, GENERATOR_NORMS, INITS, LARGEST, RESIZES

if TYPE_CHECKING:
    from image_gan.networks.base import Architecture
    from image_gan.networks.shape import Shape


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """`Settings`, and those of image data and of the image networks."""

    safe: ClassVar[frozenset[str]] = Settings.safe | {"animate", "backbone", "eval_num"}

    data: str = option(
        "fashion-mnist",
        "images to train on: the built-in fashion-mnist; idx or CIFAR files; a folder, .zip or .npz of images; "
        "hf:ID[@REV][:SPLIT] from the Hugging Face hub",
        metavar="DATA", section="data",
    )  # fmt: skip
    size: int = option(
        0, "pixels a side of the training images, which are centre-cropped and resized; 0: the data's own size", low=0,
        high=LARGEST, metavar="PIXELS", section="data",
    )  # fmt: skip
    channels: int = option(
        0, "channels of the training images: 1 grey, 3 colour, 0 the data's own", low=0, high=3, section="data"
    )
    resize: str = option("bicubic", "antialiased filter that resizes images", choices=RESIZES, section="data")
    mirror: bool = option(False, "mirror each training image with probability 1/2", section="data")
    dequantise: bool = option(False, "add uniform noise of one grey level to real images", section="data")
    bad_images: str = option(
        "error", "what to do with an image that cannot be read: stop or skip it", choices=BAD_IMAGES, section="data"
    )
    max_pixels: int = option(
        50_000_000, "largest number of pixels of an image file; larger ones are refused", low=1, metavar="PIXELS",
        section="data",
    )  # fmt: skip
    heldout: float = option(
        0.05, "share of the images that is held out for scoring if the data has no test set", above=0.0, high=0.9,
        metavar="SHARE", section="data",
    )  # fmt: skip
    width: int = option(
        64, "base channels of both networks: those of the narrowest layer (dcgan, sn-cnn, began), of every layer "
        "(resnet), or the hidden units (mlp)", low=1, high=16384, metavar="CHANNELS", section="networks",
    )  # fmt: skip
    arch: str = option("dcgan", "architecture of both networks", choices=ARCHS, section="networks")
    generator_width: int = option(
        0, "base channels of the generator alone; 0: `width`", low=0, high=16384, metavar="CHANNELS", section="networks"
    )
    depth: int = option(
        0, "hidden layers (mlp) or convolutions of a stage (began); 0: the published number", low=0, high=256,
        section="networks",
    )  # fmt: skip
    critic_norm: str = option("none", "normalisation layers of the critic", choices=CRITIC_NORMS, section="networks")
    generator_norm: str = option(
        "batch", "normalisation layers of the generator; conditional: batch norm with a scale and a shift per class",
        choices=GENERATOR_NORMS, section="networks",
    )  # fmt: skip
    init: str = option(
        "normal", "initial weights of the networks: DCGAN's (normal), WGAN-GP's (he), SNGAN's (xavier) or PyTorch's "
        "(torch)", choices=INITS, section="networks",
    )  # fmt: skip
    backbone: str = option(
        "auto",
        "network whose features images are scored by: classifier, rotation, efficientnet-lite0, inception[:FILE] or "
        "your own MODULE:NAME; auto: classifier if the data has labels, else rotation",
        metavar="NAME", section="written",
    )  # fmt: skip
    eval_num: int = option(
        0, "number of samples that an evaluation draws; 0: as many as there are test images, at most 10,000", low=0,
        metavar="N", section="written",
    )  # fmt: skip
    animate: bool = option(False, "write samples/progress.gif, an animation of the sample grids", section="written")

    def shape(self, size: int, channels: int, num_classes: int = 0) -> "Shape":
        """The sizes of the networks for images of this size; `num_classes`: of the labels a generator is given.

        Raises:
            UsageError: the architecture cannot take them.
        """
        from image_gan.networks import ARCHS, Shape  # imports torch, which help must not wait for

        shape = Shape(
            size=size, channels=channels, width=self.width, generator_width=self.generator_width or self.width,
            critic_norm=self.critic_norm, generator_norm=self.generator_norm, depth=self.depth, num_classes=num_classes,
        )  # fmt: skip
        ARCHS[self.arch].check(shape)
        return shape

    def architecture(self) -> "Architecture":
        """The networks that `arch` names, with their options."""
        from image_gan.networks import ARCHS

        return ARCHS[self.arch](**self.of_arch)


# The published sizes and schedules; RECIPES' sources stand in gan_core/recipes/published.py.
COLOUR = dict(channels=3)
MLP = dict(
    COLOUR, arch="mlp", size=64, width=512, z_dim=128, batch_size=64, generator_norm="none", init="torch"
)  # fmt: skip
DCGAN = dict(
    COLOUR, arch="dcgan", size=64, width=128, z_dim=100, batch_size=128, critic_norm="batch", init="normal"
)  # fmt: skip
RESNET = dict(
    COLOUR, arch="resnet", size=32, width=128, z_dim=128, batch_size=64, generator_batch_multiple=2, steps=100_000
)
WGAN_GP = dict(
    RESNET, init="he", dequantise=True, generator_lr=2e-4, critic_lr=2e-4, beta1=0.0, beta2=0.9,
    critic_steps=5, lr_decay="linear", decay_steps=100_000,
) | {"resnet.pool": "mean"}  # fmt: skip
SNGAN = RESNET | dict(generator_width=256, init="xavier", lr_decay="linear", decay_steps=100_000)
SNGAN |= {"resnet.pool": "sum"}
# The DCGANs of the labelled recipes have the sizes of their papers' tables, not the kernels, dropout and hidden layers.
DCGAN_32 = DCGAN | dict(size=32, batch_size=100)
PUBLISHED = {
    "gan": MLP,
    # The sizes of the paper's CIFAR-10 networks, but with kernels of 4x4 and a critic without batch norm.
    "unrolled": DCGAN | dict(size=32, width=64, generator_width=128, z_dim=256, critic_norm="none"),
    "gan-minimax": MLP,
    "dcgan": DCGAN,
    "lsgan": DCGAN,
    "wgan": DCGAN | dict(batch_size=64),
    "wgan-gp": WGAN_GP,
    "wgan-lp": WGAN_GP,
    "dragan": DCGAN | dict(batch_size=64, critic_norm="none"),
    "sngan": SNGAN,
    "began": {
        **dict(COLOUR, arch="began", size=64, width=128, z_dim=64, batch_size=16, generator_norm="none", init="torch"),
        **{"plateau_patience": 2000, "began.residual_steps": 16_000},
    },
    "ebgan": DCGAN | dict(batch_size=64),
    "r3gan": RESNET | dict(generator_batch_multiple=1, generator_norm="none", init="he") | {"resnet.pool": "mean"},
    "cgan": DCGAN,
    "acgan": DCGAN_32 | dict(width=96, z_dim=110, critic_norm="none"),  # its generator's 384-192-96
    "wgan-gp-acgan": WGAN_GP | dict(generator_norm="conditional"),
    "projection": SNGAN | dict(generator_norm="conditional"),
    "sgan": DCGAN_32,  # its generator's 512-256-128
    "catgan": DCGAN_32 | dict(z_dim=128),
    "infogan": DCGAN | dict(size=28, channels=1, width=64, z_dim=62),  # 128-64 in the generator, 64-128 in the critic
}  # fmt: skip

# What two CPU cores can do in minutes: the same code with smaller numbers.
SMALL = {
    "gan": dict(arch="mlp", width=256, generator_norm="none", init="torch"),
    "unrolled": dict(arch="mlp", width=256, generator_norm="none", init="torch", generator_lr=2e-4, critic_lr=2e-4),
    "gan-minimax": dict(arch="mlp", width=256, generator_norm="none", init="torch"),
    "dcgan": dict(critic_norm="batch"),
    "lsgan": dict(critic_norm="batch"),
    "wgan": dict(critic_norm="batch", generator_lr=2e-4, critic_lr=2e-4),
    "wgan-gp": dict(generator_lr=1e-3, critic_lr=1e-3, critic_steps=1, init="xavier"),
    "wgan-lp": dict(generator_lr=1e-3, critic_lr=1e-3, critic_steps=1, init="xavier"),
    "sngan": dict(generator_lr=2e-3, critic_lr=2e-3, critic_steps=1),
    "began": dict(
        arch="began", width=16, z_dim=32, generator_norm="none", init="torch", generator_lr=5e-4, critic_lr=5e-4
    ),
    "ebgan": dict(critic_norm="batch", generator_lr=5e-4, critic_lr=5e-4),
    "r3gan": dict(generator_norm="none", init="he"),
    "cgan": dict(critic_norm="batch", generator_lr=1e-3, critic_lr=1e-3),
    "acgan": dict(critic_norm="batch", generator_lr=1e-3, critic_lr=1e-3),
    "wgan-gp-acgan": {
        **dict(generator_lr=1e-3, critic_lr=1e-3, critic_steps=1, init="xavier"),
        "acgan.generator_weight": 1.0,
    },
    "projection": dict(generator_norm="conditional", generator_lr=2e-3, critic_lr=2e-3, critic_steps=1),
    "sgan": dict(critic_norm="batch", steps=2500, lr_decay="linear", decay_steps=2500),
    "catgan": dict(critic_norm="layer", steps=2000, lr_decay="linear", decay_steps=2000),
    "infogan": dict(critic_norm="batch", z_dim=62),
}

PRESETS = {
    "small": Preset(
        "minutes on two CPU cores",
        dict(
            width=32, z_dim=64, batch_size=64, steps=5000, ema=0.995, max_time="4m15s", init="normal", log_every=100,
            sample_every=500, eval_every=1000, save_every=500,
        ),
        SMALL,
    ),
    "paper": Preset(
        "the publication's sizes and schedule, hours to days on a GPU",
        dict(steps=200_000, log_every=100, sample_every=1000, eval_every=10_000, save_every=1000),
        PUBLISHED,
    ),
}  # fmt: skip

IMAGE = Kind("image", "images", ImageSettings, PRESETS, recipe="sngan", preset="small", networks="image_gan.networks")
