"""What can play together plays, and what cannot is refused when the game is built, in a sentence with the remedy."""

import math
import re
from itertools import combinations, product

import pytest
from torch import nn

from gan_core.errors import DataError, UsageError
from gan_core.game.refusals import refuse_critic, refuse_parts
from gan_core.labels import Labels
from gan_core.networks.critic import AutoencoderCritic, ScoringCritic
from gan_core.parts.base import REGISTRY, Conditioning, Constraint, Loss, Needs, Penalty
from gan_core.recipes.published import RECIPES
from tests.toy import LABELLED, ToyDomain, game, labelled, play

LINEAR = ["nonsaturating", "minimax", "lsgan", "hinge", "wasserstein", "relativistic"]
OTHER = ["began", "ebgan", "sgan", "catgan"]  # each with a score of its own kind, but for the two energies' powers
BESIDE = ["acgan", "infogan"]
WAYS = ["concat", "projection"]
PENALTIES = ["gp", "lp", "zero-gp", "dragan", "r1", "r2"]
CONSTRAINTS = ["spectral", "weight-norm", "clip", "orthonormal-term", "orthonormal-projection"]
CONDITIONAL = [*LABELLED, "infogan"]

ANOTHER_KIND = r"{0} cannot share a critic with {1}, whose score is of another kind: leave one out with --without"
BOUNDED = (
    r"{0} holds the critic's gradient norm to 1, .* of catgan is bounded, .*: use r1, r2 or zero-gp, or .* --without"
)
GUESSED = r"concat shows the critic the label that {0} has it guess: leave one out with --without"
NOT_LINEAR = r"projection adds to a critic's linear score, and here it is {0}: leave projection out with --without"

# Two parts that cannot be in one run, in this order, and the sentence.
REFUSED = {
    **{(b, a): ANOTHER_KIND.format(a, b) for a, b in product(LINEAR, OTHER)},
    **{(a, b): ANOTHER_KIND.format(b, a) for a, b in product(LINEAR, OTHER)},
    **{(b, a): ANOTHER_KIND.format(a, b) for a, b in combinations(OTHER, 2)},
    **{(a, b): ANOTHER_KIND.format(b, a) for a, b in combinations(OTHER, 2)},
    **{("concat", loss): GUESSED.format(loss) for loss in ("acgan", "sgan", "catgan")},
    **{("projection", loss): NOT_LINEAR.format("made of class logits") for loss in ("sgan", "catgan")},
    **{("projection", loss): NOT_LINEAR.format("a reconstruction error") for loss in ("began", "ebgan")},
    **{("catgan", penalty): BOUNDED.format(penalty) for penalty in ("gp", "dragan")},
    ("concat", "projection"): r"both show the critic the label: leave one out with --without",
    ("spectral", "weight-norm"): r"each replace the critic's weights: leave one out with --without",
}


def expected(parts):
    """The sentences that a run of these parts may be refused with; none if it plays."""
    found = []
    for (one, other), sentence in REFUSED.items():
        if one in parts and other in parts:
            ordered = {one, other} <= {*LINEAR, *OTHER}
            if not ordered or parts.index(one) < parts.index(other):
                found.append(sentence)
    return found


def refusal(parts, domain, numbers=None):
    """The sentence that parts are refused with, which is one and a user's."""
    with pytest.raises(UsageError) as caught:
        game(parts, domain, numbers)
    sentence = str(caught.value)
    assert "\n" not in sentence and ": " in sentence and not sentence.endswith(".")
    return sentence


def plays_or_is_refused(parts, domain, numbers=None):
    """One step is played with finite terms, or the sentence is the one that is expected."""
    sentences = expected(parts)
    if sentences:
        assert any(re.search(s, refusal(parts, domain, numbers)) for s in sentences), (parts, sentences)
    else:
        (terms,) = play(game(parts, domain, numbers), 1, domain, critic_steps=1)
        assert all(map(math.isfinite, terms.values())), parts


def test_every_part_is_in_the_product():
    shipped = {kind: {n for n, p in REGISTRY.items() if issubclass(p, kind) and p.__module__.startswith("gan_core.")}
               for kind in (Loss, Penalty, Constraint, Conditioning)}  # fmt: skip
    assert shipped[Loss] == {*LINEAR, *OTHER, *BESIDE} and shipped[Penalty] == set(PENALTIES)
    assert shipped[Constraint] == set(CONSTRAINTS) and shipped[Conditioning] == set(WAYS)


@pytest.mark.parametrize("loss", [*LINEAR, *OTHER])
def test_an_adversarial_loss_with_every_other_way_and_penalty(loss):
    domain = labelled()
    for beside, way, penalty in product(["", *BESIDE], ["", *WAYS], ["", *PENALTIES]):
        plays_or_is_refused([part for part in (loss, beside, way, penalty) if part], domain)


@pytest.mark.parametrize("recipe", CONDITIONAL)
def test_a_recipe_with_any_part_more(recipe):
    domain = labelled()
    numbers = {key: value for key, value in RECIPES[recipe].numbers.items() if "." in key}
    for part in [*LINEAR, *OTHER, *BESIDE, *WAYS, *PENALTIES, *CONSTRAINTS]:
        if part not in RECIPES[recipe].parts:
            plays_or_is_refused([*RECIPES[recipe].parts, part], domain, numbers)


@pytest.mark.parametrize("recipe", CONDITIONAL)
def test_a_recipe_with_a_constraint_on_either_network(recipe):
    domain = labelled()
    for constraint, on in product(CONSTRAINTS, ("critic", "generator", "both")):
        if constraint not in RECIPES[recipe].parts and not (on != "generator" and "spectral" in RECIPES[recipe].parts):
            parts = [*RECIPES[recipe].parts, constraint]
            (terms,) = play(game(parts, domain, {f"{constraint}.on": on}), 1, domain, critic_steps=1)
            assert all(map(math.isfinite, terms.values())), parts


@pytest.mark.parametrize("recipe", CONDITIONAL)
def test_a_recipe_with_another_adversarial_loss(recipe):
    domain = labelled()
    for loss in [*LINEAR, *OTHER]:
        rest = [part for part in RECIPES[recipe].parts if part not in (*LINEAR, *OTHER)]
        plays_or_is_refused([loss, *rest], domain)


@pytest.mark.parametrize("recipe", CONDITIONAL)
def test_labels_by_normalisation_play_where_labels_are_asked_for(recipe):
    domain = labelled(labels_by_norm=True)
    if recipe in ("sgan", "catgan", "infogan"):
        assert "use --generator-norm batch" in refusal(RECIPES[recipe].parts, domain)
    else:
        plays_or_is_refused(list(RECIPES[recipe].parts), domain)


class TestLabels:
    @pytest.mark.parametrize("recipe", LABELLED)
    def test_data_without_labels(self, recipe):
        sentence = refusal(RECIPES[recipe].parts, ToyDomain())
        assert "learns from labels and the data has no labels: give labelled --data" in sentence
        assert ("or give --catgan-categories" in sentence) is (recipe == "catgan")

    @pytest.mark.parametrize("recipe", LABELLED)
    def test_data_of_one_class(self, recipe):
        sentence = refusal(RECIPES[recipe].parts, labelled(classes=1))
        assert sentence.endswith("learns from labels and the data has one class only: give --data with more")

    @pytest.mark.parametrize("recipe", [*LABELLED, "infogan"])
    def test_a_class_without_an_example(self, recipe):
        domain = labelled()
        domain.labels = Labels(domain.labels.names, (100, 0, 100, 56))
        parts = list(RECIPES[recipe].parts)
        if recipe == "infogan":
            plays_or_is_refused(parts, domain)
            return
        with pytest.raises(DataError, match=r"no training example of class 'arc 1', which .* would learn: add some"):
            game(parts, domain)

    def test_infogan_needs_no_labels(self):
        plays_or_is_refused(["nonsaturating", "infogan"], ToyDomain())

    @pytest.mark.parametrize("recipe", CONDITIONAL)
    def test_data_of_which_some_show_none(self, recipe):
        domain = labelled(hidden=0.75)
        if recipe in ("cgan", "projection"):
            sentence = refusal(RECIPES[recipe].parts, domain)
            assert "needs the label of every example, and 192 of 256 show none" in sentence
            assert all(remedy in sentence for remedy in ("--labels-per-class", "acgan, sgan or catgan"))
        else:
            plays_or_is_refused(list(RECIPES[recipe].parts), domain)


class TestLosses:
    def test_no_loss(self):
        assert re.search(r"no loss: add one, such as --add", refusal(["gp"], ToyDomain()))

    @pytest.mark.parametrize("parts", [["acgan"], ["infogan"], ["acgan", "projection"], ["infogan", "gp"]])
    def test_a_loss_that_stands_beside_another_alone(self, parts):
        sentence = refusal(parts, labelled())
        assert re.search(
            rf"^{parts[0]} stands beside an adversarial loss and .* none: add one, such as --add", sentence
        )

    def test_two_that_stand_beside_another(self):
        assert refusal(["acgan", "infogan"], labelled()).startswith("acgan and infogan stand beside")

    def test_energies_of_the_same_power_share_a_critic(self):
        domain = ToyDomain()
        play(game(["began", "ebgan"], domain, {"began.norm": 2}), 1, domain)

    def test_classes_that_catgan_finds_by_itself(self):
        for classes, categories, supervised in ((0, 6, 1.0), (4, 3, 0.0), (4, 6, 1.0)):
            domain = ToyDomain(classes=classes)
            numbers = {"catgan.categories": categories, "catgan.supervised": supervised}
            played = game(["catgan"], domain, numbers)
            assert played.critic.net.heads["class"].out_features == categories
            assert math.isfinite(play(played, 1, domain)[0]["critic/total"])

    def test_catgan_with_fewer_classes_than_the_data(self):
        sentence = refusal(["catgan"], labelled(), {"catgan.categories": 3})
        assert "catgan has 3 classes and the data has 4: raise --catgan-categories" in sentence
        assert "or give --catgan-supervised 0" in sentence

    def test_catgan_with_one_class(self):
        sentence = refusal(["catgan"], ToyDomain(), {"catgan.categories": 1})
        assert sentence == "catgan has one class, from which it learns nothing: raise --catgan-categories"
        assert "give --data with more" in refusal(["catgan"], labelled(classes=1), {"catgan.supervised": 0.0})

    def test_two_losses_that_want_different_numbers_of_classes(self):
        sentence = refusal(["catgan", "acgan"], labelled(), {"catgan.categories": 6})
        assert re.search(r"catgan and acgan want a different number of classes: .* --without", sentence)
        plays_or_is_refused(["catgan", "acgan"], labelled())

    def test_infogan_without_codes(self):
        values = {"infogan.categorical": 0, "infogan.continuous": 0}
        sentence = refusal(["hinge", "infogan"], ToyDomain(), values)
        assert re.search(r"infogan has no codes: raise --infogan-categorical or --infogan-continuous", sentence)
        for name in values:
            domain = ToyDomain()
            play(game(["hinge", "infogan"], domain, {name: 0}), 1, domain)

    def test_a_classifier_from_outside_plays_under_projection(self):
        """A loss over labels that asks the generator for none: the way asks."""

        class Classifier(REGISTRY["acgan"]):
            def needs(self, num_classes):
                return Needs(heads={"class": num_classes}, score="", labels="some")

        refuse_parts([REGISTRY["hinge"](), Classifier(), REGISTRY["projection"]()], labelled().labels)
        with pytest.raises(UsageError, match=r"guess: .*--without"):
            refuse_parts([REGISTRY["hinge"](), Classifier(), REGISTRY["concat"]()], labelled().labels)


class TestCritics:
    @pytest.mark.parametrize("recipe", ["wgan-gp", "wgan-gp-acgan"])
    def test_batch_norm_under_a_penalty(self, recipe):
        """Trap 4."""
        parts, classes = RECIPES[recipe].parts, 4 * (recipe in LABELLED)
        domain = ToyDomain(norm=nn.BatchNorm1d, classes=classes)
        assert re.search(r"batch norm.*layer norm.*--without", refusal(parts, domain))
        plays_or_is_refused([part for part in parts if part != "gp"], domain)
        plays_or_is_refused(list(parts), ToyDomain(norm=nn.LayerNorm, classes=classes))

    def test_an_energy_loss_on_a_plain_critic(self):
        trunk, features = ToyDomain().trunk()
        with pytest.raises(UsageError, match=r"began.*give it an autoencoder critic, or leave began out"):
            refuse_critic(ScoringCritic(trunk, features, {}), [REGISTRY["began"]()], [])

    @pytest.mark.parametrize("loss", ["hinge", "sgan", "catgan", "ebgan"])
    def test_a_critic_with_another_score_than_the_loss_wants(self, loss):
        trunk, features = ToyDomain().trunk()
        energy = AutoencoderCritic(trunk, features, 4, ToyDomain().decoder(4), {}, "absolute error", 1.0)
        with pytest.raises(
            UsageError, match=rf"{loss} wants a score that is .* and this critic's is 'absolute error': "
        ):
            refuse_critic(energy, [REGISTRY[loss]()], [], 4)
        refuse_critic(energy, [REGISTRY["began"](), REGISTRY["acgan"]()], [], 4)

    def test_two_reparametrisations(self):
        assert re.search(r"spectral and weight-norm each replace the critic's weights: .*--without",
                         refusal(["hinge", "spectral", "weight-norm"], ToyDomain()))  # fmt: skip
