"""The one training loop: every method, one phase after another, counted in images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from translate.adversarial import Discriminator
from translate.losses.precision import wide
from translate.method import Batch, Export, Method, Phase, Step
from translate.pipeline.seeds import mix
from translate.runtime import arithmetic
from translate.training import processes
from translate.training.average import Average
from translate.training.layout import in_channels_last
from translate.training.log import Diverged
from translate.training.phases import (
    Player,
    clip_gradient,
    only_these_learn,
    player_changes,
    set_modes,
)
from translate.training.settings import TrainingSettings


class Trainer:
    """A method with everything that changes while it learns: the state of a run.

    Attributes:
        number: steps done.
        images: training images seen, by all processes together.
        averages: of each export's network; empty where no average is kept.
    """

    def __init__(
        self,
        method: Method[Any],
        settings: TrainingSettings,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # sizes stay the same: let it choose once
        self.method = in_channels_last(method.to(device))
        processes.share_batch_norm(self.method)
        self.settings, self.device, self.dtype = settings, device, dtype
        phases = method.phases()
        changes = player_changes(settings, [phase.name for phase in phases])
        self.players = [Player(phase, changes[phase.name]) for phase in phases]
        half = dtype == torch.float16
        self.scalers = {
            p.phase.name: torch.amp.GradScaler(device.type, enabled=half) for p in self.players
        }
        self.names = {m: name for name, m in method.named_modules() if isinstance(m, Discriminator)}
        self.averages = {
            name: Average(export.network, settings.ema_halflife)
            for name, export in method.exports().items()
            if settings.ema_halflife
        }
        self.number = self.images = 0
        self.stage: list[Phase] = []  # the phases that take part now

    def updates(self) -> int:
        """Return how many batches the next step takes: its most frequent player's updates."""
        return max((player.updates for player in self._due()), default=1)

    @property
    def overshot(self) -> bool:
        """Whether more images were seen than the last step to the end can account for."""
        most = self.settings.batch_size * max(player.updates for player in self.players)
        return self.images - self.settings.images >= most

    def _due(self) -> list[Player]:
        """Return the players whose turn it is in the next step."""
        active = (p for p in self.players if p.phase.active(self.images))
        return [p for p in active if self.number % p.phase.every == 0]

    def step(self, batches: Sequence[Sequence[Batch]]) -> dict[str, Tensor]:
        """Train on ``updates()`` batches, each given as micro-batches; return what to log.

        The first batch is every player's; a player that learns more often than once goes on to
        the others. Accumulating equals the larger batch for losses that are means over samples;
        batch norm and contrastive losses see the micro-batch.
        """
        scratch = [[Step(self.number, self.images) for _ in parts] for parts in batches]
        stage = [p for p in self.players if p.phase.active(self.images)]
        due = self._due()
        self._enter([player.phase for player in stage])
        scalars: dict[str, Tensor] = {}

        # Each player takes its turn while the others stand still.
        for turn, player in enumerate(self.players):
            if player not in due:
                continue
            rate = player.set_rate(self.images, self.settings.images)
            for update in range(player.updates):
                place = turn + update * len(self.players)
                terms = self._turn(place, player, batches[update], scratch[update])
                self._settle(player, terms)
            scalars |= {f"{player.phase.name}/{name}": value for name, value in terms.items()}
            scalars[f"{player.phase.name}/rate"] = torch.tensor(rate)
            for critic in player.critics:
                report = critic.report()
                scalars |= {f"{self.names[critic]}/{name}": v for name, v in report.items()}

        # The averages follow what has learned.
        new = sum(len(batch) for parts in batches for batch in parts) * processes.count()
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
        scaler = self.scalers[player.phase.name]
        with only_these_learn(self.method, player.parameters):
            player.optimizer.zero_grad(set_to_none=True)
            for micro, (batch, step) in enumerate(zip(batches, steps, strict=True)):
                self._reseed(turn, micro)
                step.logged.clear()
                with arithmetic(self.device, self.dtype):
                    losses = player.phase.losses(batch, step)
                total = torch.stack([wide(loss) for loss in losses.values()]).sum()
                scaler.scale(total / len(batches)).backward()  # type: ignore[no-untyped-call]
                for name, value in (losses | step.logged).items():
                    share = value.detach().float() / len(batches)
                    sums[name] = sums[name] + share if name in sums else share
            processes.average_gradients(player.parameters)
            scaler.unscale_(player.optimizer)
            norm = clip_gradient(player.parameters, player.clip)
            # Where half precision overflowed, the scaler leaves the update out.
            sums["gradient"] = norm.nan_to_num(0, 0, 0) if scaler.is_enabled() else norm
            scaler.step(player.optimizer)
            scaler.update()
        return sums

    @torch.no_grad()
    def _settle(self, player: Player, terms: Mapping[str, Tensor]) -> None:
        """Do what comes after an update: the objective's own rules, and the method's."""
        for critic in player.critics:
            critic.settle()
        if player.phase.after:
            player.phase.after(processes.average_scalars(terms))

    def _enter(self, stage: list[Phase]) -> None:
        if stage != self.stage:
            set_modes(self.method, stage)
            self.stage = stage

    def _reseed(self, turn: int, micro: int) -> None:
        """Make what is drawn next depend on the place in the run alone; nothing needs saving."""
        seed = mix(self.settings.seed, self.number, turn, micro, processes.rank())
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

    def network(self, name: str, export: Export) -> nn.Module:
        """Return what an export's model is made of: its average, where there is one."""
        average = self.averages.get(name)
        return average.network if average else export.network

    def compile(self) -> None:
        """Compile the networks that learn; each takes a minute or more, once."""
        for player in self.players:
            for module in player.phase.trains:
                (module.network if isinstance(module, Discriminator) else module).compile()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on as if it had never stopped."""
        return {
            "method": self.method.state_dict(),
            "optimizers": {p.phase.name: p.optimizer.state_dict() for p in self.players},
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
            "averages": {name: a.network.state_dict() for name, a in self.averages.items()},
            "number": self.number,
            "images": self.images,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that ``state_dict`` returned."""
        self.method.load_state_dict(state["method"])
        for player in self.players:
            player.optimizer.load_state_dict(state["optimizers"][player.phase.name])
        for name, scaler in self.scalers.items():
            scaler.load_state_dict(state["scalers"][name])
        for name, average in self.averages.items():
            average.network.load_state_dict(state["averages"][name])
        self.number, self.images = state["number"], state["images"]
        self.stage = []
