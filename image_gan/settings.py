"""The options of image runs, and their presets."""

from dataclasses import dataclass
from typing import ClassVar

from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings
from image_gan.networks import ARCHS, INITS, Shape, check
from image_gan.sources.base import BAD_IMAGES
from image_gan.sources.decode import RESIZES

CRITIC_NORMS = ("none", "batch", "layer", "instance")
LARGEST = 1024  # pixels a side that networks are made for
GENERATOR_NORMS = ("none", "batch", "conditional")


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """`Settings`, and what image data and networks go by."""

    safe: ClassVar[frozenset[str]] = Settings.safe | {"animate", "backbone", "eval_num"}

    data: str = option(
        "fashion-mnist",
        "images: a built-in name, idx or CIFAR files, a folder, .zip or .npz of images, or hf:ID[@REV][:SPLIT]",
        metavar="DATA",
    )
    size: int = option(
        0, "pixels a side, after a centre crop; 0 for the data's own", low=0, high=LARGEST, metavar="PIXELS"
    )
    channels: int = option(0, "1 for grey, 3 for colour, 0 for the data's own", low=0, high=3)
    resize: str = option("bicubic", "antialiased filter that images are resized by", choices=RESIZES)
    mirror: bool = option(False, "show every training image mirrored half of the time")
    dequantise: bool = option(False, "add noise within a grey level to real images, so that none lies on a lattice")
    bad_images: str = option("error", "what to do with images that cannot be read", choices=BAD_IMAGES)
    max_pixels: int = option(50_000_000, "refuse images with more pixels than this", low=1, metavar="PIXELS")
    heldout: float = option(
        0.05, "share of the images held out where the data has no test set", above=0.0, high=0.9, metavar="SHARE"
    )
    arch: str = option("dcgan", "architecture of both networks", choices=tuple(ARCHS))
    generator_width: int = option(
        0, "base channels of the generator, 0 for --width", low=0, high=16384, metavar="CHANNELS"
    )
    depth: int = option(0, "hidden layers of mlp, convolutions a stage of began; 0 for the published", low=0, high=256)
    critic_norm: str = option("none", "normalisation of the critic", choices=CRITIC_NORMS)
    generator_norm: str = option(
        "batch",
        "normalisation of the generator; conditional: batch, with a scale and a shift a class",
        choices=GENERATOR_NORMS,
    )
    pool: str = option("mean", "how the resnet's critic ends, over the pixels", choices=("mean", "sum"))
    skip: bool = option(False, "began: show the decoders' first map to every stage")
    init: str = option("normal", "initial weights: DCGAN's, WGAN-GP's, SNGAN's or PyTorch's", choices=tuple(INITS))
    backbone: str = option(
        "auto",
        "features that images are scored by: classifier, rotation, efficientnet-lite0, inception[:FILE] or MODULE:NAME",
        metavar="NAME",
    )
    eval_num: int = option(0, "samples an evaluation draws, 0 for as many as test images, at most 10,000", low=0)

    animate: bool = option(False, "keep samples/progress.gif, an animation of the sample grids")

    def shape(self, size: int, channels: int, num_classes: int = 0) -> Shape:
        """The numbers of the networks for images of this size; `num_classes`: of the labels a generator is told.

        Raises:
            UsageError: the architecture cannot take them.
        """
        shape = Shape(
            size=size, channels=channels, width=self.width, generator_width=self.generator_width or self.width,
            critic_norm=self.critic_norm, generator_norm=self.generator_norm, pool=self.pool, depth=self.depth,
            skip=self.skip, num_classes=num_classes,
        )  # fmt: skip
        check(self.arch, shape)
        return shape


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
    RESNET, pool="mean", init="he", dequantise=True, generator_lr=2e-4, critic_lr=2e-4, beta1=0.0, beta2=0.9,
    critic_steps=5, lr_decay="linear", decay_steps=100_000,
)  # fmt: skip
SNGAN = RESNET | dict(generator_width=256, pool="sum", init="xavier", lr_decay="linear", decay_steps=100_000)
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
    "began": dict(
        COLOUR, arch="began", size=64, width=128, z_dim=64, batch_size=16, generator_norm="none", init="torch",
        lr_decay="stall",
    ),
    "ebgan": DCGAN | dict(batch_size=64),
    "r3gan": RESNET | dict(generator_batch_multiple=1, pool="mean", generator_norm="none", init="he"),
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
    "unrolled": dict(
        arch="mlp", width=256, generator_norm="none", init="torch", generator_lr=2e-4, critic_lr=2e-4
    ),
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

IMAGE = Kind("image", "images", ImageSettings, PRESETS, recipe="sngan", preset="small")
