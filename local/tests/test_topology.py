"""The committed topology is the one the services' HANDLERS tables give."""

from local import topology


def test_the_committed_topology_is_up_to_date() -> None:
    assert topology.FILE.read_text() == topology.text(), "run `make docs`"
