"""The training loop: critic steps, a generator step, and at intervals logs, samples, scores and checkpoints."""

import contextlib
import time
from typing import Any, cast

import numpy as np
import torch

from gan_core.domain import Domain
from gan_core.errors import CheckpointError, DivergedError, named
from gan_core.game.game import Game
from gan_core.game.trained import Trained, nothing
from gan_core.networks.critic import Critic
from gan_core.recipes.build import teaches_classes
from gan_core.recipes.settings import Settings
from gan_core.runtime import dist
from gan_core.runtime.engine import Terms
from gan_core.runtime.randomness import mixed_in, reseed, shuffled
from gan_core.sample import Sample
from gan_core.training import checkpoint
from gan_core.training.means import Means
from gan_core.training.recorder import Moment, Recorder
from gan_core.training.signals import Signals, Stopped

PATIENCE = 20  # consecutive steps with non-finite gradients after which training stops as diverged


class Trainer:
    """Trains a game on a domain's data.

    recorder: writes the run; None on every rank but 0.
    """

    def __init__(
        self, game: Game, domain: Domain, settings: Settings, device: torch.device, recorder: Recorder | None = None
    ) -> None:
        assert domain.data is not None and domain.scores is not None
        self.game, self.domain, self.settings, self.device = game, domain, settings, device
        self.data, self.scores = domain.data, domain.scores
        self.recorders = [] if recorder is None else [recorder]
        self.means = Means()
        self.signals = Signals()
        self.failures = 0
        self.seconds = 0.0  # of training, over all sessions of the run
        self.evaluation: dict[str, Any] = {}
        self.evaluated_at = -1
        self.saved_at = -1

    @property
    def moment(self) -> Moment:
        """The step and the training time of the run so far."""
        return Moment(self.game.step, self.settings.steps, self.seconds)

    def resume(self, source: checkpoint.Checkpoint | None) -> None:
        """Continue from a checkpoint, or start over if there is none (None)."""
        if source is not None:
            extra = checkpoint.restore(source, self.game)
            try:
                self.means.load_state_dict(extra["means"])
                self.seconds, self.failures = float(extra["seconds"]), int(extra["failures"])
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise CheckpointError(f"{source.folder / 'state.pt'} does not match this run: {error}") from error
            self.saved_at = self.game.step
        for recorder in self.recorders:
            recorder.forget_after(self.game.step)

    def train(self, until: float) -> None:
        """Train up to `settings.steps`, or for `until` seconds; then save, score and sample.

        Raises:
            Stopped: a signal arrived; the run has been saved.
            DivergedError: gradients stayed non-finite; the last checkpoint is from before.
            GanError: the disk is full; the last checkpoint is intact.
        """
        with contextlib.ExitStack() as stack:
            for recorder in self.recorders:
                stack.enter_context(recorder.recording(self.game.step, self.settings.steps))
            stack.enter_context(self.signals.watched())
            self._play(until)
            if self.saved_at != self.game.step:
                self.save()
            if self.signals.agreed():  # either all processes evaluate or none
                self.signals.check()
            if self.evaluated_at != self.game.step:
                self._evaluate()
            self._sample()
            self.signals.check()

    def _play(self, until: float) -> None:
        """Run the steps, and log, sample, score and save at their intervals."""
        settings = self.settings
        started, before = time.monotonic(), self.seconds
        while self.game.step < settings.steps and not self.signals.agreed(time.monotonic() - started >= until):
            self._step()
            self.seconds = before + time.monotonic() - started
            for recorder in self.recorders:
                recorder.advance()
            if self._due(settings.log_every):
                self._log()
            if self._due(settings.sample_every):
                self._sample()
            if self._due(settings.eval_every):
                with contextlib.suppress(Stopped):  # the loop's condition sees the signal, and `train` saves
                    self._evaluate()
            if self._due(settings.save_every):
                self.save()

    def _due(self, every: int) -> bool:
        return every > 0 and self.game.step % every == 0

    def _step(self) -> None:
        """One iteration: the critic's steps, then one generator step."""
        game, settings = self.game, self.settings
        skipped = False
        for _ in range(settings.critic_steps):
            terms = game.critic_step(self._batch("critic", game.critic_turns, settings.batch_size))
            skipped |= self._count(terms, "critic")
        num = settings.batch_size * settings.generator_batch_multiple
        real = self._batch("generator", game.step, num) if game.needs_reals else None
        terms = game.generator_step(num // dist.size(), self.device, real)
        skipped |= self._count(terms, "generator")
        self.failures = self.failures + 1 if skipped else 0
        if self.failures >= PATIENCE:
            where = [recorder.diagnose(self._diagnosis(terms)) for recorder in self.recorders]
            raise DivergedError(
                f"training diverged: no finite gradient in {PATIENCE} steps in a row up to step {game.step}; "
                f"lower {named('critic_lr')} and {named('generator_lr')}, or take another recipe "
                f"{' '.join(where)}".rstrip()
            )

    def _batch(self, player: str, turn: int, n: int) -> Sample:
        """This process's rows of a player's batch of n real samples; `turn` counts the player's steps from 0."""
        positions = np.arange(turn * n, (turn + 1) * n, dtype=np.int64)
        seed = self.settings.seed + (player == "generator")
        reseed(self.settings.seed, f"data for the {player}", turn)  # for a domain's augmentation, such as flips
        indices = shuffled(positions, self.data.num_examples, seed)
        share = self.settings.labelled_share if player == "critic" and len(self.data.labelled) else 0.0
        if share:
            indices = mixed_in(indices, self.data.labelled, round(share * n), turn, seed)
        return self.data.batch(indices[dist.own(n)], self.device, self.game.step)

    def _count(self, terms: Terms, role: str) -> bool:
        """Add a step's terms to the means and return whether the step was skipped; then only `skipped` is added."""
        skipped = bool(terms[f"{role}/skipped"])
        self.means.add({f"{role}/skipped": terms[f"{role}/skipped"]} if skipped else terms)
        return skipped

    def _diagnosis(self, terms: Terms) -> dict[str, Any]:
        """Diagnostics of non-finite steps: the terms of the last step, and the parameters with non-finite gradients."""
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
        return {
            "step": self.game.step,
            "steps in a row that were not finite": self.failures,
            "terms of the last step": {name: str(float(value)) for name, value in terms.items()},
            "parameters whose gradient is not finite": broken,
            "learning rates": rates,
        }

    def _log(self) -> None:
        means = self.means.read()
        for recorder in self.recorders:
            recorder.log(self.moment, means)

    def _sample(self) -> None:
        for recorder in self.recorders:
            recorder.sample(self.moment, self.trained())

    def _evaluate(self) -> None:
        """Evaluate the networks. All processes draw samples and stop together; then only rank 0 computes the scores.

        Raises:
            Stopped: a signal arrived.
        """
        self.signals.interrupting = dist.size() == 1
        try:
            self.evaluation = self.scores.evaluate(self.trained())
        finally:
            self.signals.interrupting = False
        self.evaluated_at = self.game.step
        for recorder in self.recorders:
            recorder.score(self.moment, self.evaluation)

    def save(self) -> None:
        """Write a checkpoint of this step."""
        extra = {"means": self.means.state_dict(), "seconds": self.seconds, "failures": self.failures}
        for recorder in self.recorders:
            recorder.save(self.game, extra)
        self.saved_at = self.game.step

    def summarise(self, config: dict[str, Any]) -> None:
        """Write the summary of the run."""
        players = {"generator": self.game.generator, "critic": self.game.critic}
        count = {role: sum(p.numel() for p in player.net.parameters()) for role, player in players.items()}
        for recorder in self.recorders:
            recorder.summarise(config, self.moment, count, self.evaluation)

    def trained(self) -> Trained:
        """The networks as trained so far; the generator is the running average if there is one."""
        game, settings = self.game, self.settings
        return Trained(
            game.generator.best, cast(Critic, game.critic.net), game.prior, settings.seed, settings.batch_size,
            self.device, teaches_classes(game.parts, len(self.domain.labels)), self.signals.between,
            self.signals.interruptible if self.recorders else nothing,
        )  # fmt: skip
