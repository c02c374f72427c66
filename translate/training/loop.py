"""The one training loop: every method, one phase after another, counted in images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from translate.method import Batch, Method, Phase, Step
from translate.pipeline.seeds import mix
from translate.runtime import arithmetic
from translate.training.average import Average
from translate.training.log import Diverged
from translate.training.phases import Player, only_these_learn, set_modes
from translate.training.settings import TrainingSettings


class Trainer:
    """A method with everything that changes while it learns: the state of a run.

    Attributes:
        number: steps done.
        images: training images seen.
        averages: of each export's network; empty where no average is kept.
    """

    def __init__(
        self,
        method: Method[Any],
        settings: TrainingSettings,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.method = method.to(device)
        self.settings, self.device, self.dtype = settings, device, dtype
        self.players = [Player(phase) for phase in method.phases()]
        self.averages = {
            name: Average(export.network, settings.ema_halflife)
            for name, export in method.exports().items()
            if settings.ema_halflife
        }
        self.number = self.images = 0
        self.stage: list[Phase] = []  # the phases that take part now

    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Train on one batch, given as micro-batches, and return what to log.

        Accumulating equals the larger batch for losses that are means over samples; batch norm
        and contrastive losses see the micro-batch.
        """
        steps = [Step(self.number, self.images) for _ in batches]
        stage = [p for p in self.players if p.phase.active(self.images)]
        self._enter([player.phase for player in stage])
        scalars: dict[str, Tensor] = {}

        # Each player takes its turn while the others stand still.
        for turn, player in enumerate(self.players):
            if player not in stage or self.number % player.phase.every:
                continue
            player.set_rate(self.images, self.settings.images)
            terms = self._turn(turn, player, batches, steps)
            if player.phase.after:
                with torch.no_grad():
                    player.phase.after(terms)
            scalars |= {f"{player.phase.name}/{name}": value for name, value in terms.items()}

        # The averages follow what has learned.
        new = sum(len(batch) for batch in batches)
        self.number += 1
        self.images += new
        learning = {p for player in stage for p in player.parameters}
        for average in self.averages.values():
            average.update(self.images, new, learning)
        return scalars

    def _turn(
        self, turn: int, player: Player, batches: Sequence[Batch], steps: Sequence[Step]
    ) -> dict[str, Tensor]:
        """Let one player learn from all micro-batches; return its terms and logs, averaged."""
        sums: dict[str, Tensor] = {}
        with only_these_learn(self.method, player.parameters):
            player.optimizer.zero_grad(set_to_none=True)
            for micro, (batch, step) in enumerate(zip(batches, steps, strict=True)):
                self._reseed(turn, micro)
                step.logged.clear()
                with arithmetic(self.device, self.dtype):
                    losses = player.phase.losses(batch, step)
                total = torch.stack([loss.float() for loss in losses.values()]).sum()
                (total / len(batches)).backward()  # type: ignore[no-untyped-call]
                for name, value in (losses | step.logged).items():
                    share = value.detach().float() / len(batches)
                    sums[name] = sums[name] + share if name in sums else share
            player.optimizer.step()
        return sums

    def _enter(self, stage: list[Phase]) -> None:
        if stage != self.stage:
            set_modes(self.method, stage)
            self.stage = stage

    def _reseed(self, turn: int, micro: int) -> None:
        """Make what is drawn next depend on the place in the run alone; nothing needs saving."""
        seed = mix(self.settings.seed, self.number, turn, micro)
        # torch.manual_seed costs a hundred times as much: it reseeds every device there is.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            place = torch.cuda.current_device() if self.device.index is None else self.device.index
            torch.cuda.default_generators[place].manual_seed(seed)

    def check(self) -> None:
        """Make sure that what was learned is worth keeping.

        Raises:
            Diverged: if a weight is no finite number.
        """
        for name, parameter in self.method.named_parameters():
            if not parameter.isfinite().all():
                raise Diverged(self.images, f"{name} is not finite")

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on as if it had never stopped."""
        return {
            "method": self.method.state_dict(),
            "optimizers": {p.phase.name: p.optimizer.state_dict() for p in self.players},
            "averages": {name: a.network.state_dict() for name, a in self.averages.items()},
            "number": self.number,
            "images": self.images,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that ``state_dict`` returned."""
        self.method.load_state_dict(state["method"])
        for player in self.players:
            player.optimizer.load_state_dict(state["optimizers"][player.phase.name])
        for name, average in self.averages.items():
            average.network.load_state_dict(state["averages"][name])
        self.number, self.images = state["number"], state["images"]
        self.stage = []
