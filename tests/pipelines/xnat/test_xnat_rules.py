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
