from pathlib import Path

from smplcli.workflows.parallel import run_tasks
from smplcli.workflows.progress import no_progress


def test_processes_of_an_earlier_call_follow_to_another_folder(tmp_path, monkeypatch):
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)

        found = run_tasks(
            Path.absolute, [Path("x")] * 4, count=4, jobs=2, progress=no_progress, label="x"
        )

        assert set(found) == {folder / "x"}
