import os

import pytest

from smplcli.workflows.doctor import (
    Check,
    DoctorReport,
    _check_cv2,
    _check_disk,
    _check_import,
    _check_shared_memory,
    _run_python,
)


def test_a_warning_is_no_illness():
    warning = Check(name="disk", status="warn", found="full", remedy="Make room.")
    failure = Check(name="body", status="fail", found="gone")

    assert DoctorReport((warning,)).is_healthy
    assert not DoctorReport((warning, failure)).is_healthy


def test_one_wheel_of_cv2_is_as_it_should_be():
    assert _check_cv2().status == "ok"


def test_two_wheels_of_cv2_are_named_with_the_way_back(tmp_path, monkeypatch):
    metadata = tmp_path / "opencv_python-4.12.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.12.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    check = _check_cv2()

    assert check.status == "warn"
    assert "pip uninstall -y opencv-python opencv-python-headless" in check.remedy


def test_a_module_that_does_not_import_fails():
    check = _check_import("module_that_is_not_there", "not-there")

    assert check.status == "fail"
    assert "ModuleNotFoundError" in check.found


def test_an_import_that_crashes_the_interpreter_is_survived():
    assert _run_python("import os; os.abort()") == ("", "crashed with code -6")


def test_disk_and_shared_memory_are_measured_where_they_are(tmp_path):
    assert "GB free" in _check_disk(tmp_path).found
    assert "GB free" in _check_shared_memory(tmp_path).found
    assert _check_shared_memory(tmp_path / "none").status == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_warning(tmp_path):
    tmp_path.chmod(0o500)

    assert _check_disk(tmp_path).status == "warn"
