"""Random numbers depend on what they are for, and on nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from translate.method import Batch
from translate.pipeline.seeds import draws, mix, shuffled


def test_a_seed_changes_with_each_part_and_their_order() -> None:
    seeds = [mix(), mix(0), mix(1), mix(0, 0), mix(0, 1), mix(1, 0), mix(-1), mix(2**63)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**60 for seed in seeds)


def test_a_seed_is_splitmix64_of_its_part() -> None:
    assert mix(0) == 0xE220A8397B1DCDAF >> 4  # the published first output for the state 0


def test_neighbouring_seeds_share_no_bits_by_rule() -> None:
    flipped = Counter(
        bit for n in range(500) for bit in range(60) if (mix(7, n) ^ mix(7, n + 1)) >> bit & 1
    )
    assert all(180 < flipped[bit] < 320 for bit in range(60))


def test_every_epoch_has_everything_once_in_an_order_of_its_own() -> None:
    epochs = [[shuffled(n + 10 * epoch, 10, seed=3) for n in range(10)] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert [shuffled(n, 10, seed=4) for n in range(10)] != epochs[0]


def test_draws_of_a_sample_do_not_depend_on_the_batch() -> None:
    seeds = torch.tensor([5, 6, 7])
    together = draws(seeds, 4, stream=1)
    assert together.shape == (3, 4)
    assert (together >= 0).all()
    assert (together < 1).all()
    assert torch.equal(draws(seeds[2:], 4, stream=1)[0], together[2])
    assert not torch.equal(draws(seeds, 4, stream=2), together)


def test_draws_stay_below_1_when_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class High:
        def random(self, count: int) -> NDArray[np.float64]:
            return np.full(count, np.nextafter(1, 0))

    monkeypatch.setattr(np.random, "default_rng", lambda seed: High())
    assert (draws(torch.tensor([5]), 3, stream=1) < 1).all()


def test_noise_of_a_sample_does_not_depend_on_the_batch() -> None:
    seeds = torch.tensor([mix(1, n) for n in range(3)])
    together = Batch({}, seeds).noise(2, 5)
    assert together.shape == (3, 2, 5)
    assert torch.equal(Batch({}, seeds[1:2]).noise(2, 5)[0], together[1])
    assert not torch.equal(Batch({}, seeds).noise(2, 5, stream=1), together)


def test_noise_does_not_disturb_the_random_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Batch({}, torch.tensor([1])).noise(3)
    assert torch.equal(torch.get_rng_state(), before)
