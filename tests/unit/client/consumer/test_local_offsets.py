"""Local offsets of broadcasting consumers: Java's file, never half-written."""

from pathlib import Path

import pytest

from rmqctl.client.consumer.offset_store import LocalOffsetStore
from rmqnode.protocol.bodies import MessageQueue

A0, A1 = (MessageQueue(topic="orders", broker_name="broker-a", queue_id=queue_id) for queue_id in (0, 1))

JAVA = """{
	"offsetTable":{{
			"brokerName":"broker-a",
			"queueId":1,
			"topic":"orders"
		}:42,{
			"brokerName":"broker-a",
			"queueId":0,
			"topic":"orders"
		}:7
	}
}"""


def store(folder: Path) -> LocalOffsetStore:
    return LocalOffsetStore(folder, "10.0.0.7@DEFAULT", "g")


async def test_offsets_are_found_again_and_those_of_other_queues_are_kept(tmp_path: Path) -> None:
    first = store(tmp_path)
    assert await first.stored(A0) is None
    first.update(A0, 5, increase_only=True)
    first.update(A0, 4, increase_only=True)
    await first.persist([A0])
    second = store(tmp_path)
    assert await second.stored(A0) == 5
    second.update(A1, 9, increase_only=True)
    second.forget(A0)
    await second.persist([A1])
    third = store(tmp_path)
    assert (await third.stored(A0), await third.stored(A1)) == (5, 9)


async def test_the_file_is_where_java_looks_and_in_javas_form(tmp_path: Path) -> None:
    path = tmp_path / "10.0.0.7@DEFAULT" / "g" / "offsets.json"
    path.parent.mkdir(parents=True)
    path.write_text(JAVA)
    found = store(tmp_path)
    assert (await found.stored(A0), await found.stored(A1)) == (7, 42)
    found.update(A0, 8, increase_only=True)
    await found.persist([A0])
    assert path.read_text() == JAVA.replace(":7\n", ":8\n")
    assert path.with_name("offsets.json.bak").read_text() == JAVA


@pytest.mark.parametrize("content", [b"", b'{"offsetTable":', b"\xff"])
async def test_a_broken_file_gives_way_to_its_backup(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "10.0.0.7@DEFAULT" / "g" / "offsets.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.with_name("offsets.json.bak").write_text(JAVA)
    assert await store(tmp_path).stored(A1) == 42


async def test_a_folder_that_can_not_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "10.0.0.7@DEFAULT").write_text("a file where a folder has to be")
    refused = store(tmp_path)
    refused.update(A0, 5, increase_only=True)
    await refused.persist([A0])
    assert refused.known(A0) == 5
