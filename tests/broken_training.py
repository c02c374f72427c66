"""Methods whose training is broken, each in one way, for the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from broken_methods import Tiny, TinyOptions, breaks
from translate import Batch, Facts, Fixed, Optimizer, Phase, Step


@breaks("prepare", "prepare() fails; give options with which it can work: OSError: no teacher")
class Unprepared(Tiny):
    def prepare(self) -> None:
        raise OSError("no teacher")


class OnPhases(Tiny):
    """Changes its phases."""

    def phases(self) -> Sequence[Phase]:
        maker, judge = super().phases()
        return self.change(maker, judge)

    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [maker, judge]


@breaks("phases", "two phases are called 'maker'")
class SameName(OnPhases):
    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [maker, replace(judge, name="maker")]


@breaks("phases", "phase 'judge' names nothing that can learn")
class NamesNothing(OnPhases):
    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [maker, replace(judge, trains=[])]


@breaks("phases", "phase 'maker' trains a network that is no attribute of the method")
class TrainsForeign(OnPhases):
    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [replace(maker, trains=[self.maker, nn.Linear(1, 1)]), judge]


@breaks("phases", "no phase takes part at the beginning")
class BeginsNever(OnPhases):
    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [replace(maker, since=10), replace(judge, since=10)]


class OnLosses(Tiny):
    """Changes the maker's losses."""

    def maker_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.change(super().maker_losses(batch, step), batch)
        return terms

    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms


@breaks("losses", "'like' is float, not a scalar tensor")
class NotTensors(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return {name: term.item() for name, term in terms.items()}


@breaks("losses", "'like' is (2,), not a scalar tensor")
class NotScalars(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms | {"like": terms["like"].repeat(2)}


@breaks("losses", "phase 'maker': 'like' is inf")
class Infinite(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms | {"like": terms["like"] / 0}


@breaks("losses", "none of its terms (like, taught, judged) has a gradient")
class NoGradient(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return {name: term.detach() for name, term in terms.items()}


@breaks("losses", "phase 'maker': its losses fail: KeyError: 'lable'")
class Misspelt(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms | {"label": batch["lable"].sum()}


@breaks("losses in bf16", "compute them with .float()")
class CancelsInTraining(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms | {"extra": (self.maker(batch["a"]) + 1003 - 1000).mean()}


@breaks("turns", "phase 'maker' changes judge.0.weight, which it does not name")
class WritesToOthers(OnLosses):
    @torch.no_grad()
    def clip(self) -> None:
        self.judge.get_parameter("0.weight").clamp_(-0.01, 0.01)

    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        self.clip()
        return {"like": terms["like"]}


@breaks("turns", "phase 'maker' names spare, but its losses do not reach it")
class NamesTooMuch(OnPhases):
    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.spare = nn.Linear(2, 2)

    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [replace(maker, trains=[self.maker, self.spare]), judge]


@breaks("frozen", "training thaws teacher, a Fixed network")
class Thaws(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        self.teacher.network.requires_grad_(True)
        return terms


@breaks("frozen", "training changes a Fixed network: teacher.weight")
class TeachesTheTeacher(Tiny):
    def remember(self, terms: Mapping[str, Tensor]) -> None:
        self.teacher.network.weight.mul_(0.9)


@breaks("learns", "phase 'maker' does not learn one batch")
class UphillAll(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return {name: 2 * term.detach() - term for name, term in terms.items()}


@breaks("learns", "turns at lr=500.0")
class TooFast(OnPhases):
    def change(self, maker: Phase, judge: Phase) -> Sequence[Phase]:
        return [replace(maker, optimizer=Optimizer(lr=500.0)), judge]


@breaks("repeats", "draw from batch.noise()")
class DrawsElsewhere(OnLosses):
    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        return terms | {"like": terms["like"] * float(np.random.rand())}


@breaks("resumes", "a resumed run has another past (4 and 2 things)")
class ForgetsAList(OnLosses):
    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.past: list[Tensor] = []

    def change(self, terms: dict[str, Tensor], batch: Batch) -> Any:
        if self.training or self.maker.training:
            self.past.append(terms["like"].detach())
        return terms


@breaks("resumes", "a resumed run has another teacher.weight; ")
class ForgetsItsTeacher(Tiny):
    def prepare(self) -> None:  # another one after each start
        self.teacher = Fixed(nn.Conv2d(3, 3, 1))


class Counting(nn.Conv2d):
    """Changes with training in a way that is in no state dict."""

    gain = 1.0

    def forward(self, x: Tensor) -> Tensor:
        self.gain = 0.5 if self.training else self.gain
        return self.gain * super().forward(x)


@breaks("bundle after training", "after saving and loading; something that it needs is not in")
class KeepsAGain(Tiny):
    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.counting = Counting(3, 3, 3, padding=1)
        self.maker = nn.Sequential(self.counting, nn.Tanh())

    def get_extra_state(self) -> dict[str, float]:
        return {"gain": self.counting.gain}

    def set_extra_state(self, state: dict[str, float]) -> None:
        self.counting.gain = state["gain"]
