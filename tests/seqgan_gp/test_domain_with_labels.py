"""Labels and codes through the text domain: what training sees, what samples say, what is scored and exported."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from gan_core.errors import UsageError
from gan_core.game.prior import Prior
from gan_core.game.trained import Picture, Trained, each_class
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.recipes.published import RECIPES
from gan_core.sample import Codes
from seqgan_gp.corpus.corpus import prepare
from seqgan_gp.domain import from_checkpoint, ids_of, open_domain
from seqgan_gp.domain import report as as_table
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")
WORDS = {"animal": ("dog", "cat", "hen", "cow"), "number": ("one", "two", "six", "ten"), "tool": ("saw", "axe", "pen")}


@pytest.fixture
def path(tmp_path):
    """600 lines `label<TAB>three words`, of three classes with different words."""
    rng = np.random.default_rng(0)
    lines = {f"{label}\t{' '.join(rng.choice(WORDS[label], 3))} {i % 7}" for i in range(600) for label in WORDS}
    file = tmp_path / "lines.tsv"
    file.write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda line: line[::-1])))
    return file


def opened(path, recipe="wgan-gp-acgan", **values):
    given = dict(data=str(path), recipe=recipe, width=8, depth=1, batch_size=6, seq_len=14, vocab_size=40, threads=1)
    plan = settle(TEXT, given | values)
    return plan, open_domain(plan.settings(TEXT))


class Says(nn.Module):
    """A generator that says real lines: those of the label that is asked for, or of the code."""

    def __init__(self, domain, by_code=False, turned=0):
        super().__init__()
        self.domain, self.by_code, self.turned = domain, by_code, turned

    def forward(self, latent):
        labels = latent.code[:, :3].argmax(1) if self.by_code else latent.y
        wanted = (labels + self.turned) % 3
        rows = [np.flatnonzero(self.domain.data.corpus.train_labels == int(y))[i % 9] for i, y in enumerate(wanted)]
        return self.domain.data.batch(np.array(rows), CPU, 0).x


def trained(domain, **how):
    codes = Codes(1, 3, 0) if how.get("by_code") else None
    prior = Prior(8, shares=() if codes else domain.labels.shares, codes=codes)
    return Trained(Says(domain, **how), Reads(domain) if codes else None, prior, 0, 16, CPU)


class Reads(nn.Module):
    """A critic whose head `category` knows the lines by heart."""

    def __init__(self, domain):
        super().__init__()
        self.heads = nn.ModuleDict({"category": nn.Identity()})
        corpus = domain.data.corpus
        rows, labels = np.concatenate([corpus.train, corpus.heldout]), [*corpus.train_labels, *corpus.heldout_labels]
        self.known = {row.tobytes(): int(y) for row, y in zip(rows, labels, strict=True)}
        self.dtype = rows.dtype

    def forward(self, x, y=None):
        ids = x.argmax(1).numpy().astype(self.dtype)
        found = torch.tensor([self.known[row.tobytes()] for row in ids])
        return x, {"category": nn.functional.one_hot(found, 3).float() * 50}


def test_batches_show_the_labels_of_their_lines(path):
    _, domain = opened(path)
    assert domain.labels.names == ("animal", "number", "tool")
    batch = domain.data.batch(np.arange(domain.data.num_examples), CPU, 0)
    for line, y in zip(domain.samples.tokenizer.decode(ids_of([batch])), batch.y.tolist(), strict=True):
        assert set(line.split()[:3]) <= set(WORDS[domain.labels.names[y]])
    held = list(domain.data.held_out(20))
    assert sum(map(len, held)) == 20 and (held[0].x.sum(1) == 1).all() and held[0].x.max() == 1
    for line, y in zip(domain.samples.tokenizer.decode(ids_of(held[:1])), held[0].y.tolist(), strict=True):
        assert set(line.split()[:3]) <= set(WORDS[domain.labels.names[y]])


def test_labels_can_be_hidden(path):
    _, domain = opened(path, labels_per_class=5)
    y = domain.data.batch(np.arange(domain.data.num_examples), CPU, 0).y.numpy()
    assert domain.labels.counts == (5, 5, 5) and np.count_nonzero(y >= 0) == 15 == len(domain.data.labelled)


@pytest.mark.parametrize("turned", [0, 1])
def test_conditional_samples_are_judged_by_what_they_say(path, turned):
    _, domain = opened(path)
    report = domain.scores.score_labels(trained(domain, turned=turned), 60)["labels"]
    assert report["classifier"]["accuracy"] > 0.95 and report["conditional"]["num"] == 60
    assert (report["conditional"]["accuracy"] < 0.05) if turned else (report["conditional"]["accuracy"] > 0.95)


def test_codes_are_matched_with_classes(path):
    _, domain = opened(path)
    report = domain.scores.score_labels(trained(domain, by_code=True, turned=1), 60)["labels"]
    assert report["codes"]["samples"][0]["accuracy"] > 0.95 and report["codes"]["real"][0]["accuracy"] == 1
    assert sorted(report["codes"]["samples"][0]["matching"]) == [[0, 1], [1, 2], [2, 0]]


def test_an_evaluation_has_the_labels_beside_the_protocols(path):
    _, domain = opened(path)
    evaluation = domain.scores.evaluate(trained(domain))
    assert set(evaluation) == {"heldout", "wgan-gp", "labels"}
    assert "labels/agreement" in domain.scores.scalars(evaluation) and "js-4/heldout" in domain.scores.scalars(
        evaluation
    )
    assert "are what was asked for" in as_table(evaluation)
    single = evaluation["heldout"] | {"labels": evaluation["labels"]}
    assert "are what was asked for" in as_table(single) and "protocol heldout" in as_table(single)


def test_exported_sentences_carry_their_labels_and_can_be_trained_on(path, tmp_path):
    _, domain = opened(path)
    asked = each_class(60, 3)
    samples = list(trained(domain).draw(60, asked))
    for form in domain.samples.formats:
        domain.samples.export(samples, form, tmp_path / form)
    objects = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert [domain.labels.names.index(o["label"]) for o in objects] == asked.tolist()
    lines = (tmp_path / "txt").read_text().splitlines()
    assert lines == [f"{o['label']}\t{o['text']}" for o in objects]
    with np.load(tmp_path / "npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["labels"], asked.numpy())
    corpus = prepare(str(tmp_path / "txt"), vocab_size=40, seq_len=14)
    assert corpus.classes == domain.labels.names


def test_lines_to_look_at_name_their_classes(path, tmp_path):
    _, domain = opened(path)
    samples = list(trained(domain).draw(6, each_class(6, 3)))
    written = domain.samples.show(tmp_path / "samples", Picture("", 0, samples), None).read_text().splitlines()
    assert [line.partition("\t")[0] for line in written] == ["animal"] * 2 + ["number"] * 2 + ["tool"] * 2
    assert domain.samples.preview(samples)[0].startswith("animal: ")
    swept = domain.samples.show(tmp_path / "swept", Picture("", 0, [s.without_labels() for s in samples], 3), None)
    swept = swept.read_text().split("\n\n")
    assert [len(row.splitlines()) for row in swept] == [3, 3]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_plays_on_labelled_lines(path, recipe):
    plan, domain = opened(path, recipe)
    game = build(domain, make_parts(plan.parts, plan.numbers), plan.settings(TEXT), CPU)
    real = domain.data.batch(np.arange(6), CPU, 0)
    terms = game.critic_step(real) | game.generator_step(6, CPU, real if game.needs_reals else None)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in terms.values())
    assert float(terms["critic/skipped"]) == float(terms["generator/skipped"]) == 0


def test_lines_without_labels_are_refused_where_labels_are_needed(tmp_path):
    file = tmp_path / "plain.txt"
    file.write_text("".join(f"line {i} of text\n" for i in range(50)))
    plan, domain = opened(file, "cgan")
    with pytest.raises(UsageError, match=r"concat learns from labels and the data has no labels: give labelled --data"):
        build(domain, make_parts(plan.parts, plan.numbers), plan.settings(TEXT), CPU)


def test_a_domain_without_data_knows_the_classes_of_its_checkpoint(path, tmp_path):
    plan, domain = opened(path)
    domain.samples.save(tmp_path)
    assert from_checkpoint(plan.settings(TEXT), tmp_path).labels == domain.labels
