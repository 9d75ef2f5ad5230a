"""The public names of the client: all can be had, and asking for one does not load the rest."""

import subprocess
import sys

import pytest

import rmqctl.client


@pytest.mark.parametrize("name", rmqctl.client.__all__)
def test_every_public_name_can_be_had_and_is_listed(name: str) -> None:
    assert getattr(rmqctl.client, name) is not None
    assert name in dir(rmqctl.client)


def test_what_is_no_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Prodcer'"):
        _ = rmqctl.client.Prodcer  # type: ignore[attr-defined]


def test_a_program_that_sends_loads_no_consumer_and_no_node() -> None:
    program = "import sys; from rmqctl.client import Producer; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "rmqctl.client.producer.producer" in loaded
    assert [
        name for name in loaded if name.startswith(("rmqctl.client.consumer", "rmqnode.config", "rmqnode.store"))
    ] == []
