"""The options of text runs, and their presets."""

from dataclasses import dataclass

from gan_core.errors import UsageError
from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings
from seqgan_gp.networks import ARCHS, INITS
from seqgan_gp.sources.base import BAD_UTF8
from seqgan_gp.sources.labelled import LABELLED
from seqgan_gp.tokenizers.base import KINDS, MAX_LENGTH, MAX_VOCAB_SIZE


@dataclass(frozen=True, kw_only=True)
class TextSettings(Settings):
    """`Settings`, and what a corpus and the text networks go by."""

    data: str = option(
        "wordnet",
        "sentences: a built-in name, a file, folder or glob of lines or of parquet, several with commas between, - or "
        "hf:ID[@REV][:SPLIT]; hf-stream:ID reads without keeping a copy",
        metavar="DATA",
    )
    tokenizer: str = option("char", "what a symbol is", choices=KINDS)
    vocab_size: int = option(
        2048, "most symbols there may be; rarer characters become unknown", low=3, high=MAX_VOCAB_SIZE
    )
    seq_len: int = option(32, "symbols a line; longer lines are cut", low=1, high=MAX_LENGTH, metavar="SYMBOLS")
    heldout: float = option(
        0.05, "share of the lines that no training batch sees", above=0.0, high=0.9, metavar="SHARE"
    )
    bad_utf8: str = option("error", "what to do with lines that are not UTF-8", choices=BAD_UTF8)
    labels: str = option(
        "auto",
        "where labels are: a first column and a tab, a file a class, nowhere, or found out by looking",
        choices=LABELLED,
    )
    arch: str = option("wgan-gp", "architecture of the generator and the critic", choices=ARCHS)
    depth: int = option(5, "residual blocks of each network", low=0, high=256, metavar="BLOCKS")
    kernel: int = option(5, "width of their convolutions", low=1, high=255, metavar="SYMBOLS")
    res_scale: float = option(0.3, "factor of each block's residual", above=0.0, high=10.0)
    smoothing: float = option(
        0.0, "share of each real one-hot spread over all symbols, so that softmaxes need not saturate; 0 in the paper",
        low=0.0, high=0.9,
    )  # fmt: skip
    init: str = option("paper", "initialisation: the authors' or PyTorch's", choices=INITS)

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise UsageError(f"--kernel {self.kernel} is even, so no convolution could be centred: give an odd number")


# Gulrajani et al. 2017, section 5.4, and the authors' gan_language.py.
PAPER = dict(
    width=512, depth=5, kernel=5, res_scale=0.3, seq_len=32, vocab_size=2048, batch_size=64, z_dim=128, init="paper",
    steps=200_000, log_every=100, sample_every=1000, eval_every=5000, save_every=1000,
)  # fmt: skip
PAPER_ADAM = dict(optimizer="adam", generator_lr=1e-4, critic_lr=1e-4, beta1=0.5, beta2=0.9, critic_steps=10)
TTUR_ADAM = PAPER_ADAM | dict(critic_lr=3e-4, critic_steps=1)

# On one-hot text the absolute error is least for the likeliest symbol alone, and an autoencoder collapses to it; the
# squared error is a proper score of a distribution.
TEXT_BEGAN = {"began.norm": 2}

SMALL_WGAN = dict(
    generator_lr=2e-3, critic_lr=2e-3, beta1=0.5, beta2=0.9, critic_steps=2, generator_batch_multiple=2, smoothing=0.15
)  # fmt: skip

PRESETS = {
    "small": Preset(
        "minutes on two CPU cores",
        dict(
            width=96, depth=2, seq_len=32, vocab_size=64, batch_size=32, steps=7000, ema=0.998, max_time="4m40s",
            precision="auto", log_every=100, sample_every=1000, eval_every=3000, save_every=500,
        ),
        {
            "wgan-gp": SMALL_WGAN,
            "wgan-gp-acgan": SMALL_WGAN | {"acgan.fake_weight": 1.0, "acgan.generator_weight": 1.0},
            "began": TEXT_BEGAN | {"generator_lr": 1e-3, "critic_lr": 1e-3, "began.rate": 0.01},
        },
    ),
    "paper": Preset(
        "the publication's sizes and schedule, days on a GPU",
        PAPER,
        {"wgan-gp": PAPER_ADAM, "wgan-gp-acgan": PAPER_ADAM, "began": TEXT_BEGAN},
    ),
    "ttur": Preset(
        "the same with two learning rates and one critic step (Heusel et al. 2017)",
        PAPER,
        {"wgan-gp": TTUR_ADAM, "wgan-gp-acgan": TTUR_ADAM, "began": TEXT_BEGAN},
    ),
}  # fmt: skip

TEXT = Kind("text", "sentences, or other lines of symbols", TextSettings, PRESETS, recipe="wgan-gp", preset="small")
