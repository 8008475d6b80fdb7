"""The demonstration runs from start to end, from anywhere, and again over what it left."""

from sandbox.demo import run


def test_demo_runs_twice_and_names_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(tmp_path / "demo") == 0
        text = capsys.readouterr().out
        named = [line.strip() for line in text.splitlines() if line.startswith("  demo/")]
        assert len(named) == 2
        assert all((tmp_path / name).exists() for name in named)
        assert "6 ParaVision 360 studies" in text


def test_demo_elsewhere_names_whole_paths(tmp_path, capsys):
    assert run(tmp_path / "demo") == 0
    assert str(tmp_path / "demo" / "dicom") in capsys.readouterr().out
