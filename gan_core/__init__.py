"""The shared core of GANs: losses, penalties, constraints, the game, the training loop. It is independent of domains.

The public names are those in `__all__`; they are imported lazily. Other names may change without notice.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "gan_core.domain": ("Data", "Domain", "Networks", "Samples", "Scores"),
    "gan_core.errors": ("CheckpointError", "DataError", "DivergedError", "GanError", "UsageError"),
    "gan_core.game.game": ("Game", "Rules"),
    "gan_core.game.prior": ("Prior",),
    "gan_core.labels": ("Labels",),
    "gan_core.networks.conditional": ("Generator",),
    "gan_core.networks.timed": ("Timed",),
    "gan_core.parts.base": ("Conditioning", "Constraint", "Loss", "Needs", "Penalty"),
    "gan_core.parts.fields": ("buffer", "option"),
    "gan_core.parts.penalties": ("NormPenalty",),
    "gan_core.recipes.build": ("build", "make_parts"),
    "gan_core.recipes.published": ("RECIPES", "Recipe"),
    "gan_core.recipes.settings": ("Settings",),
    "gan_core.sample": ("Latent", "Sample", "Verdict"),
    "gan_core.schedules.base": ("Schedule", "constant", "cosine", "exponential", "join", "linear", "steps"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
