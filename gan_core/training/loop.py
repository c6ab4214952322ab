"""The loop: critic steps, a generator step, and at their times logging, samples, scores and checkpoints."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tqdm import tqdm

from gan_core.domain import Domain
from gan_core.errors import CheckpointError, DivergedError, GanError
from gan_core.game.game import Game
from gan_core.game.schedule import DECAYS, Stall
from gan_core.game.trained import PICTURED, Trained
from gan_core.networks.critic import Critic
from gan_core.parts.base import Loss, Part
from gan_core.recipes.build import teaches_classes
from gan_core.recipes.settings import Settings
from gan_core.runtime import dist
from gan_core.runtime.engine import Terms
from gan_core.runtime.randomness import mixed_in, reseed, shuffled
from gan_core.sample import Sample
from gan_core.storage.sealed import write_json, writing
from gan_core.training import checkpoint
from gan_core.training.curves import draw_curves
from gan_core.training.means import Means
from gan_core.training.run import Run
from gan_core.training.signals import Stopped

PATIENCE = 20  # steps in a row that were not finite before a run is given up
DIAGNOSTICS = "diverged.json"  # what was found when a run was given up
PREVIEW = 10  # samples shown on the terminal


class Trainer:
    """Trains a game on a domain's data into a run directory."""

    def __init__(self, game: Game, domain: Domain, run: Run, settings: Settings, device: torch.device) -> None:
        self.game, self.domain, self.run, self.settings, self.device = game, domain, run, settings, device
        self.means = Means()
        self.stall = Stall(settings.lr_patience)
        self.failures = 0
        self.seconds = 0.0  # of training, over all sessions of the run
        self.evaluation: dict[str, Any] = {}
        self.evaluated_at = -1
        self.saved_at = -1
        self.signal = 0
        self.scoring = False

    def resume(self, source: checkpoint.Checkpoint | None) -> None:
        """Go on from a checkpoint, or begin again where there is none yet."""
        if source is not None:
            extra = checkpoint.restore(source, self.game)
            try:
                self.means.load_state_dict(extra["means"])
                self.stall.load_state_dict(extra["stall"])
                self.seconds, self.failures = float(extra["seconds"]), int(extra["failures"])
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise CheckpointError(f"{source.folder / 'state.pt'} does not match this run: {error}") from error
            self.saved_at = self.game.step
        self._forget()

    def train(self, until: float) -> None:
        """Train to `settings.steps`, or for `until` seconds; then score, sample and save.

        Raises:
            Stopped: a signal came; the run is saved.
            DivergedError: the losses stayed non-finite; the run is saved as it was before.
            GanError: the disk is full; the run is as it was last saved.
        """
        if self.game.step == 0:
            self._show_real()
        with self._signals(), self._bar(self.settings.steps) as bar:
            self._play(until, bar)
            if self.saved_at != self.game.step:
                self.save()
            if self._agreed_to_stop(False):  # all evaluate, or none
                raise Stopped(self.signal)
            if self.evaluated_at != self.game.step:
                self._evaluate()
            self._sample(bar)
            if self.signal:
                raise Stopped(self.signal)

    def _play(self, until: float, bar: tqdm) -> None:
        """The steps, and what comes at its times."""
        started, before = time.monotonic(), self.seconds
        while self.game.step < self.settings.steps and not self._agreed_to_stop(time.monotonic() - started >= until):
            self._step()
            self.seconds = before + time.monotonic() - started
            bar.update(1)
            if self._due(self.settings.log_every):
                self._log(bar)
            if self._due(self.settings.sample_every):
                self._sample(bar)
            if self._due(self.settings.eval_every):
                with contextlib.suppress(Stopped):  # it is saved as it is
                    self._evaluate()
            if self._due(self.settings.save_every):
                self.save()

    def _agreed_to_stop(self, late: bool) -> bool:
        """Whether a signal came or the time is over, in any of the processes: then all stop after the same step."""
        code = dist.largest(2 * self.signal + late)
        self.signal = code // 2
        return code > 0

    def save(self) -> checkpoint.Checkpoint:
        """Write a checkpoint of this step."""
        self.run.keep()
        extra = {
            "means": self.means.state_dict(),
            "stall": self.stall.state_dict(),
            "seconds": self.seconds,
            "failures": self.failures,
        }
        saved = checkpoint.save(self.run.checkpoints, self.game, self.domain, extra, self.settings.keep)
        self.saved_at = self.game.step
        return saved

    def summarise(self, config: dict[str, Any]) -> dict[str, Any]:
        """Write summary.json and curves.png."""
        count = {
            role: sum(p.numel() for p in player.net.parameters())
            for role, player in (("generator", self.game.generator), ("critic", self.game.critic))
        }
        summary = {
            **{key: config[key] for key in ("domain", "recipe", "preset")},
            "steps": self.game.step,
            "seconds": round(self.seconds, 3),
            "parameters": count,
            "evaluation": self.evaluation,
        }
        write_json(self.run.path / "summary.json", summary)
        draw_curves(self.run.path)
        return summary

    def _forget(self) -> None:
        self.run.forget_after(self.game.step)

    def _show_real(self) -> None:
        with half_removed(self.run.samples / "real") as stem:
            written = self.domain.write_real(stem, PICTURED)
        self.run.show(0, "real", written)

    def _step(self) -> None:
        game, settings = self.game, self.settings
        game.set_decay(self._decay() * self.stall.factor)
        skipped = False
        for _ in range(settings.critic_steps):
            terms = game.critic_step(self._batch("critic", game.critic_turns, settings.batch_size))
            skipped |= self._count(terms, "critic")
        num = settings.batch_size * settings.generator_batch_multiple
        real = self._batch("generator", game.step, num) if game.needs_reals else None
        terms = game.generator_step(num // dist.size(), self.device, real)
        skipped |= self._count(terms, "generator")
        if settings.lr_decay == "stall" and (measure := game.convergence()) is not None:
            self.stall.watch(measure)
        self.failures = self.failures + 1 if skipped else 0
        if self.failures >= PATIENCE:
            self._diagnose(terms)
            raise DivergedError(
                f"training diverged: no finite gradient in {PATIENCE} steps in a row up to step {game.step}; "
                f"lower --critic-lr and --generator-lr, or take another recipe (checkpoints are in "
                f"{self.run.checkpoints}, what was found in {self.run.path / DIAGNOSTICS})"
            )

    def _decay(self) -> float:
        settings = self.settings
        return DECAYS[settings.lr_decay](min(1.0, self.game.step / (settings.decay_steps or settings.steps)))

    def _count(self, terms: Terms, role: str) -> bool:
        """Add a step's terms to the means; of a step that was not taken only that it was not."""
        skipped = bool(terms[f"{role}/skipped"])
        self.means.add({f"{role}/skipped": terms[f"{role}/skipped"]} if skipped else terms)
        return skipped

    def _diagnose(self, terms: Terms) -> None:
        """Write what there is to see: the terms of the last step, and where gradients are not finite."""
        players = {"generator": self.game.generator, "critic": self.game.critic}
        broken = {
            role: [
                name
                for name, parameter in player.net.named_parameters()
                if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
            ]
            for role, player in players.items()
        }
        rates = {role: player.optimiser.param_groups[0]["lr"] for role, player in players.items()}
        about = {
            "step": self.game.step,
            "steps in a row that were not finite": self.failures,
            "terms of the last step": {name: str(float(value)) for name, value in terms.items()},
            "parameters whose gradient is not finite": broken,
            "learning rates": rates,
        }
        write_json(self.run.path / DIAGNOSTICS, about)

    def _batch(self, player: str, turn: int, n: int) -> Sample:
        positions = np.arange(turn * n, (turn + 1) * n, dtype=np.int64)
        seed = self.settings.seed + (player == "generator")
        reseed(self.settings.seed, f"data for the {player}", turn)  # what a domain draws, such as mirror images
        indices = shuffled(positions, self.domain.num_examples, seed)
        share = self.settings.labelled_share if player == "critic" and len(self.domain.labelled) else 0.0
        if share:
            indices = mixed_in(indices, self.domain.labelled, round(share * n), turn, seed)
        return self.domain.batch(indices[dist.own(n)], self.device)

    def _due(self, every: int) -> bool:
        return every > 0 and self.game.step % every == 0

    def _log(self, bar: tqdm) -> None:
        step = self.game.step
        means = {name: round(value, 7) for name, value in self.means.read().items()}
        rate = step / self.seconds if self.seconds else 0.0
        self.run.metrics(step, {"seconds": round(self.seconds, 3), "it/s": round(rate, 3), **means}, means)
        line = "  ".join(f"{name} {value:.4g}" for name, value in headline(self.game.parts, means).items())
        bar.set_postfix_str(line)
        left = (self.settings.steps - step) / rate if rate else 0.0
        text = f"step {step}/{self.settings.steps}  {line}  {rate:.3g} it/s  {left:.0f} s left"
        self.run.log(text)
        if bar.disable:
            print(text, flush=True)

    def _sample(self, bar: tqdm) -> None:
        step, trained = self.game.step, self.trained()
        for picture in trained.pictures():
            name = f"{picture.name}-{step:06d}" if picture.name else f"{step:06d}"
            with half_removed(self.run.samples / name) as stem:
                written = self.domain.write_samples(stem, picture.batches, picture.columns)
            self.run.show(step, picture.name or "samples", written)
        lines = self.domain.preview(trained.draw(PREVIEW))
        self.run.text(step, "samples", lines)
        if lines:
            text = "\n".join([f"samples at step {step}:", *("  " + line for line in lines)])
            self.run.log(text)
            bar.write(text) if not bar.disable else print(text, flush=True)

    def _evaluate(self) -> None:
        """Score what was learned. All processes draw the samples, and stop together; then only the first one scores.

        Raises:
            Stopped: a signal came.
        """
        self.scoring = dist.size() == 1
        try:
            self.evaluation = self.domain.evaluate(self.trained())
        finally:
            self.scoring = False
        self.evaluated_at = self.game.step
        scalars = self.domain.scalars(self.evaluation)
        self.run.metrics(
            self.game.step,
            {"seconds": round(self.seconds, 3), "evaluation": self.evaluation, "scores": scalars},
            scalars,
        )
        self.run.log("  ".join(f"{name} {value:.4f}" for name, value in scalars.items()))

    def _between(self) -> None:
        """Leave the drawing of samples where a signal came to any of several processes: all leave at the same batch."""
        if dist.size() > 1 and self._agreed_to_stop(False):
            raise Stopped(self.signal)

    def _collected(self) -> None:
        """From now on a signal ends the scoring at once, as one does that came just now."""
        self.scoring = True
        if self.signal:
            raise Stopped(self.signal)

    def trained(self) -> Trained:
        """What was learned so far; samples come from the generator's average where there is one."""
        game, settings = self.game, self.settings
        critic = cast(Critic, game.critic.net)
        return Trained(
            game.generator.best, critic, game.prior, settings.seed, settings.batch_size, self.device,
            teaches_classes(game.parts, len(self.domain.labels)), self._between, self._collected,
        )  # fmt: skip

    def _bar(self, steps: int) -> tqdm:
        hidden = dist.rank() > 0 or not sys.stderr.isatty()
        return tqdm(total=steps, initial=self.game.step, unit="it", disable=hidden, dynamic_ncols=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM let the step finish, not the scoring; a second one ends the process at once."""

        def handle(number: int, frame: Any) -> None:
            self.signal = number
            print(
                f"\n{signal.Signals(number).name}: saving; once more to quit at once",
                file=sys.stderr,
                flush=True,
            )
            if dist.size() == 1:  # torchrun itself passes a signal on once more
                signal.signal(number, signal.SIG_DFL)
            if self.scoring:  # may take minutes; it changes nothing, and `evaluate` can do it at any time
                raise Stopped(number)

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Follower(Trainer):
    """A process that trains along with the first one and leaves writing and scoring to it."""

    def __init__(self, game: Game, domain: Domain, settings: Settings, device: torch.device) -> None:
        super().__init__(game, domain, cast(Run, None), settings, device)

    def save(self) -> None:  # type: ignore[override]
        self.saved_at = self.game.step

    def summarise(self, config: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _forget(self) -> None:
        pass

    def _show_real(self) -> None:
        pass

    def _diagnose(self, terms: Terms) -> None:
        pass

    def _log(self, bar: tqdm) -> None:
        self.means.read()

    def _sample(self, bar: tqdm) -> None:
        pass

    def _evaluate(self) -> None:
        self.domain.evaluate(self.trained())  # its share of the samples
        self.evaluated_at = self.game.step

    def _collected(self) -> None:
        pass


@contextlib.contextmanager
def half_removed(stem: Path) -> Iterator[Path]:
    """Yield the stem of a file to write; what could not be written whole does not stay.

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
    """The few means that are shown on the terminal, by name: the two losses, and what each part shows of itself."""
    shown = {role: means[f"{role}/total"] for role in ("critic", "generator") if f"{role}/total" in means}
    for part in parts:
        if isinstance(part, Loss) and "critic/real" in means:
            shown |= part.headline(means["critic/real"], means["critic/fake"])
    for part in parts:
        for name in part.meaning:
            key = f"{part.name}/{name}"
            if key in means:  # there is none of steps that were not taken
                shown[key if name in shown else name] = means[key]
    return shown


def legend(parts: list[Part]) -> list[str]:
    """What the names of `headline` mean, a line each."""
    meaning = {name: text for part in parts for name, text in part.meaning.items()}
    return [f"{name + ':':<15} {text}" for name, text in meaning.items()]
