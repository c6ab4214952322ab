"""The options of text runs, and their presets."""

from dataclasses import dataclass

from gan_core.errors import UsageError, named
from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings
from seqgan_gp.choices import BAD_UTF8, INITS, LABELLED, MAX_LENGTH, MAX_VOCAB_SIZE, TOKENIZERS


@dataclass(frozen=True, kw_only=True)
class TextSettings(Settings):
    """`Settings`, and those of a corpus and of the text networks."""

    data: str = option(
        "wordnet",
        "lines to train on: the built-in wordnet; a file, folder or glob of lines (plain or .gz) or parquet, several "
        "with commas between; - for standard input; hf:ID[@REV][:SPLIT] from the Hugging Face hub, or hf-stream:ID to "
        "read it without keeping a copy",
        metavar="DATA", section="data",
    )  # fmt: skip
    tokenizer: str = option(
        "char", "what a symbol is: a byte, a code point (char), or a piece of a word (bpe, unigram)",
        choices=TOKENIZERS, section="data",
    )  # fmt: skip
    vocab_size: int = option(
        2048, "largest number of different symbols; the rarest characters beyond it become one unknown symbol", low=3,
        high=MAX_VOCAB_SIZE, section="data",
    )  # fmt: skip
    seq_len: int = option(
        32, "symbols of a line: longer lines are cut, shorter ones padded", low=1, high=MAX_LENGTH, metavar="SYMBOLS",
        section="data",
    )  # fmt: skip
    heldout: float = option(
        0.05, "share of the lines that is held out from training, for scoring", above=0.0, high=0.9, metavar="SHARE",
        section="data",
    )  # fmt: skip
    bad_utf8: str = option(
        "error", "what to do with a line that is not UTF-8: stop, mark its bad bytes, or skip it", choices=BAD_UTF8,
        section="data",
    )  # fmt: skip
    labels: str = option(
        "auto",
        "where the labels of lines are: before a tab at the start of each line (tab), in the names of the files, one a "
        "class (file), or nowhere (none); auto finds out",
        choices=LABELLED, section="data",
    )  # fmt: skip
    width: int = option(
        64, "channels of the residual blocks of both networks", low=1, high=16384, metavar="CHANNELS",
        section="networks",
    )  # fmt: skip
    depth: int = option(
        5, "number of residual blocks of each network", low=0, high=256, metavar="BLOCKS", section="networks"
    )
    kernel: int = option(
        5, "kernel width of the residual blocks' convolutions, an odd number", low=1, high=255, metavar="SYMBOLS",
        section="networks",
    )  # fmt: skip
    res_scale: float = option(
        0.3, "factor of the residual that a residual block adds to its input", above=0.0, high=10.0, section="networks"
    )
    smoothing: float = option(
        0.0,
        "share of each real one-hot vector that is spread evenly over all symbols, which keeps the generator's softmax "
        "from saturating; the paper has 0",
        low=0.0, high=0.9, varies=True,
    )  # fmt: skip
    init: str = option(
        "paper", "initial weights of the networks: as in the paper's code or PyTorch's defaults", choices=INITS,
        section="networks",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise UsageError(
                f"{named('kernel', self.kernel)} is even, so no convolution could be centred: give an odd number"
            )


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
