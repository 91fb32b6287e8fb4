"""Where Triton's kernels are not used."""

import pytest
import torch

from spaceport_render import triton_kernels


def test_the_cpu_has_kernels_of_its_own():
    assert not triton_kernels.usable_on(torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines on which they can't be built")
def test_where_they_cannot_be_built_torch_does_the_work():
    assert not triton_kernels.usable_on(torch.device("cuda"))
