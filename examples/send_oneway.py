"""Oneway sends: nothing is answered. The fastest way, for what may be lost, such as measurements.

Run it on a cluster that is up: `rmqctl up`, then `python examples/send_oneway.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Producer, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-oneway"


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-sensors", client=client) as producer:
            for number in range(100):
                await producer.send_oneway(f"{TOPIC}:temperature", {"sensor": number % 4, "celsius": 20 + number % 5})
    print("100 measurements on their way")


if __name__ == "__main__":
    trio.run(main)
