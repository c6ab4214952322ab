"""The examples of CONTRIBUTING.md for text work as they are written: one new file and its test, no other edit."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from gan_core.discovery import import_all
from gan_core.parts import catalogue
from seqgan_gp import networks, sources
from seqgan_gp.networks import base
from seqgan_gp.scores import metrics
from seqgan_gp.sources import registry

ROOT = Path(__file__).parents[2]
PACKAGES = {"text network": networks, "text metric": metrics, "source of lines": sources}


def example(what):
    """The new files in the diff of a section: path -> content."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n## Adding a {what}\n")[2].partition("\n## ")[0]
    diff = section.partition("```diff\n")[2].partition("```")[0]
    files = re.split(r"^--- /dev/null\n\+\+\+ b/(.+)\n", diff, flags=re.MULTILINE)[1:]
    return {
        path: "".join(re.sub(r"^\+", "", line) for line in content.splitlines(keepends=True))
        for path, content in zip(files[::2], files[1::2], strict=True)
    }


@pytest.fixture
def tables(monkeypatch):
    """What an example registers is forgotten in the end."""
    for package in PACKAGES.values():  # before the tables are copied: a module registers only once
        import_all(package)
    for place, table in ((base, "NETWORKS"), (registry, "ORIGINS"), (registry, "FORMATS"), (metrics.METRICS, "_found")):
        monkeypatch.setattr(place, table, dict(getattr(place, table)))


@pytest.mark.parametrize("what", PACKAGES)
def test_an_addition_is_one_file_and_its_test(what, tables, tmp_path, monkeypatch):
    (module, content), (test, checks) = example(what).items()
    package = PACKAGES[what]
    assert module.rpartition("/")[0] == package.__name__.replace(".", "/") and test.startswith("tests/seqgan_gp/")
    assert not (ROOT / module).exists() and (ROOT / test).parent.is_dir()
    name = f"{package.__name__}.{Path(module).stem}"
    (tmp_path / Path(module).name).write_text(content)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    found = {}
    try:
        import_all(package)
        exec(compile(checks, test, "exec"), found)
        functions = [value for key, value in found.items() if key.startswith("test_")]
        assert functions
        for function in functions:
            function()
    finally:
        sys.modules.pop(name, None)
        importlib.invalidate_caches()


def test_a_network_of_a_new_file_is_a_choice_of_arch(tmp_path):
    (module, content), _ = example("text network").items()
    (tmp_path / Path(module).name).write_text(content)
    (declared,) = catalogue.classes_of(tmp_path / "mlp.py", "seqgan_gp.networks.mlp")
    assert declared.name == "mlp" and [option.name for option in declared.options()] == ["leak"]
