"""The catalogue, which is read from source, says of every part what its class says once it is imported."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gan_core.recipes.build  # noqa: F401  (it registers the shipped parts)
from gan_core.errors import UsageError
from gan_core.game.optimisers import OPTIMIZERS
from gan_core.game.prior import NOISES
from gan_core.parts import catalogue
from gan_core.parts.base import REGISTRY, Conditioning, Constraint, Loss, Penalty
from gan_core.parts.fields import options_of
from gan_core.recipes import settings
from gan_core.schedules.registry import KINDS
from image_gan import choices
from image_gan.networks import ARCHS, INITS

ROOT = Path(__file__).parents[3]
SHIPPED = {name: part for name, part in REGISTRY.items() if part.__module__.startswith("gan_core.parts.")}


def described(options):
    return [(field.name, field.type, field.default, dict(field.metadata)) for field in options]


@pytest.mark.parametrize("name", SHIPPED)
def test_an_entry_is_what_the_class_is(name):
    entry, part = catalogue.read("gan_core.parts")[name], SHIPPED[name]
    assert described(entry.options) == described(options_of(part))
    assert (entry.module, entry.qualname) == (part.__module__, part.__qualname__)
    assert entry.doc == inspect.cleandoc(part.__doc__)
    (kind,) = [kind for kind in (Loss, Penalty, Constraint, Conditioning) if issubclass(part, kind)]
    assert entry.kind == kind.__name__
    imported = catalogue.entry_of(part)
    assert (imported.kind, imported.doc) == (entry.kind, entry.doc)


def test_it_has_the_shipped_parts_in_the_order_of_the_registry():
    assert list(catalogue.read("gan_core.parts")) == list(SHIPPED)


def test_a_part_from_outside_is_known_once_it_is_defined():
    part = type(Loss)("Outside", (Loss,), {"__doc__": "A loss.\n\n    critic: 0."}, name="outside")
    try:
        assert catalogue.find("outside") == catalogue.Entry(
            "outside", "Loss", part.__module__, "Outside", "A loss.\n\ncritic: 0.", ()
        )
    finally:
        del REGISTRY["outside"]
    with pytest.raises(UsageError, match="no part called 'outside'"):
        catalogue.find("outside")
    with pytest.raises(UsageError, match=r"no part called 'wassertein': did you mean wasserstein\?"):
        catalogue.find("wassertein")


def package(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """An empty folder for a package of named classes."""
    (tmp_path / "some_networks").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue.read_folders.cache_clear()
    yield tmp_path / "some_networks"
    catalogue.read_folders.cache_clear()


BASE = '''
import no_such_module
from gan_core.parts.fields import option
NORMS = ("none", "batch")

class Architecture:
    """What builds networks."""
    norm: str = option("none", "normalisation", choices=NORMS)
    depth: int = option(2, "layers of "
                           "each network", low=1)
'''
DCGAN = '''
from some_networks.base import Architecture, option

class Helper:
    x: int = 3

class Dcgan(Architecture, name="dcgan"):
    """Strided convolutions.

    Radford et al. 2016.
    """
    depth: int = option(4, "stages", section="networks")
    skip: bool = option(False, help="connect stages")
    hidden: int = 7
'''


def test_any_folder_of_named_classes_is_read_and_nothing_is_imported(networks):
    package(networks, base=BASE, dcgan=DCGAN)
    entries = catalogue.read("some_networks")
    entry = entries["dcgan"]
    assert list(entries) == ["dcgan"] and "some_networks" not in sys.modules
    assert (entry.kind, entry.module, entry.qualname) == ("Architecture", "some_networks.dcgan", "Dcgan")
    assert entry.doc == "Strided convolutions.\n\nRadford et al. 2016."
    assert [(f.name, f.type, f.default) for f in entry.options] == [
        ("norm", str, "none"), ("depth", int, 4), ("skip", bool, False)
    ]  # fmt: skip
    norm, depth, skip = (field.metadata for field in entry.options)
    assert norm["choices"] == ("none", "batch") and skip["help"] == "connect stages"
    assert (depth["help"], depth["low"], depth["section"]) == ("stages", None, "networks")


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ('x: int = option(len("ab"), "things")', r"base.py:8: .len\('ab'\). must be a literal"),
        ('x: list = option(1, "things")', "base.py:8: 'list' must be a literal"),
    ],
)
def test_what_cannot_be_read_is_named(networks, option, fault):
    package(networks, base=BASE.replace('norm: str = option("none", "normalisation", choices=NORMS)', option) + DCGAN)
    with pytest.raises(ValueError, match=fault):
        catalogue.read("some_networks")


def test_choices_are_the_keys_of_their_tables():
    assert tuple(OPTIMIZERS) == settings.OPTIMIZERS and settings.NOISES == NOISES
    assert set(settings.DECAYS) <= {"none", *KINDS}
    assert set(ARCHS) == set(choices.ARCHS) and tuple(INITS) == choices.INITS
    for arch in ARCHS.values():
        assert set(arch.norms) <= set(choices.CRITIC_NORMS)
        assert set(arch.generator_norms) <= set(choices.GENERATOR_NORMS)


def test_settings_plans_and_recipes_import_neither_torch_nor_numpy():
    code = (
        "import sys, gan_core.recipes.plan, seqgan_gp.settings, image_gan.settings, seqgan_gp_cli.commands;"
        "print({'torch', 'numpy', 'scipy', 'datasets', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr
