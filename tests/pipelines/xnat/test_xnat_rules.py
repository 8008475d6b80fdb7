"""Which CEST scans serve which model, by how the water was saturated."""

import pytest
from pydicom.dataset import Dataset

from pipelines.xnat.find import Suitability, rate_suitability
from private_dictionaries import write_block

NAMES = ["CEST", "cest_wasabi"]  # a name decides nothing that headers decide


def _headers(pulse_ms, pulses):
    made = []
    for offset in (-1.0, 0.5, 1.0):
        one = Dataset()
        one.Modality = "MR"
        values = {"SaturationOffsetPpm": offset, "PulseLength": pulse_ms, "PulseNumber": pulses}
        write_block(one, {name: value for name, value in values.items() if value is not None})
        made.append(one)
    return made


@pytest.mark.parametrize(
    ("pulse_ms", "pulses", "mtr", "wasabi"),
    [
        (5.0, 1, Suitability.NO, Suitability.YES),  # WASABI
        (29.9, 1, Suitability.NO, Suitability.YES),
        (30.1, 1, Suitability.YES, Suitability.NO),
        (3000.0, 1, Suitability.YES, Suitability.NO),
        (480.0, 10, Suitability.YES, Suitability.NO),
        (20.0, 50, Suitability.YES, Suitability.NO),  # a train of short pulses
        (20.0, None, Suitability.YES, Suitability.YES),  # not said: nothing is left out
        (None, None, Suitability.YES, Suitability.YES),
    ],
)
def test_one_short_pulse_is_wasabi_and_long_saturation_is_a_spectrum(pulse_ms, pulses, mtr, wasabi):
    headers = _headers(pulse_ms, pulses)
    for model, fit in (("mtr", mtr), ("wasabi", wasabi)):
        found, reason = rate_suitability(headers, NAMES, "cest", model)
        assert found is fit, (model, reason)
        assert ("saturation is" in reason) == (fit is Suitability.NO)


@pytest.mark.parametrize(
    ("part", "fit"), [(0.9e-3, Suitability.UNKNOWN), (1.1e-3, Suitability.YES)]
)
def test_echo_times_differ_from_a_thousandth_on(part, fit):
    headers = [Dataset(), Dataset()]
    for header, time in zip(headers, (10.0 * (1 - part), 10.0), strict=True):
        header.Modality, header.EchoTime = "MR", time
    assert rate_suitability(headers, ["spin echo"], "t2")[0] is fit


@pytest.mark.parametrize(("b", "fit"), [(9.9, Suitability.UNKNOWN), (10.1, Suitability.YES)])
def test_one_image_of_more_than_ten_seconds_per_square_millimetre_is_diffusion(b, fit):
    header = Dataset()
    header.Modality, header.DiffusionBValue = "MR", b
    assert rate_suitability([header], ["epi"], "dwi")[0] is fit
