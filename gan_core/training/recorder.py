"""Records a run while it trains: losses, samples, scores and checkpoints, on the disk and on the screen."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gan_core.domain import Domain
from gan_core.errors import GanError
from gan_core.game.game import Game
from gan_core.game.trained import Trained
from gan_core.parts.base import Loss, Part
from gan_core.storage.sealed import write_json, writing
from gan_core.training import checkpoint
from gan_core.training.curves import draw_curves
from gan_core.training.run import Run

DIAGNOSTICS = "diverged.json"  # diagnostics of a run that diverged
PREVIEW = 10  # samples shown on the terminal


@dataclass(frozen=True)
class Moment:
    """A point in a run: its step, the total number of steps, and the seconds of training over all sessions."""

    step: int
    steps: int
    seconds: float

    @property
    def rate(self) -> float:
        """Generator steps a second."""
        return self.step / self.seconds if self.seconds else 0.0


class Screen(Protocol):
    """Shows the progress of training to a person."""

    def start(self, step: int, steps: int) -> None:
        """Training starts at `step`, of `steps` in total."""

    def advance(self) -> None:
        """One more step is done."""

    def status(self, short: str, long: str) -> None:
        """Show the losses: `short` in a progress bar, or `long` as a line."""

    def write(self, text: str) -> None:
        """Show lines that stay on the screen."""

    def close(self) -> None:
        """Training ends."""


class Lines:
    """A screen that prints lines."""

    def start(self, step: int, steps: int) -> None:
        """Nothing is printed."""

    def advance(self) -> None:
        """Nothing is printed."""

    def status(self, short: str, long: str) -> None:
        print(long, flush=True)

    def write(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class Recorder:
    """Writes a run's folder and its screen; only rank 0 has one.

    kept: the number of checkpoints to keep.
    """

    def __init__(self, run: Run, domain: Domain, parts: list[Part], kept: int, screen: Screen | None = None) -> None:
        self.run, self.domain, self.parts, self.kept = run, domain, parts, kept
        self.screen: Screen = screen or Lines()

    def forget_after(self, step: int) -> None:
        """Drop the records after a step, because a resumed run records them again."""
        self.run.forget_after(step)

    @contextlib.contextmanager
    def recording(self, step: int, steps: int) -> Iterator[None]:
        """The context of one training session; at step 0 it first writes real samples for comparison."""
        if step == 0:
            with half_removed(self.run.samples / "real") as stem:
                written = self.domain.samples.show_real(stem, self.domain.samples.pictured)
            self.run.show(0, "real", written)
        self.screen.start(step, steps)
        try:
            yield
        finally:
            self.screen.close()

    def advance(self) -> None:
        """One more step is done."""
        self.screen.advance()

    def log(self, moment: Moment, means: dict[str, float]) -> None:
        """Record the mean losses since the last call."""
        means = {name: round(value, 7) for name, value in means.items()}
        timed = {"seconds": round(moment.seconds, 3), "it/s": round(moment.rate, 3)}
        self.run.metrics(moment.step, {**timed, **means}, means)
        line = "  ".join(f"{name} {value:.4g}" for name, value in headline(self.parts, means).items())
        left = (moment.steps - moment.step) / moment.rate if moment.rate else 0.0
        text = f"step {moment.step}/{moment.steps}  {line}  {moment.rate:.3g} it/s  {left:.0f} s left"
        self.run.log(text)
        self.screen.status(line, text)

    def sample(self, moment: Moment, trained: Trained) -> None:
        """Record pictures of samples, and a few samples as text."""
        step = moment.step
        for picture in trained.pictures(self.domain.samples.pictured):
            name = f"{picture.name}-{step:06d}" if picture.name else f"{step:06d}"
            with half_removed(self.run.samples / name) as stem:
                written = self.domain.samples.show(stem, picture, trained)
            self.run.show(step, picture.name or "samples", written)
        lines = self.domain.samples.preview(trained.draw(PREVIEW))
        self.run.text(step, "samples", lines)
        if lines:
            text = "\n".join([f"samples at step {step}:", *("  " + line for line in lines)])
            self.run.log(text)
            self.screen.write(text)

    def score(self, moment: Moment, evaluation: dict[str, Any]) -> None:
        """Record an evaluation."""
        assert self.domain.scores is not None
        scalars = self.domain.scores.scalars(evaluation)
        values = {"seconds": round(moment.seconds, 3), "evaluation": evaluation, "scores": scalars}
        self.run.metrics(moment.step, values, scalars)
        self.run.log("  ".join(f"{name} {value:.4f}" for name, value in scalars.items()))

    def save(self, game: Game, extra: dict[str, Any]) -> None:
        """Write a checkpoint."""
        self.run.keep()
        checkpoint.save(self.run.checkpoints, game, self.domain.samples, extra, self.kept)

    def diagnose(self, about: dict[str, Any]) -> str:
        """Write the diagnostics of a diverged run; return a phrase that says where they and the checkpoints are."""
        write_json(self.run.path / DIAGNOSTICS, about)
        return f"(checkpoints are in {self.run.checkpoints}, what was found in {self.run.path / DIAGNOSTICS})"

    def summarise(
        self, config: dict[str, Any], moment: Moment, parameters: dict[str, int], evaluation: dict[str, Any]
    ) -> None:
        """Write summary.json and curves.png."""
        summary = {
            **{key: config[key] for key in ("domain", "recipe", "preset")},
            "steps": moment.step,
            "seconds": round(moment.seconds, 3),
            "parameters": parameters,
            "evaluation": evaluation,
        }
        write_json(self.run.path / "summary.json", summary)
        draw_curves(self.run.path)


@contextlib.contextmanager
def half_removed(stem: Path) -> Iterator[Path]:
    """Yield the stem of a file to write; if the disk is full, files that were begun are removed.

    Raises:
        GanError: the disk is full.
    """
    try:
        with writing(stem, "free some space there, then resume"):
            yield stem
    except GanError:
        for half in stem.parent.glob(f"{stem.name}.*"):
            half.unlink()
        raise


def headline(parts: list[Part], means: dict[str, float]) -> dict[str, float]:
    """The means that the terminal shows, by name: the total losses of both players, and the readings of the parts."""
    shown = {role: means[f"{role}/total"] for role in ("critic", "generator") if f"{role}/total" in means}
    for part in parts:
        if isinstance(part, Loss) and "critic/real" in means:
            shown |= part.headline(means["critic/real"], means["critic/fake"])
    for part in parts:
        for name in part.meaning:
            key = f"{part.name}/{name}"
            if key in means:  # skipped steps have no readings
                shown[key if name in shown else name] = means[key]
    return shown


def legend(parts: list[Part]) -> list[str]:
    """The meaning of the names in `headline`, one line per name."""
    meaning = {name: text for part in parts for name, text in part.meaning.items()}
    return [f"{name + ':':<15} {text}" for name, text in meaning.items()]
