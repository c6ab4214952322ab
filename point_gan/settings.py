"""The options of runs on points, and their presets."""

from dataclasses import dataclass

from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings

INITS = ("he", "torch")


@dataclass(frozen=True, kw_only=True)
class PointSettings(Settings):
    """`Settings`, and what points and their networks go by."""

    data: str = option(
        "8gaussians",
        "points to train on: the built-in 8gaussians, 25gaussians, swiss-roll or moons; a .npy file of an array (N, 2) "
        "or a .csv file of two columns",
        metavar="DATA", section="data",
    )  # fmt: skip
    points: int = option(
        50_000, "number of training points to draw from built-in data", low=100, high=10_000_000, metavar="N",
        section="data",
    )  # fmt: skip
    heldout: float = option(
        0.1, "share of the points that is held out from training, for scoring", above=0.0, high=0.9, metavar="SHARE",
        section="data",
    )  # fmt: skip
    width: int = option(
        64, "hidden units of each layer of both networks", low=1, high=16384, metavar="UNITS", section="networks"
    )
    depth: int = option(
        3, "number of hidden layers of each network", low=1, high=256, metavar="LAYERS", section="networks"
    )
    init: str = option(
        "he", "initial weights of the networks: He's (he) or PyTorch's defaults (torch)", choices=INITS,
        section="networks",
    )  # fmt: skip
    eval_num: int = option(
        2_500, "number of samples that an evaluation draws", low=100, high=100_000, metavar="N", section="written"
    )
    animate: bool = option(True, "write samples/progress.gif, an animation of the samples", section="written")


# Gulrajani et al. 2017, the authors' gan_toy.py: 512 wide, 3 hidden layers, lambda 0.1, noise of 2 dimensions.
TOY = {"z_dim": 2, "batch_size": 256, "gp.weight": 0.1, "lp.weight": 0.1}

PRESETS = {
    "small": Preset(
        "a minute on two CPU cores",
        dict(
            width=128, depth=3, steps=1_000, lr_decay="linear", max_time="50s", log_every=100, sample_every=100,
            save_every=500,
            precision="fp32", threads=1, **TOY,
        ),
        {
            "wgan-gp": dict(generator_lr=1e-3, critic_lr=1e-3, critic_steps=5, beta1=0.5, beta2=0.9),
            "wgan-lp": dict(generator_lr=1e-3, critic_lr=1e-3, critic_steps=5, beta1=0.5, beta2=0.9),
            "unrolled": dict(generator_lr=1e-3, critic_lr=1e-3),
        },
    ),
    "paper": Preset(
        "the sizes of WGAN-GP's toy experiments, an hour on two CPU cores",
        dict(width=512, depth=3, steps=100_000, log_every=100, sample_every=1_000, save_every=10_000, **TOY),
        {
            "wgan-gp": dict(generator_lr=1e-4, critic_lr=1e-4, critic_steps=5, beta1=0.5, beta2=0.9),
            "wgan-lp": dict(generator_lr=1e-4, critic_lr=1e-4, critic_steps=5, beta1=0.5, beta2=0.9),
            # Metz et al. 2017, appendix A; the critic there has one hidden layer.
            "unrolled": dict(width=128, depth=2, z_dim=256, batch_size=512, steps=25_000),
        },
    ),
}  # fmt: skip

POINTS = Kind("points", "points in the plane", PointSettings, PRESETS, recipe="wgan-gp", preset="small")
