"""Messages name an option in the form of the interface in use."""

import pytest

from gan_core.errors import UsageError, as_keyword, named, naming_options
from gan_core.parts.fields import parse
from gan_core.recipes.plan import fields_of, settle
from gan_core.runtime.pool import do_all
from seqgan_gp.settings import TEXT
from seqgan_gp.sources.base import give_lines
from seqgan_gp_cli.flags import flag, key_of, with_flags


def test_an_option_is_written_as_python_or_as_the_command_line_has_it():
    for key, value, keyword, as_flag in (
        ("batch_size", None, "batch_size", "--batch-size"),
        ("batch_size", 3, "batch_size=3", "--batch-size 3"),
        ("gp.weight", 0.0, "gp.weight=0.0", "--gp-weight 0.0"),
        ("data", "", "data=", "--data "),
        ("weight-norm.on", "both", "weight-norm.on=both", "--weight-norm-on both"),
    ):
        with naming_options(as_keyword):
            assert named(key, value) == keyword
        with naming_options(flag):
            assert named(key, value) == as_flag


def test_the_form_is_restored_after_an_error():
    with naming_options(as_keyword):
        with pytest.raises(ZeroDivisionError), naming_options(flag):
            1 / 0  # noqa: B018
        assert named("seed") == "seed"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: settle(TEXT, {"recipe": "wgangp"}), "recipe=wgangp does not exist: did you mean wgan-gp?"),
        (lambda: settle(TEXT, {"batchsize": 3}), "batchsize is no option: did you mean batch_size?"),
        (lambda: settle(TEXT, {"d_lr": 3}), "d_lr is called critic_lr now"),
        (lambda: settle(TEXT, {"qqqq": 3}), "qqqq is no option"),
        (
            lambda: settle(TEXT, {"began.gamma": 0.5}),
            "began.gamma is an option of began, which is not in this run (wasserstein, gp): add it with add=began, or "
            "leave the option out",
        ),
        (
            lambda: parse("steps", fields_of(TEXT)["steps"], "many"),
            "steps='many' is not a whole number from 1",
        ),
    ],
)
def test_a_python_user_reads_keywords(call, sentence):
    with naming_options(as_keyword), pytest.raises(UsageError) as error:
        call()
    assert str(error.value) == sentence


def refuse(item, advance):
    raise UsageError(f"item {item}: {give_lines()}")


def test_the_form_reaches_processes_that_help(monkeypatch):
    monkeypatch.setattr("gan_core.runtime.pool.processors", lambda: 2)
    for writing, data in ((as_keyword, "data=wordnet"), (flag, "--data wordnet")):
        with naming_options(writing), pytest.raises(UsageError, match=f"item 1: .* the built-in {data}"):
            do_all(refuse, [1, 2], lambda amount: None)


def test_a_key_of_any_form_is_one_setting():
    assert {key_of(name) for name in ("--critic-lr", "critic-lr", "critic_lr")} == {"critic_lr"}


def test_help_writes_the_options_that_exist_as_flags():
    text = with_flags("0: `width`; see `doctor` or `gp.weight`", {"width", "gp.weight"}.__contains__)
    assert text == "0: --width; see `doctor` or --gp-weight"
