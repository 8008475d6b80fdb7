"""What people type and tick in a launch form: words for nothing, one choice of several."""

import pytest

from pipelines.catalog import load_catalog
from pipelines.xnat.parameters import parse_parameters
from xnat_pic.errors import WrongCallError

PIPELINES = load_catalog().pipelines


def _as_form(pipeline):
    """Return what XNAT's form hands on where nobody changes it, by name of the input."""
    return {one.name: one.shown[0] for one in pipeline.inputs if not one.link and not one.ticks}


def _by_rest(pipeline):
    """Return what a launch by REST hands on that names nothing."""
    return {one.name: ",".join(one.shown) for one in pipeline.inputs if not one.link}


@pytest.mark.parametrize("named", PIPELINES, ids=lambda one: one.name)
@pytest.mark.parametrize("launched", [_as_form, _by_rest])
def test_a_form_that_nobody_changed_is_a_call_without_inputs(named, launched):
    """The parameters' hash too: a result of one is found by the other."""
    assert parse_parameters(named, launched(named)) == parse_parameters(named, {})


@pytest.mark.parametrize(
    ("name", "ticked", "model"),
    [
        ("process_T2", "epg_stimulated_echoes", "epg"),
        ("process_T2", "2p_default", "2p"),
        ("process_T2", "3p_with_offset, 3p", "3p"),
        ("process_DWI", "ivim_perfusion_and_diffusion", "ivim"),
        ("process_DWI_project", "adc_one_ADC", "adc"),
        ("process_T1w_SR", "3p", "3p"),
    ],
)
def test_a_box_stands_for_its_choice(name, ticked, model):
    assert parse_parameters(name, {"model": ticked}) == parse_parameters(name, {"model": model})


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        (
            "process_T2",
            {"model": "2p_default,epg_stimulated_echoes"},
            "model: choose one of 2p, 3p, auto, epg, not 2p and epg",
        ),
        ("process_DWI", {"model": "adc_one_ADC,dti,ivim"}, "not adc, dti and ivim"),
        ("process_T1w_SR", {"model": "2p,3p"}, "model (model_2p_or_3p): choose one of 2p, 3p"),
        ("process_T2", {"model": "four"}, "'four' is no choice for model"),
        ("Mask_Average", {"keep_flagged": "perhaps"}, "for keep_flagged (count_flagged_voxels)"),
        ("process_T2", {"skip_echoes": "three"}, "nor auto, for skip_echoes (echoes_to_skip)"),
        ("process_SUV", {"frame": "0"}, "'0' is not a number above 0, for frame (frame_from_1)"),
        ("process_SUV", {"weight_g": "0"}, "for weight_g (body_weight_g)"),
        ("process_SUV", {"dose_mbq": "0.0"}, "for dose_mbq (injected_dose_MBq)"),
    ],
)
def test_what_cannot_be_meant_is_refused(name, inputs, words):
    with pytest.raises(WrongCallError) as caught:
        parse_parameters(name, inputs)
    assert words in caught.value.message


@pytest.mark.parametrize("text", ["yes", "YES", "true", "1", "on"])
def test_yes_and_no_are_words(text):
    assert parse_parameters("Mask_Average", {"keep_flagged": text}).flag("keep_flagged")
    for no in ("no", "No", "false", "0", "off"):
        assert not parse_parameters("Mask_Average", {"keep_flagged": no}).flag("keep_flagged")


def test_a_value_that_may_be_anything_is_said_in_part():
    """An expression of the engine may have put a file of the server into it."""
    with pytest.raises(WrongCallError) as caught:
        parse_parameters("process_T2", {"model": "secret " * 100})
    assert len(caught.value.message) < 120
