"""Parts: the losses, penalties, constraints and conditionings that a run is the sum of, and the one registry of them.

A part registers itself by being defined with a name, `class Hinge(Loss, name="hinge")`. Its annotated fields become
options of a run (`hinge.margin`), with the help and the limits that `option` gives them. `catalogue` reads the options
of the parts in this package from their source, so their arguments are literals.
"""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

import torch
from torch import Tensor, nn

from gan_core.errors import UsageError
from gan_core.labels import Labels
from gan_core.parts.fields import buffer, option, options_of
from gan_core.sample import Codes, Verdict
from gan_core.schedules.base import Schedule
from gan_core.text import choose

REGISTRY: dict[str, type["Part"]] = {}


@dataclass_transform(field_specifiers=(option, buffer), eq_default=False, kw_only_default=True)
class Part(nn.Module):
    """A named piece of a run. Its state, if any, lives in buffers and so in the checkpoint."""

    name: ClassVar[str] = ""
    schedules: dict[str, Schedule] = dataclasses.field(init=False)  # by the names of the fields that follow them

    def __init_subclass__(cls, name: str = "") -> None:
        super().__init_subclass__()
        dataclass(eq=False, repr=False, kw_only=True)(cls)
        for field in options_of(cls):
            if field.name in cls.__dict__:
                delattr(cls, field.name)  # a default on the class would hide a buffer of that name
        if not name:
            return  # an abstract kind of part
        if name in REGISTRY:
            raise ValueError(f"two parts are called {name!r}: {REGISTRY[name].__qualname__} and {cls.__qualname__}")
        cls.name = name
        REGISTRY[name] = cls

    def __new__(cls, **_: Any) -> "Part":
        # A dataclass's __init__ does not call nn.Module's, which must run before the first attribute is set.
        self = super().__new__(cls)
        nn.Module.__init__(self)
        self.schedules = {}
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """A field that is set to a schedule becomes a buffer with its value, which a compiled step reads anew."""
        if isinstance(value, Schedule):
            self.schedules[name] = value
            self.register_buffer(name, torch.tensor(value(0)), persistent=False)
        else:
            super().__setattr__(name, value)

    def at_step(self, step: int) -> None:
        """Set the fields that follow a schedule for a generator step, counted from 0."""
        for name, schedule in self.schedules.items():
            getattr(self, name).fill_(schedule(step))

    def check(self, labels: Labels) -> None:
        """Refuse its own options where they do not fit each other or the labels of the data.

        Raises:
            UsageError: one sentence that names the remedy.
        """
        return None

    meaning: ClassVar[Mapping[str, str]] = {}  # what is shown of this part while it trains, in words, by name

    def readings(self) -> dict[str, Tensor]:
        """Scalars worth logging besides the loss, such as a controller's state."""
        return {}


@dataclass(frozen=True)
class Needs:
    """What a loss or a conditioning must find when the game is built.

    heads: auxiliary outputs of the critic, by name and width.
    score: what the critic's score is, of `critic.SCORES`; "" where that does not matter.
    reals: the generator's step must judge real samples too.
    labels: of the training examples that must be labelled, "none", "some" or "all".
    asks: the generator is told which label to make.
    codes: the latent code that it is given besides the noise.
    """

    heads: Mapping[str, int] = dataclasses.field(default_factory=dict)
    score: str = "linear"
    reals: bool = False
    labels: str = "none"
    asks: bool = False
    codes: Codes | None = None


class Loss(Part):
    """An adversarial or auxiliary loss: both players' sides in one class. It sees verdicts only."""

    meaning: ClassVar[Mapping[str, str]] = {
        "real": "mean score of real samples, before any sigmoid",
        "fake": "mean score of generated samples",
    }

    def needs(self, num_classes: int) -> Needs:
        """What this loss requires of the critic and of the generator's step."""
        return Needs()

    @abstractmethod
    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        """What the critic minimises, a scalar."""

    @abstractmethod
    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        """What the generator minimises, a scalar. `real` is there if `needs` asked for reals."""

    def observe(self, real: Verdict, fake: Verdict) -> None:
        """Update controller state, after the critic's step."""
        return None

    def headline(self, real: float, fake: float) -> dict[str, float]:
        """What to show of the critic's mean scores, by the names in `meaning`."""
        return {"real": real, "fake": fake}

    converges: ClassVar[bool] = False  # whether it has a measure of convergence

    def convergence(self) -> Tensor | None:
        """A measure that falls as training converges, where the loss has one."""
        return None


class Penalty(Part):
    """A cost of the critic's gradient norm at points of the penalty's own choosing."""

    every: int = option(1, "apply the penalty in every N-th critic step only, multiplied by N", low=1, metavar="N")

    where: ClassVar[str] = ""  # "real" or "fake" where the gradient at those very samples is wanted, else ""
    target: ClassVar[float | None] = None  # the gradient norm that it holds the critic to, from both sides

    @abstractmethod
    def forward(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        """The cost, a scalar, already weighted and scaled by `every`."""

    def measured(self, critic: nn.Module, real: Verdict, fake: Verdict) -> tuple[Tensor, dict[str, Tensor]]:
        """The cost, and scalars worth logging of where it looked. A step that is one graph cannot keep them itself."""
        return self(critic, real, fake), {}


class Conditioning(Part):
    """A way in which the critic sees the label of a sample. The generator is then told labels too."""

    def needs(self, num_classes: int) -> Needs:
        """What it requires: a label on every training example, unless it says otherwise."""
        return Needs(score="", labels="all", asks=True)

    def inputs(self, num_classes: int) -> int:
        """How many channels it adds to what the critic's trunk sees."""
        return 0

    @abstractmethod
    def entry(self, num_classes: int, features: int) -> Any:
        """The module through which labels enter a critic of so many features: see `conditioning.LabelEntry`."""


class Constraint(Part):
    """A condition on the weights of a network."""

    on: str = option("critic", "network whose weights are constrained", choices=("critic", "generator", "both"))

    reparametrises: ClassVar[bool] = False  # replaces the weights by a function of others

    def attach(self, net: nn.Module) -> None:
        """Prepare a network, once, when the game is built."""
        return None

    def enforce(self, net: nn.Module) -> None:
        """Restore the condition, after each of the network's steps."""
        return None

    def cost(self, net: nn.Module) -> Tensor | None:
        """A term for the network's own loss, or None."""
        return None


def lookup(name: str) -> type[Part]:
    """The part of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in REGISTRY:
        raise UsageError(f"there is no part called {name!r}: {choose(name, sorted(REGISTRY))}")
    return REGISTRY[name]
