"""A server whose certificate is the centre's own: the window asks for it, and trusts it then."""

from archive_https import make_certificate, serving_https

from sandbox.archive.archive import Archive, Settings
from uploader.gui.upload import logins
from uploader.gui.upload.server_step import ServerStep


def test_centre_s_certificate_is_asked_for_and_helps(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(logins, "has_keyring", lambda: False)
    bundle = make_certificate(tmp_path / "server.pem")
    step = ServerStep()
    qtbot.addWidget(step)
    step.show()
    said, entered = [], []
    step.notified.connect(said.append)
    step.entered.connect(entered.append)
    with serving_https(Archive(tmp_path / "archive", Settings()), tmp_path / "server.pem") as url:
        step.server.setText(url)
        step.user.setText("admin")
        step.password.setText("admin")
        assert not step.trust.isVisible()
        step.enter()
        qtbot.waitUntil(lambda: not step.busy, timeout=20_000)
        assert said[-1].text.endswith("centre's certificates in the field Certificates.")
        assert step.trust.isVisible()
        step.certificates.setText(str(bundle))
        step.enter()
        qtbot.waitUntil(lambda: bool(entered), timeout=20_000)
    assert entered[0].connection.ca_bundle == bundle
