"""The bundled model of digits: it is small, it says where it comes from, and it makes digits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import translate
from translate.inference.plan import Request
from translate_datasets.labelled import Labelled, LabelledOptions
from translate_measures.classifier import accuracy, chosen, train

torch.set_num_threads(1)


def test_every_class_is_a_bright_figure_on_black_and_no_two_are_alike() -> None:
    digits = translate.Generator(translate.load_model("digits"), device="cpu")
    requests = [Request("", seed, label) for label in range(10) for seed in range(8)]
    pixels = np.stack([picture.pixels for picture in digits.pictures(requests)]).astype(int)
    assert pixels.shape == (80, 28, 28, 1)
    assert (pixels.max((1, 2, 3)) > 200).all()
    assert np.median(pixels[:, :2]) == 0
    apart = np.abs(pixels[:, None] - pixels[None]).mean((2, 3, 4))
    assert apart[~np.eye(80, dtype=bool)].min() > 3
    means = pixels.reshape(10, 8, -1).mean(1)  # what a class has in common
    assert np.abs(means[:, None] - means[None]).mean(2)[~np.eye(10, dtype=bool)].min() > 5


def test_a_classifier_of_real_digits_reads_what_was_asked_for() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    folder = Path(os.environ["TRANSLATE_TEST_DATA"]) / "mnist"
    data = Labelled([folder], LabelledOptions(), {"size": 28})
    samples = [data.sample(number, 0) for number in range(12_000)]
    real = torch.from_numpy(np.stack([sample["image"] for sample in samples]))
    images = real.permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.tensor([sample["label"] for sample in samples])
    device = torch.device("cpu")
    judge = train(images[:-1000], labels[:-1000], passes=2, width=8, seed=0, device=device)
    assert accuracy(chosen(judge, images[-1000:]), labels[-1000:]) > 0.95
    digits = translate.Generator(translate.load_model("digits"), device="cpu")
    requests = [Request("", seed, seed % 10) for seed in range(200)]
    made = np.stack([picture.pixels for picture in digits.pictures(requests)])
    seen = chosen(judge, torch.from_numpy(made).permute(0, 3, 1, 2).float() / 127.5 - 1)
    assert accuracy(seen, torch.arange(200) % 10) > 0.92
