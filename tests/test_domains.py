"""The registry of the command line's domains: the two orders, and who answers for a path."""

from pathlib import Path

import pytest

from seqgan_gp_cli.domains import DOMAINS, in_list, in_turn
from seqgan_gp_cli.domains.base import register


def asked(path):
    """The name of the domain that takes a path for samples of its own, "" where none does."""
    return next((entry.kind.name for entry in in_turn() if entry.samples(Path(path))), "")


def test_orders():
    assert [entry.kind.name for entry in in_list()] == ["text", "image", "points"]
    assert [entry.kind.name for entry in in_turn()] == ["points", "image", "text"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.csv", "points"),
        ("a.npy", "points"),
        ("a.npz", "image"),
        ("a.zip", "image"),
        ("a.txt", "text"),
        ("a", "text"),
    ],
)
def test_a_file_is_known_by_its_ending_whether_it_exists_or_not(path, name, here):
    assert asked(path) == name
    Path(path).touch()
    assert asked(path) == name


def test_a_folder_holds_images_unless_it_is_a_run(here):
    run = here / "runs" / "00000-a.npy"
    (run / "samples").mkdir(parents=True)
    assert asked(run) == asked(run / "samples") == "image"
    (run / "config.json").touch()
    assert asked(run) == asked(run / "samples") == ""


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="two domains are called 'points'"):
        register(DOMAINS["points"])
    assert list(DOMAINS) == ["image", "points", "text"]
