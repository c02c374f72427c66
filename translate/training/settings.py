"""How a run trains, whatever the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from translate.options import Settings

EVERY = "all"  # the name that stands for every player
Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class PlayerSettings(Settings):
    """What a user may change of how a phase learns; what is not given stays as it is."""

    optimizer: Literal["adam", "adamw", "rmsprop"] | None = Field(default=None, description="kind")
    lr: float | None = Field(default=None, ge=0, description="learning rate")
    betas: tuple[Beta, Beta] | None = Field(default=None, description="of the Adams")
    weight_decay: float | None = Field(default=None, ge=0, le=1, description="pull towards 0")
    schedule: Literal["constant", "linear", "step", "cosine"] | None = Field(
        default=None, description="of the rate; linear: constant for half of the run, then to 0"
    )
    drops: tuple[Share, ...] | None = Field(
        default=None, description="for step: shares of the run after which the rate drops"
    )
    drop: float | None = Field(default=None, gt=0, lt=1, description="for step: what is left then")
    updates: int | None = Field(
        default=None, ge=1, le=100, description="times it learns in a step, from a batch each"
    )
    clip: float | None = Field(default=None, gt=0, description="largest norm of its gradient")


class TrainingSettings(Settings):
    """Everything is counted in training images, so that batch size does not change meaning."""

    images: int = Field(default=200_000, ge=1, description="images to train for")
    batch_size: int = Field(default=1, ge=1, le=4096, description="images in a step")
    accumulate: int = Field(default=1, ge=1, description="parts that a step's batch is cut into")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of everything random")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 where the device is fast at it, fp16 on other GPUs"
    )
    players: Mapping[str, PlayerSettings] = Field(
        default_factory=dict,
        description="players.PHASE.lr and the like, or players.all.lr: how a phase learns",
    )
    ema_halflife: int = Field(
        default=500, ge=0, description="images in which an average forgets half; 0: no average"
    )
    log_every: int = Field(default=200, ge=1, description="images between lines of the log")
    sample_every: int = Field(default=2000, ge=1, description="images between sample grids")
    save_every: int = Field(default=5000, ge=1, description="images between checkpoints")
    snapshot_every: int = Field(
        default=0, ge=0, description="images between snapshots, checkpoints that stay; 0: none"
    )
    store: Literal["fp32", "fp16"] = Field(default="fp32", description="weights in the bundle")

    @model_validator(mode="after")
    def _parts_are_equal(self) -> TrainingSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of accumulate "
                f"({self.accumulate})"
            )
        return self
