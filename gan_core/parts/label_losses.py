"""Losses on labels and codes, which add heads to the critic. D, x, G and E are as in losses.py; y are labels.

p(y | v) is the softmax of the head `class`. Terms that need a label ignore samples without one (label -1).
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from gan_core.errors import UsageError, named
from gan_core.labels import Labels
from gan_core.networks.critic import entropy
from gan_core.parts.base import Loss, Needs
from gan_core.parts.fields import buffer, option
from gan_core.sample import Codes, Verdict

LEAST_LOG_STD = math.log(1e-3)  # floor on log std: otherwise an exactly predicted code has infinite likelihood


def class_loss(verdict: Verdict) -> Tensor:
    """Mean of -log p(y | v) over the labelled samples; 0, with zero gradient, if no sample is labelled."""
    y = verdict.sample.y
    assert y is not None
    total = cross_entropy(verdict.heads["class"], y, ignore_index=-1, reduction="sum")
    return total / (y >= 0).sum().clamp(min=1)


def accuracy(verdict: Verdict) -> Tensor:
    """The share of the labelled samples that the head `class` classifies correctly; 0 if no sample is labelled."""
    y = verdict.sample.y
    assert y is not None
    return (verdict.heads["class"].argmax(1) == y).sum() / (y >= 0).sum().clamp(min=1)


class AuxiliaryClassifier(Loss, name="acgan"):
    """ACGAN: Odena et al. 2017, equations 2 and 3, arXiv 1610.09585; used together with an adversarial loss L_S.

    L_C = E log p(y | x) + E log p(y | G(z, y)); the critic maximises L_S + L_C, the generator L_C - L_S. Hence
    critic: real_weight E -log p(y | x) + fake_weight E -log p(y | G);  generator: generator_weight E -log p(y | G).
    WGAN-GP's code (Gulrajani et al. 2017, gan_cifar_resnet.py) has weights 1 on real, 0 on generated samples in the
    critic's loss, and 0.1 in the generator's.
    """

    real_weight: float = option(
        1.0, "weight of the class loss of real samples in the critic's loss", low=0.0, varies=True
    )
    fake_weight: float = option(
        1.0, "weight of the class loss of generated samples in the critic's loss", low=0.0, varies=True
    )
    generator_weight: float = option(1.0, "weight of the class loss in the generator's loss", low=0.0, varies=True)
    right: Tensor = buffer()
    obeyed: Tensor = buffer()

    meaning: ClassVar[Mapping[str, str]] = {
        "right": "share of the labelled real samples that the critic classifies rightly",
        "obeyed": "share of the generated samples that it takes for the class that was asked for",
    }

    def __post_init__(self) -> None:
        self.register_buffer("right", torch.zeros(()), persistent=False)
        self.register_buffer("obeyed", torch.zeros(()), persistent=False)

    def needs(self, num_classes: int) -> Needs:
        return Needs(heads={"class": num_classes}, score="", labels="some", asks=True)

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.real_weight * class_loss(real) + self.fake_weight * class_loss(fake)

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.generator_weight * class_loss(fake)

    @torch.no_grad()
    def observe(self, real: Verdict, fake: Verdict) -> None:
        self.right, self.obeyed = accuracy(real), accuracy(fake)

    def readings(self) -> dict[str, Tensor]:
        return {"right": self.right, "obeyed": self.obeyed}

    def headline(self, real: float, fake: float) -> dict[str, float]:
        return {}  # the score is the adversarial loss's


class SemiSupervised(Loss, name="sgan"):
    """Salimans et al. 2016, section 5, arXiv 1606.03498: K classes and the class "generated" with its logit fixed at 0.

    With l the K logits, Z(v) = sum over k of exp l_k(v) and D(v) = Z / (Z + 1), the score is log Z, the logit of D.
    critic: supervised E -log p(y | x) over labelled x + unsupervised (E softplus(-log Z(x)) + E softplus(log Z(G)));
    generator: || E f(x) - E f(G) ||^2, feature matching (section 3.1), f the trunk's features.
    The authors' code weights the unsupervised terms by 1/2; the paper has no weight.
    """

    supervised: float = option(
        1.0, "weight of the class loss of labelled samples in the critic's loss", low=0.0, varies=True
    )
    unsupervised: float = option(
        1.0, "weight of the terms that tell real from generated samples in the critic's loss", low=0.0, varies=True
    )
    right: Tensor = buffer()

    meaning: ClassVar[Mapping[str, str]] = {
        **Loss.meaning,
        "right": "share of the labelled real samples that the critic classifies rightly",
    }

    def __post_init__(self) -> None:
        self.register_buffer("right", torch.zeros(()), persistent=False)

    def needs(self, num_classes: int) -> Needs:
        return Needs(heads={"class": num_classes}, score="class evidence", reals=True, labels="some")

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        told_apart = softplus(-real.score).mean() + softplus(fake.score).mean()
        return self.supervised * class_loss(real) + self.unsupervised * told_apart

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        assert real is not None
        return (real.features.mean(0) - fake.features.mean(0)).square().sum()

    @torch.no_grad()
    def observe(self, real: Verdict, fake: Verdict) -> None:
        self.right = accuracy(real)

    def readings(self) -> dict[str, Tensor]:
        return {"right": self.right}


class Categorical(Loss, name="catgan"):
    """CatGAN: Springenberg 2016, equations 7 to 9, arXiv 1511.06390: certain classes for real samples, in equal shares.

    H[p(y | v)] is the entropy of a sample's class distribution over K classes, H_v[p(y)] the entropy of the mean
    distribution of a batch; the score is -H[p(y | v)], from -log K to 0.
    critic: -H_x[p(y)] + E H[p(y | x)] - E H[p(y | G)] + supervised E -log p(y | x) over labelled x;
    generator: -H_G[p(y)] + E H[p(y | G)].
    """

    categories: int = option(
        0, "number of classes to tell apart; 0: as many as the data has", low=0, high=10_000, metavar="K"
    )
    supervised: float = option(
        1.0, "weight of the class loss of labelled samples in the critic's loss; 0: learn without labels", low=0.0
    )

    meaning: ClassVar[Mapping[str, str]] = {
        "real": "certainty about the class of real samples, -H, 0 at most",
        "fake": "the same of generated samples",
    }

    def check(self, labels: Labels) -> None:
        num = len(labels)
        if not num and not self.categories:
            raise UsageError(
                f"{self.name} learns from labels and the data has no labels: give labelled {named('data')}, or give "
                f"{named('catgan.categories')}"
            )
        if self.categories and self.categories < num and self.supervised:
            raise UsageError(
                f"{self.name} has {self.categories} classes and the data has {num}: raise "
                f"{named('catgan.categories')}, or give {named('catgan.supervised', 0)} to learn without labels"
            )
        if self.categories == 1:
            raise UsageError(
                f"{self.name} has one class, from which it learns nothing: raise {named('catgan.categories')}"
            )

    def needs(self, num_classes: int) -> Needs:
        labels = "some" if (self.supervised and num_classes) or not self.categories else "none"
        return Needs(heads={"class": self.categories or num_classes}, score="class certainty", labels=labels)

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        loss = fake.score.mean() - real.score.mean() - marginal_entropy(real.heads["class"])
        return loss + self.supervised * class_loss(real) if self.supervised and real.sample.y is not None else loss

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return entropy(fake.heads["class"]).mean() - marginal_entropy(fake.heads["class"])


def marginal_entropy(logits: Tensor) -> Tensor:
    """The entropy in nats of the mean of the softmax of each row: (B, K) -> a scalar."""
    logs = logits.log_softmax(1).logsumexp(0) - math.log(len(logits))
    return -(logs.exp() * logs).sum()


class InfoMaximising(Loss, name="infogan"):
    """InfoGAN: Chen et al. 2016, equations 5 and 6, arXiv 1606.03657; used together with an adversarial loss.

    Both players maximise L_I = E log Q(c | G(z, c)) + H(c), a lower bound on I(c; G(z, c)). The entropy H(c) is
    constant; Q is made of heads on the critic's trunk.
    critic and generator: category_weight times the sum over categorical codes of E -log Q(c | G), plus level_weight
    times the same sum over continuous codes. For these Q is N(mean, 1), as in the authors' code for MNIST, or
    N(mean, std^2) with std = max(e^s, 1e-3) and s a head (appendix C).
    """

    categorical: int = option(1, "number of categorical codes", low=0, high=100, metavar="N")
    categories: int = option(10, "number of values of each categorical code", low=2, high=10_000, metavar="K")
    continuous: int = option(2, "number of continuous codes, drawn from U(-1, 1)", low=0, high=1000, metavar="N")
    category_weight: float = option(
        1.0, "weight of the categorical codes' term (the paper's lambda)", low=0.0, varies=True
    )
    level_weight: float = option(0.1, "weight of the continuous codes' term", low=0.0, varies=True)
    learn_std: bool = option(False, "let Q learn the standard deviation of continuous codes, in place of 1")
    category_bits: Tensor = buffer()
    level_bits: Tensor = buffer()

    meaning: ClassVar[Mapping[str, str]] = {
        "category_bits": "lower bound on what samples tell of the categorical codes, at most log2 K for each",
        "level_bits": "lower bound on what they tell of the continuous codes",
    }

    def __post_init__(self) -> None:
        self.register_buffer("category_bits", torch.zeros(()), persistent=False)
        self.register_buffer("level_bits", torch.zeros(()), persistent=False)

    @property
    def codes(self) -> Codes:
        """The latent codes of this loss."""
        return Codes(self.categorical, self.categories, self.continuous)

    def check(self, labels: Labels) -> None:
        if not self.codes.num:
            raise UsageError(
                f"{self.name} has no codes: raise {named('infogan.categorical')} or {named('infogan.continuous')}"
            )

    def needs(self, num_classes: int) -> Needs:
        widths = {
            "category": self.categorical * self.categories,
            "level": self.continuous,
            "log_std": self.continuous if self.learn_std else 0,
        }
        return Needs(heads={name: width for name, width in widths.items() if width}, score="", codes=self.codes)

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.generator(None, fake)

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.category_weight * self.category_loss(fake) + self.level_weight * self.level_loss(fake)

    def category_loss(self, fake: Verdict) -> Tensor:
        """E -log Q(c | G) in nats, summed over the categorical codes."""
        if not self.categorical:
            return fake.features.new_zeros(())
        assert fake.sample.code is not None
        logits = fake.heads["category"].unflatten(1, (-1, self.categories)).flatten(0, 1)
        return cross_entropy(logits, self.codes.categories_of(fake.sample.code).flatten()) * self.categorical

    def level_loss(self, fake: Verdict) -> Tensor:
        """E -log Q(c | G) in nats, summed over the continuous codes."""
        if not self.continuous:
            return fake.features.new_zeros(())
        assert fake.sample.code is not None
        away = fake.sample.code[:, -self.continuous :] - fake.heads["level"]
        log_std = fake.heads["log_std"].clamp(min=LEAST_LOG_STD) if self.learn_std else torch.zeros_like(away)
        return (0.5 * (away * (-log_std).exp()).square() + log_std + 0.5 * math.log(2 * math.pi)).sum(1).mean()

    @torch.no_grad()
    def observe(self, real: Verdict, fake: Verdict) -> None:
        self.category_bits, self.level_bits = self.bounds(fake)

    def bounds(self, fake: Verdict) -> tuple[Tensor, Tensor]:
        """L_I in bits, of the categorical and of the continuous codes.

        If Q's standard deviation is fixed at 1, the bound uses the standard deviation of the batch's errors instead,
        which gives a tighter lower bound.
        """
        category = self.categorical * math.log(self.categories) - self.category_loss(fake)
        level = self.continuous * math.log(2) - self.level_loss(fake)
        if self.continuous and not self.learn_std:
            assert fake.sample.code is not None
            error = (fake.sample.code[:, -self.continuous :] - fake.heads["level"]).square().mean(0)
            level = (math.log(2) - 0.5 * (2 * math.pi * math.e * error.clamp(min=1e-12)).log()).sum()
        return category / math.log(2), level / math.log(2)

    def readings(self) -> dict[str, Tensor]:
        return {"category_bits": self.category_bits, "level_bits": self.level_bits}

    def headline(self, real: float, fake: float) -> dict[str, float]:
        return {}  # the score is the adversarial loss's
