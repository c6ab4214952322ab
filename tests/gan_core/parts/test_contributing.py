"""The loss that CONTRIBUTING.md adds is one new file: it registers itself, has its option, and trains."""

import math
import re
import sys
from pathlib import Path

import pytest
import torch

import gan_core.parts
from gan_core.discovery import import_all
from gan_core.parts import catalogue
from gan_core.parts.base import REGISTRY
from gan_core.recipes.plan import fields_of, settle
from gan_core.sample import Sample, Verdict
from point_gan.settings import POINTS
from tests.toy import ToyDomain, game, play

TEXT = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text()


@pytest.fixture
def exponential(tmp_path, monkeypatch):
    import_all(gan_core.parts)
    added = re.search(r"\+\+\+ b/gan_core/parts/exponential.py\n((?:\+.*\n)+)", TEXT)[1]
    (tmp_path / "exponential.py").write_text("".join(line[1:] + "\n" for line in added.splitlines()))
    monkeypatch.setattr(gan_core.parts, "__path__", [*gan_core.parts.__path__, str(tmp_path)])
    import_all(gan_core.parts)
    yield REGISTRY["exponential"]
    del REGISTRY["exponential"], sys.modules["gan_core.parts.exponential"]


def test_one_new_file_is_enough(exponential):
    assert catalogue.known()["exponential"].kind == "Loss" and "exponential.rate" in fields_of(POINTS)
    given = {"recipe": "gan", "without": ["nonsaturating"], "add": ["exponential"], "exponential.rate": 2.0}
    assert settle(POINTS, given).numbers["exponential.rate"] == 2.0
    real, fake = (
        Verdict(Sample(torch.zeros(2, 2)), torch.zeros(2, 1), {"score": torch.tensor(score)})
        for score in ([0.5, 0.0], [-1.0, 0.0])
    )
    loss = exponential(rate=2.0)
    assert float(loss.critic(real, fake)) == pytest.approx((math.exp(-1) + 1) / 2 + (math.exp(-2) + 1) / 2)
    assert float(loss.generator(None, fake)) == pytest.approx((math.exp(2) + 1) / 2)
    assert len(play(game(["exponential"], numbers={"exponential.rate": 2.0}), 2, ToyDomain())) == 2
