"""A pull consumer: the application asks for messages when it wants some.

Run it on a cluster that is up: `rmqctl up`, then `python examples/pull.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PullConsumer, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-pull"

COUNT = 10


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for number in range(COUNT):
                await producer.send(TOPIC, f"message {number}")

        async with PullConsumer("example-reports", client=client, start=Earliest()) as consumer:
            await consumer.subscribe(TOPIC)
            seen = 0
            while seen < COUNT:
                for message in await consumer.poll(timeout_seconds=5):
                    print(f"{message.text}: queue {message.queue.queue_id}, offset {message.queue_offset}")
                    seen += 1


if __name__ == "__main__":
    trio.run(main)
