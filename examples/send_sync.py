"""Synchronous sends: each returns once the broker has stored the message, and says where.

Run it on a cluster that is up: `rmqctl up`, then `python examples/send_sync.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Producer, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-sync"


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for number in range(5):
                result = await producer.send(f"{TOPIC}:paid", {"order": number}, key=f"order-{number}")
                print(f"order {number}: {result.status}, {result.broker} queue {result.queue_id}")


if __name__ == "__main__":
    trio.run(main)
