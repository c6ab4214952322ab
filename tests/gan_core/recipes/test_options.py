"""How numbers are settled, and that each bad value is one sentence naming its option."""

import pytest

from gan_core.errors import UsageError
from gan_core.parts.fields import parse
from gan_core.recipes.plan import fields_of, settle
from gan_core.text import plain
from image_gan.settings import IMAGE
from seqgan_gp.settings import TEXT
from seqgan_gp_cli.flags import flag
from seqgan_gp_cli.options import read_file, seconds


def test_later_sources_win():
    default = settle(TEXT, {})
    assert (default.recipe, default.preset, default.parts) == ("wgan-gp", "small", ("wasserstein", "gp"))
    assert default.numbers["critic_lr"] == TEXT.presets["small"].tuned["wgan-gp"]["critic_lr"]  # tuned beats the recipe
    clipped = settle(TEXT, {"recipe": "wgan"}).numbers
    assert (clipped["optimizer"], clipped["critic_lr"], clipped["clip.bound"]) == (
        "rmsprop",
        5e-5,
        0.01,
    )  # the recipe's
    assert clipped["width"] == default.numbers["width"]  # sizes stay the preset's
    assert settle(TEXT, {"critic_lr": 0.5}).numbers["critic_lr"] == 0.5  # what is given beats all
    paper = settle(TEXT, {"preset": "paper"}).numbers
    assert [paper[k] for k in ("width", "depth", "seq_len", "batch_size", "critic_steps", "steps", "critic_lr")] == [
        512, 5, 32, 64, 10, 200_000, 1e-4
    ]  # fmt: skip
    assert (paper["beta1"], paper["beta2"], paper["gp.weight"], paper["ema"], paper["z_dim"]) == (0.5, 0.9, 10, 0, 128)
    ttur = settle(TEXT, {"preset": "ttur"}).numbers
    assert (ttur["critic_lr"], ttur["generator_lr"], ttur["critic_steps"]) == (3e-4, 1e-4, 1)
    assert {k for k in paper if paper[k] != ttur[k]} == {"critic_lr", "critic_steps"}


def test_parts_are_added_and_left_out():
    plan = settle(TEXT, {"recipe": "wgan-gp", "without": ["gp"], "add": ["clip", "r1"], "r1.weight": 2.0})
    assert plan.parts == ("wasserstein", "clip", "r1")
    assert plan.numbers["r1.weight"] == 2.0 and "gp.weight" not in plan.numbers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "nope"}, "--recipe nope does not exist"),
        ({"preset": "huge"}, "--preset huge does not exist"),
        ({"add": ["nope"]}, "no part called 'nope'"),
        ({"add": ["gp"]}, "--add gp"),
        ({"without": ["clip"]}, "--without clip: it is not in this run, which has wasserstein, gp"),
        ({"began.gamma": 0.5}, r"--began-gamma is an option of began, which is not in this run \(wasserstein, gp\)"),
    ],
)
def test_misuse_is_one_sentence(given, message):
    with pytest.raises(UsageError, match=message) as error:
        settle(TEXT, given)
    assert "\n" not in str(error.value)


BAD = [
    ("seq_len", "0"), ("seq_len", "5000"), ("seq_len", "3.5"), ("vocab_size", "2"), ("vocab_size", "70000"),
    ("generator_lr", "nan"), ("generator_lr", "inf"), ("critic_lr", "-1"), ("gp.weight", "nan"), ("gp.weight", "-inf"),
    ("began.gamma", "0"),
    ("steps", "0"), ("steps", "many"), ("batch_size", "0"), ("ema", "1"), ("tokenizer", "words"), ("seed", "-1"),
    ("precision", "fp8"), ("spectral.on", "nobody"), ("width", "1e3"), ("heldout", "0"), ("heldout", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "raw"), BAD)
def test_bad_values_name_their_option(key, raw):
    with pytest.raises(UsageError) as error:
        parse(key, fields_of(TEXT)[key], raw)
    assert str(error.value).startswith(flag(key) + " ") and "\n" not in str(error.value)


def test_every_default_is_within_its_own_limits():
    for key, option in fields_of(TEXT).items():
        assert parse(key, option, option.default) == option.default


def test_files(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'recipe = "wgan-gp"\nadd = ["r1"]\ngenerator-lr = 3e-4\nseq_len = 16\ncompile = true\n[gp]\nweight = 5\n'
    )
    given = read_file(TEXT, path)
    assert given == {
        "recipe": "wgan-gp",
        "add": ["r1"],
        "generator_lr": 3e-4,
        "seq_len": 16,
        "compile": True,
        "gp.weight": 5.0,
    }
    for text in ("generator-lr = ", "learning = 1", "generator-lr = 'x'", "[gp]\nheight = 1", "compile = 3"):
        path.write_text(text)
        with pytest.raises(UsageError):
            read_file(TEXT, path)
    with pytest.raises(UsageError, match="--config"):
        read_file(TEXT, tmp_path / "missing.toml")


def test_times():
    assert [seconds(t) for t in ("90s", "5m", "1.5h", "2d", "10", "4m15s")] == [90, 300, 5400, 172800, 10, 255]
    assert seconds("") == float("inf")
    for text in ("soon", "-5m", "0s", "nan", "infm", "m", "5 m", "5m3", "9" * 400 + "d"):
        with pytest.raises(UsageError, match="--max-time"):
            seconds(text)


def test_printed_text_has_no_control_characters():
    assert plain("a\x1b[31mred\x07\r\x00\tb") == "a[31mred b"
    assert plain("שלום 안녕 🎉") == "שלום 안녕 🎉"


def test_the_length_of_a_schedule_is_settled_when_a_run_begins():
    assert settle(TEXT, {"steps": 7}).numbers["decay_steps"] == 7
    assert settle(TEXT, {"steps": 7, "decay_steps": 9}).numbers["decay_steps"] == 9
    assert settle(IMAGE, {"recipe": "sgan", "steps": 7}).numbers["decay_steps"] == 2500
