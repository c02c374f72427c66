"""A small student learns a teacher's outputs, and its features on the way to them.

Matching outputs alone averages fine texture away, because its phase cannot be guessed. So each
stage of the student first learns the teacher's stage of the same name, on the teacher's own
features (Romero et al. 2014, arXiv:1412.6550, stage by stage), and then all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from translate import (
    AdversarialOptions,
    Batch,
    Discriminator,
    Export,
    Facts,
    Fit,
    Fixed,
    Method,
    Model,
    Optimizer,
    Phase,
    Step,
    UsageError,
    load_model,
)
from translate.losses import band_distance
from translate.networks import PatchGAN, ResnetGenerator, features, initialise

Channels = Annotated[int, Field(ge=1, le=4096)]
Weight = Annotated[float, Field(ge=0)]


class DistillOptions(AdversarialOptions):
    """What the student is, and what it is held to."""

    teacher: str = Field(default="", description="the model to learn from: a name or a file")
    widths: tuple[Channels, Channels, Channels] = Field(
        default=(16, 32, 128), description="student's channels after stem and halvings"
    )
    blocks: int = Field(default=6, ge=3, le=32, description="student's residual blocks")
    stages_until: int = Field(
        default=0, ge=0, description="images during which each stage learns on its own"
    )
    band_weights: tuple[Weight, ...] = Field(
        default=(4.0, 2.0, 1.0, 1.0),
        min_length=1,
        max_length=5,
        description="of the output's frequency bands, fine to coarse",
    )
    feature_weight: float = Field(
        default=1.0, ge=0, description="of the features; more copies the teacher's way of working"
    )
    adversarial_weight: float = Field(
        default=0.0, ge=0, description="of looking real beside --data's B side; more is crisper"
    )
    adversarial_since: int = Field(default=0, ge=0, description="images before the judge joins in")
    judge_width: int = Field(default=32, ge=4, le=128, description="the judge's channels")


class Distill(Method[DistillOptions]):
    """The student is a separable residual generator; any image model of one size can teach."""

    Options = DistillOptions

    def __init__(self, options: DistillOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.student = initialise(
            ResnetGenerator(
                (facts.channels, facts.channels),
                widths=options.widths,
                blocks=options.blocks,
                separable=True,
            )
        )
        self.depths = [f"stages.{name}" for name, _ in self.student.stages.named_children()]
        if options.adversarial_weight:
            judge = initialise(PatchGAN(facts.channels, width=options.judge_width))
            self.judge = Discriminator(judge, options)
        self.model: Model | None = None

    @classmethod
    def data(cls, options: DistillOptions) -> Mapping[str, object]:
        judged = options.adversarial_weight > 0
        domains, minimum = (("a", "b"), 24) if judged else (("a",), 16)  # 24: the judge's patches
        return {"domains": domains, "multiple_of": 4, "minimum": minimum}

    def prepare(self) -> None:
        o = self.options
        if not o.teacher:
            raise UsageError("distill: name the model to learn from with --set teacher=MODEL")
        model = load_model(o.teacher)
        if model.fit.scale != 1 or set(model.export.reads) != {"image"}:
            raise UsageError(f"distill: {o.teacher} does not make one picture of one of its size")
        network = model.network
        alike = isinstance(network, ResnetGenerator) and network.widths == o.widths
        if not alike and (o.feature_weight or o.stages_until):
            widths = getattr(network, "widths", "none like the student's")
            raise UsageError(
                f"distill: {o.teacher} has stages of widths {widths}; --set widths to them, or "
                "--set feature_weight=0 --set stages_until=0 to learn from its outputs alone"
            )
        self.model, self.teacher = model, Fixed(network)

    def phases(self) -> Sequence[Phase]:
        o = self.options
        learn = Optimizer(lr=1e-3, betas=(0.9, 0.999), schedule="linear")
        alone = Phase("stages", [self.student], self.stage_losses, learn, until=o.stages_until)
        whole = Phase("student", [self.student], self.student_losses, learn, since=o.stages_until)
        if not o.adversarial_weight:
            return [alone, whole]
        # The student keeps its own optimizer: what it learns from is its teacher above all.
        judging = self.judge.optimizer(Optimizer())
        judge = Phase("judge", [self.judge], self.judge_losses, judging, since=o.adversarial_since)
        return [alone, whole, judge]

    def stage_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Compare each stage's work on the teacher's own features with the teacher's."""
        taught = self.lesson(batch)
        inputs = [batch["a"], *taught[:-1]]
        learned = [stage(x) for stage, x in zip(self.student.stages, inputs, strict=True)]
        return {
            "features": distance(learned[:-1], taught[:-1]),
            "output": band_distance(learned[-1], taught[-1], self.options.band_weights),
        }

    def student_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        o = self.options
        taught = self.lesson(batch)
        learned = features(self.student, batch["a"], self.depths)
        output = learned[-1]
        terms = {"output": band_distance(output, taught[-1], o.band_weights)}
        if o.feature_weight:
            terms["features"] = o.feature_weight * distance(learned[:-1], taught[:-1])
        if o.adversarial_weight and step.images >= o.adversarial_since:
            looks_real = self.judge.generator_loss(output, batch["b"], batch)
            terms["adversarial"] = o.adversarial_weight * looks_real
        step.keep(output=output)
        return terms

    def judge_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        fake = step.recall("output", lambda: self.student(batch["a"]))
        return {"judge": self.judge.discriminator_loss(batch["b"], fake, batch)}

    @torch.no_grad()
    def lesson(self, batch: Batch) -> list[Tensor]:
        """Return what the teacher makes of side A: after each stage, or the result alone."""
        assert self.model is not None, "prepare() comes before the first step"
        if isinstance(self.model.network, ResnetGenerator):
            return features(self.model.network, batch["a"], self.depths)
        settings = self.model.method.RunOptions()
        return [self.model(Batch({"image": batch["a"]}, batch.seeds, settings=settings))]

    def exports(self) -> Mapping[str, Export]:
        return {"student": Export(self.student, {"image": "a"}, like="b")}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        return Fit(multiple_of=4, minimum=16)


def distance(learned: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Return the mean over depths of the squared error as a share of the teacher's variance."""
    shares = [
        (x.float() - y.float()).square().mean() / y.float().var().clamp(min=1e-6)
        for x, y in zip(learned, taught, strict=True)
    ]
    return torch.stack(shares).mean()
