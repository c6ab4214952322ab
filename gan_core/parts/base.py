"""The base classes of parts (losses, penalties, constraints, conditionings) and their registry.

A class definition with a name registers a part: `class Hinge(Loss, name="hinge")`. Its annotated fields become options
of a run (`hinge.margin`) with the help and the limits given to `option`. `catalogue` reads the options of the parts in
this package from their source, so the arguments of `option` must be literals.
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
    """A named loss, penalty, constraint or conditioning of a run. Its state, if any, is in buffers, hence checkpointed.

    schedules: the schedules of the fields that follow one, by field.
    """

    name: ClassVar[str] = ""
    schedules: dict[str, Schedule] = dataclasses.field(init=False)  # by the names of the fields that follow them

    def __init_subclass__(cls, name: str = "") -> None:
        super().__init_subclass__()
        dataclass(eq=False, repr=False, kw_only=True)(cls)
        for field in options_of(cls):
            if field.name in cls.__dict__:
                delattr(cls, field.name)  # a default on the class would hide a buffer of that name
        if not name:
            return  # an abstract base class
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
        """A field that is set to a schedule becomes a buffer with its current value, which compiled steps read."""
        if isinstance(value, Schedule):
            self.schedules[name] = value
            self.register_buffer(name, torch.tensor(value(0)), persistent=False)
        else:
            super().__setattr__(name, value)

    def at_step(self, step: int) -> None:
        """Set the fields that follow a schedule to their values at a generator step, counted from 0."""
        for name, schedule in self.schedules.items():
            getattr(self, name).fill_(schedule(step))

    def check(self, labels: Labels) -> None:
        """Refuse options of this part that contradict each other or do not fit the labels of the data.

        Raises:
            UsageError: one sentence that names the remedy.
        """
        return None

    meaning: ClassVar[Mapping[str, str]] = {}  # the values that the terminal shows: name -> what it means

    def readings(self) -> dict[str, Tensor]:
        """Scalars to log besides the loss, such as a controller's state, by name."""
        return {}


@dataclass(frozen=True)
class Needs:
    """The requirements of a loss or a conditioning on the networks and the data.

    heads: additional heads of the critic, name -> width.
    score: the kind of the critic's score, a key of `critic.SCORES` or `critic.ENERGIES`; "" for any kind.
    reals: whether the generator's step must judge real samples too.
    labels: how many of the training examples must be labelled: "none", "some" or "all".
    asks: whether the generator is conditioned on labels.
    codes: the latent codes that the generator gets besides the noise, or None.
    """

    heads: Mapping[str, int] = dataclasses.field(default_factory=dict)
    score: str = "linear"
    reals: bool = False
    labels: str = "none"
    asks: bool = False
    codes: Codes | None = None


class Loss(Part):
    """An adversarial or auxiliary loss, with the losses of both players. It is a function of verdicts only."""

    meaning: ClassVar[Mapping[str, str]] = {
        "real": "mean score of real samples, before any sigmoid",
        "fake": "mean score of generated samples",
    }

    def needs(self, num_classes: int) -> Needs:
        """The requirements of this loss on the critic, the generator's step and the data."""
        return Needs()

    @abstractmethod
    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        """The critic's loss, a scalar to minimise."""

    @abstractmethod
    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        """The generator's loss, a scalar to minimise. `real` is None unless `needs` asks for `reals`."""

    def observe(self, real: Verdict, fake: Verdict) -> None:
        """Update the state of a controller. Called after each critic step that was not skipped."""
        return None

    def headline(self, real: float, fake: float) -> dict[str, float]:
        """The values to show on the terminal, given the critic's mean scores; the names are keys of `meaning`."""
        return {"real": real, "fake": fake}

    converges: ClassVar[bool] = False  # whether `convergence` returns a measure

    def convergence(self) -> Tensor | None:
        """A scalar that falls as training converges, or None if the loss has no such measure."""
        return None


class Penalty(Part):
    """A penalty on the norm of the critic's input gradient, at points that the penalty chooses."""

    every: int = option(1, "apply the penalty in every N-th critic step only, multiplied by N", low=1, metavar="N")

    where: ClassVar[str] = ""  # "real" or "fake" if the penalty uses the gradient at exactly those samples, else ""
    target: ClassVar[float | None] = None  # the gradient norm at which a two-sided penalty is zero, if not 0

    @abstractmethod
    def forward(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        """The penalty, a scalar that includes its weight and the factor `every`."""

    def measured(self, critic: nn.Module, real: Verdict, fake: Verdict) -> tuple[Tensor, dict[str, Tensor]]:
        """The penalty, and scalars to log by name. They are returned because a compiled step cannot store them."""
        return self(critic, real, fake), {}


class Conditioning(Part):
    """A way to condition the critic on labels. The generator is then conditioned on labels too."""

    def needs(self, num_classes: int) -> Needs:
        """The requirements of this conditioning; by default a label on every training example."""
        return Needs(score="", labels="all", asks=True)

    def inputs(self, num_classes: int) -> int:
        """The number of channels that it adds to the input of the critic's trunk."""
        return 0

    @abstractmethod
    def entry(self, num_classes: int, features: int) -> Any:
        """The `networks.conditional.LabelEntry` for a critic with `features` features."""


class Constraint(Part):
    """A condition on the weights of a network."""

    on: str = option("critic", "network whose weights are constrained", choices=("critic", "generator", "both"))

    reparametrises: ClassVar[bool] = False  # whether weights become functions of other parameters

    def attach(self, net: nn.Module) -> None:
        """Prepare a network. Called once, when the game is built."""
        return None

    def enforce(self, net: nn.Module) -> None:
        """Restore the condition. Called after each step of the network."""
        return None

    def cost(self, net: nn.Module) -> Tensor | None:
        """A term to add to the network's loss, or None."""
        return None


def lookup(name: str) -> type[Part]:
    """The part of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in REGISTRY:
        raise UsageError(f"there is no part called {name!r}: {choose(name, sorted(REGISTRY))}")
    return REGISTRY[name]
