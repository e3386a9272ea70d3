"""A handful of rendered people in memory, for tests of what learns from them."""

from functools import cache

import numpy as np

from smplcli.body.files import load_body
from smplcli.datasets.scenes import Studio
from smplcli.datasets.schema import CROP_SIZE
from smplcli.datasets.shards import pack_samples, unpack_sample


class FewPeople:
    """A split like those on disk."""

    name = "train"
    crop_size, part_share = CROP_SIZE, 1.0

    def __init__(self, samples):
        self.samples = list(samples)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def labels(self, index):
        return self.samples[index]

    def crop_window(self, index, window):
        left, top, right, bottom = window
        return self.samples[index].image[top:bottom, left:right], (left, top)

    def field(self, name):
        return np.array([getattr(sample, name) for sample in self.samples])


def few_people(count=6):
    return FewPeople(_rendered(count))


@cache
def _rendered(count):
    studio = Studio(load_body(), [], [])
    pictures = [studio.take_picture(np.random.default_rng(k), f"s/{k}.jpg") for k in range(count)]
    arrays = pack_samples(pictures)
    return tuple(unpack_sample(arrays, row) for row in range(count))
