"""How a run trains, whatever the method."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from translate.options import Settings


class TrainingSettings(Settings):
    """Everything is counted in training images, so that batch size does not change meaning."""

    images: int = Field(default=200_000, ge=1, description="images to train for")
    batch_size: int = Field(default=1, ge=1, le=4096, description="images in a step")
    accumulate: int = Field(default=1, ge=1, description="parts that a step's batch is cut into")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of everything random")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 where the device is fast at it"
    )
    ema_halflife: int = Field(
        default=500, ge=0, description="images in which an average forgets half; 0: no average"
    )
    log_every: int = Field(default=200, ge=1, description="images between lines of the log")
    sample_every: int = Field(default=2000, ge=1, description="images between sample grids")
    save_every: int = Field(default=5000, ge=1, description="images between checkpoints")
    store: Literal["fp32", "fp16"] = Field(default="fp32", description="weights in the bundle")

    @model_validator(mode="after")
    def _parts_are_equal(self) -> TrainingSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of accumulate "
                f"({self.accumulate})"
            )
        return self
