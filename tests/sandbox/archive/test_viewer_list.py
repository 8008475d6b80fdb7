"""The study list of the viewer's plugin: made on the first look, by whoever may read."""

from archive_server import Served
from dicoms import make_study
from filled import STUDY, add_user, fill

IMAGES = make_study(STUDY)


def test_the_list_is_made_by_the_first_look(served: Served) -> None:
    session = fill(served)
    path = f"/xapi/viewer/projects/P1/experiments/{session}"
    assert served.get(f"{path}/exists").status_code == 404
    found = served.get(path).json()
    assert served.get(f"{path}/exists").status_code == 200
    (study,) = found["studies"]
    assert study["StudyInstanceUID"] == STUDY.uid
    by_series = {one["SeriesInstanceUID"]: one for one in study["series"]}
    assert set(by_series) == {str(image.SeriesInstanceUID) for image in IMAGES}
    instances = [one for series in by_series.values() for one in series["instances"]]
    shown = {one["metadata"]["SOPInstanceUID"] for one in instances}
    assert shown == {str(image.SOPInstanceUID) for image in IMAGES}
    assert instances[0]["metadata"]["Rows"] == IMAGES[0].Rows
    for one in instances:
        assert one["url"].startswith(f"dicomweb:{served.url}/data/")
        answer = served.get(one["url"].removeprefix(f"dicomweb:{served.url}"))
        assert answer.content[128:132] == b"DICM"


def test_who_may_read_looks_and_who_may_edit_makes_it_anew(served: Served) -> None:
    session = fill(served)
    path = f"/xapi/viewer/projects/P1/experiments/{session}"
    reader = add_user(served, "reader", "Collaborators")
    assert reader.get(path).status_code == 200
    assert reader.post(path).status_code == 403
    assert served.post(path).status_code == 201
    stranger = add_user(served, "stranger")
    assert stranger.get(path).status_code == 404
    assert served.get("/xapi/viewer/projects/P1/experiments/none").status_code == 404


def test_the_page_of_the_viewer_leads_to_the_session(served: Served) -> None:
    session = fill(served)
    asked = {"subjectId": "S1", "projectId": "P1", "experimentId": session}
    answer = served.get("/VIEWER", params={**asked, "experimentLabel": "S1_MR"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/experiments/{session}")
