"""The examples of CONTRIBUTING.md for images: each is a new file and its test, which is run here."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from gan_core.discovery import import_all
from gan_core.recipes.plan import fields_of, settle
from image_gan import networks, sources
from image_gan.networks import ARCHS
from image_gan.scores import metrics
from image_gan.scores.metrics import METRICS
from image_gan.settings import IMAGE
from image_gan.sources.base import OPENERS

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
SECTIONS = {
    "Adding an image network": (networks, "linear"),
    "Adding an image metric": (metrics, "mean_distance"),
    "Adding a source of images": (sources, "npy"),
}


def new_files(section):
    """The files that the diff of a section adds, by path; it may touch no other."""
    diff = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0].partition("```diff\n")[2].partition("```")[0]
    old, new = re.findall(r"^--- (.*)$", diff, re.M), re.findall(r"^\+\+\+ b/(.*)$", diff, re.M)
    assert old == ["/dev/null"] * 2 and len(new) == 2
    files = {}
    for path, text in zip(new, re.split(r"^--- .*\n\+\+\+ .*\n", diff, flags=re.M)[1:], strict=True):
        head, *lines = text.splitlines()
        assert head == f"@@ -0,0 +1,{len(lines)} @@" and all(line.startswith("+") for line in lines)
        files[path] = "".join(f"{line[1:]}\n" for line in lines)
    return files


@pytest.mark.parametrize("section", SECTIONS)
def test_one_new_file_and_its_test_are_enough(section, tmp_path, monkeypatch):
    package, name = SECTIONS[section]
    for one, _ in SECTIONS.values():
        import_all(one)  # before the tables are copied: a module registers only once
    code, test = new_files(section).items()
    assert code[0] == f"{package.__name__.replace('.', '/')}/{name}.py" and test[0].startswith("tests/image_gan/")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{name}.py").write_text(code[1])
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "new")])
    known = dict(ARCHS), dict(METRICS._found), dict(OPENERS)
    try:
        importlib.import_module(f"{package.__name__}.{name}")
        if package is networks:
            assert "linear.features" in fields_of(IMAGE)
            plan = settle(IMAGE, {"recipe": "gan", "arch": "linear", "linear.features": 32})
            assert plan.settings(IMAGE).architecture() == ARCHS["linear"](features=32)
        found = {}
        exec(compile(test[1], test[0], "exec"), found)
        ran = [function for key, function in found.items() if key.startswith("test_")]
        for function in ran:
            function(*[tmp_path] * ("tmp_path" in function.__code__.co_varnames))
        assert len(ran) == 1
    finally:
        del sys.modules[f"{package.__name__}.{name}"]
        for registry, before in zip((ARCHS, METRICS._found, OPENERS), known, strict=True):
            registry.clear()
            registry.update(before)
