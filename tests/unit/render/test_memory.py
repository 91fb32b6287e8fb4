import pytest

from spaceport_render.memory import available_bytes


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1000", "memory.current": "900", "memory.stat": "inactive_file 300"}, 400),
        ({"memory.max": "max", "memory.current": "900", "memory.stat": "inactive_file 300"}, None),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "999",
                "memory/memory.stat": "cache 5\ntotal_inactive_file 1",
            },
            2,
        ),
        # v1 without a limit writes a number of 2^63: the machine's own memory is what counts
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "999",
                "memory/memory.stat": "total_inactive_file 1",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_a_containers_limit_counts_where_it_is_less_than_the_machines_memory(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    available = available_bytes(tmp_path)

    assert available == expected if expected else available > 1 << 20
