"""Delayed messages: consumers get them after the delay of their level, such as 1 s, 5 s or 10 s.

Run it on a cluster that is up: `rmqctl up`, then `python examples/delayed.py`.
"""

import os
import time

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PushConsumer, ReceivedMessage, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-delayed"


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            await producer.send(TOPIC, "reminder after 5 s", delay_level=2)
            await producer.send(TOPIC, "reminder after 1 s", delay_level=1)

        async with PushConsumer("example-reminders", client=client, start=Earliest()) as consumer:
            seen: list[str] = []

            async def handle(message: ReceivedMessage) -> None:
                seen.append(message.text)
                print(f"{message.text}: came after {time.time() - message.born_timestamp / 1000:.1f} s")
                if len(seen) == 2:
                    consumer.stop()

            await consumer.subscribe(TOPIC)
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
