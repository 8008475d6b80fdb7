"""What a model refuses of its images and values, at the edge of what noise and units allow."""

import numpy as np
import pytest

from pipelines.errors import ModelInputError
from pipelines.models.checks import check_falling, check_rising, check_single_dip
from pipelines.models.diffusion import as_b_values, check_order, shells

TIMES = np.array([10.0, 20.0])


def moved(change, voxels, scatter=0.0):
    """Two images whose mean changes so much, of voxels that scatter about it."""
    step = np.full(voxels, float(change))
    step[::2] += scatter
    step[1::2] -= scatter
    return np.stack([np.full(voxels, 100.0), 100.0 + step], axis=1)


EDGES = pytest.mark.parametrize(
    ("signal", "refused"),
    [
        (moved(0.9, 20), False),  # 1 % of the largest mean
        (moved(1.1, 20), True),
        (moved(5, 19), False),  # of few voxels 10 %
        (moved(5, 20), True),
        (moved(10.5, 19), False),
        (moved(11.5, 19), True),
        (moved(10, 100, scatter=34), False),  # three standard errors
        (moved(10, 100, scatter=33), True),
    ],
)


@EDGES
def test_a_mean_that_rises_beyond_noise_is_no_decay(signal, refused):
    everywhere = np.ones(len(signal), bool)
    if refused:
        with pytest.raises(ModelInputError, match="falls with the echo times"):
            check_falling(signal, TIMES, everywhere, "echo times")
    else:
        assert check_falling(signal, TIMES, everywhere, "echo times") == ()


@EDGES
def test_a_mean_that_falls_beyond_noise_is_no_recovery(signal, refused):
    everywhere = np.ones(len(signal), bool)
    # The largest mean is now the first one, so the same share allows a little less.
    falling = signal[:, ::-1] * 100 / signal[:, 1].mean()
    if refused:
        with pytest.raises(ModelInputError, match="rises with the repetition times"):
            check_rising(falling, TIMES, everywhere, "repetition times")
    else:
        check_rising(falling, TIMES, everywhere, "repetition times")


@pytest.mark.parametrize(
    ("hump", "voxels", "refused"), [(19, 4, False), (21, 4, True), (21, 2, False), (21, 3, True)]
)
def test_a_hump_of_a_fifth_in_more_than_half_of_the_voxels_is_refused(hump, voxels, refused):
    signal = np.tile([100.0, 50, 50, 50], (4, 1))
    signal[:voxels, 2] += hump
    times = np.array([50.0, 100, 200, 400])
    if refused:
        with pytest.raises(ModelInputError, match="hump"):
            check_single_dip(signal, times, np.ones(4, bool), "inversion time")
    else:
        check_single_dip(signal, times, np.ones(4, bool), "inversion time")


@pytest.mark.parametrize(
    ("largest", "refused"), [(49.9, True), (50.0, False), (100_000.0, False), (100_001.0, True)]
)
def test_a_largest_b_of_another_unit_is_refused(largest, refused):
    if refused:
        with pytest.raises(ModelInputError, match="no number of s/mm2"):
            as_b_values([0, largest])
    else:
        assert as_b_values([0, largest]).tolist() == [0, largest]


@pytest.mark.parametrize(
    ("b", "groups"),
    [
        ([0, 20], [0, 0]),
        ([0, 21], [0, 1]),
        ([1000, 901], [0, 0]),
        ([1000, 899], [1, 0]),
        ([1000, 899, 808], [2, 1, 0]),  # a tenth of the larger of two neighbours
    ],
)
def test_b_values_within_a_tenth_or_twenty_belong_together(b, groups):
    assert shells(np.array(b, float)).tolist() == groups


@pytest.mark.parametrize(("rise", "refused"), [(2.9, False), (3.2, True)])
def test_a_mean_may_rise_with_b_by_three_per_cent(rise, refused):
    signal = moved(rise, 20)
    b = np.array([0.0, 1000.0])
    if refused:
        with pytest.raises(ModelInputError, match="falls with b"):
            check_order(signal, b, np.ones(20, bool))
    else:
        check_order(signal, b, np.ones(20, bool))
