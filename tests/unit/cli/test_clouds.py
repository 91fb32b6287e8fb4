"""Finding the local cloud, and leaving it as it was found."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_cli.__main__ import main
from spaceport_cli.clouds import AwsCloud, borrowed, local_cloud, output, running_cloud

# A cloud that is a file: it runs while the file is there.
CLOUD = """
from pathlib import Path
HERE = Path(__file__).with_name("running")

class FileCloud:
    outputs = {"UploadsBucket": "uploads"}
    def is_running(self): return HERE.exists()
    def app_url(self): return 'http://127.0.0.1:4566/_app/'
    def up(self, report): report("deploying"); HERE.touch()
    def down(self):
        running = HERE.exists()
        HERE.unlink(missing_ok=True)
        return running
"""


@pytest.fixture
def running(tmp_path: Path, monkeypatch) -> Path:
    """Installs a package whose entry point is the local cloud; the file that tells whether it runs."""
    (tmp_path / "file_cloud.py").write_text(CLOUD)
    info = tmp_path / "file_cloud-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: file-cloud\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[spaceport.clouds]\nlocal = file_cloud:FileCloud\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "file_cloud", raising=False)
    return tmp_path / "running"


def test_a_cloud_that_was_down_is_started_and_left_down(running: Path):
    said: list[str] = []

    with borrowed(None, said.append) as loan:
        assert running.exists()
        assert loan.started

    assert not running.exists()
    assert said == ["The local cloud is down: starting it for this job.", "deploying"]


def test_a_cloud_that_was_up_is_left_up(running: Path):
    running.touch()

    with borrowed(None, print) as loan:
        assert not loan.started

    assert running.exists()


def test_it_goes_down_after_an_error_too(running: Path):
    with pytest.raises(RuntimeError), borrowed(None, print):
        raise RuntimeError

    assert not running.exists()


def test_a_loan_that_is_kept_leaves_it_up(running: Path):
    with borrowed(None, print) as loan:
        assert loan.keep()

    assert running.exists()


def test_a_cloud_that_another_command_uses_meanwhile_is_left_up(running: Path):
    said: list[str] = []

    with borrowed(None, said.append) as loan, ExitStack() as other:
        other.enter_context(running_cloud(None))
        # The first command ends while the other still uses the cloud.
        others_use = other.pop_all()

    with others_use:
        assert running.exists()
        assert not loan.started
    assert said[-1] == "The local cloud stays up: another command is using it."


def test_up_and_down_say_what_they_found(running: Path, capsys):
    assert main(["up"]) == 0
    assert running.exists()
    main(["up"])
    main(["down"])
    assert not running.exists()
    assert main(["down"]) == 0

    out = capsys.readouterr().out
    positions = [out.index(said) for said in ("deploying", "is up. ", "is down", "was not running")]
    assert positions == sorted(positions)


def test_what_needs_a_running_cloud_says_how_to_start_it(running: Path):
    with pytest.raises(UserError, match="not running") as error, running_cloud(None):
        pass
    assert "spaceport up" in error.value.hint


def test_a_missing_output_is_named(running: Path):
    assert output(local_cloud(), "UploadsBucket") == "uploads"
    with pytest.raises(UserError, match="no output JobsTable"):
        output(local_cloud(), "JobsTable")


def test_a_cloud_with_a_missing_package_says_what_is_missing(running: Path):
    running.with_name("file_cloud.py").write_text("import no_such_engine")

    with pytest.raises(UserError, match="no_such_engine") as error:
        local_cloud()
    assert "--stack" in error.value.hint


def test_the_product_registers_its_own_local_cloud():
    (found,) = entry_points(group="spaceport.clouds", name="local")

    assert found.value == "spaceport_local.cloud:LocalCloud"


def test_a_profile_that_is_not_there_is_told_in_words(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(UserError, match="mine") as told:
        AwsCloud("spaceport").client("s3")
    assert (told.value.code, "list-profiles" in told.value.hint) == ("no_profile", True)
