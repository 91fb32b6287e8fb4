"""What `make images` asks of Docker, and what it refuses."""

from __future__ import annotations

import pytest

import push_images
from push_images import IMAGES, build_words, tag_of
from spaceport.errors import UserError


def test_a_tag_names_version_and_commit():
    assert tag_of("1.2.0", "0123456789abcdef0123", "") == "1.2.0-0123456789ab"


def test_what_no_commit_has_is_not_built():
    with pytest.raises(UserError) as refused:
        tag_of("1.2.0", "0123456789abcdef0123", " M spaceport/job.py\n")
    assert refused.value.code == "uncommitted"
    assert "spaceport/job.py" in str(refused.value)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.folder)
def test_an_image_is_one_that_sagemaker_takes(image, repository):
    words = build_words(image, "1.dkr.ecr.eu-west-1.amazonaws.com/spaceport/x:1")
    # one manifest in Docker's media types, and no index of several
    assert {"--provenance=false", "--sbom=false"} <= set(words)
    assert "oci-mediatypes=false" in words[words.index("--output") + 1]
    assert (repository / words[words.index("--file") + 1]).exists()


def test_without_docker_it_says_so_before_anything_is_installed(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert push_images.main(["--check"]) == 1
    assert "needs Docker with buildx" in capsys.readouterr().err
