"""A SQL92 filter: the broker looks at the properties of messages and hands out those that are wanted.

Run it on a cluster that is up: `rmqctl up`, then `python examples/sql_filter.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PushConsumer, ReceivedMessage, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-sql-filter"


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for price in range(5, 50, 5):
                region = "EU" if price % 2 else "US"
                await producer.send(TOPIC, f"{region} {price}", properties={"region": region, "price": str(price)})

        async with PushConsumer("example-big-in-europe", client=client, start=Earliest()) as consumer:
            seen: list[str] = []

            async def handle(message: ReceivedMessage) -> None:
                seen.append(message.text)
                print(message.text)
                if len(seen) == 3:
                    consumer.stop()

            await consumer.subscribe(TOPIC, sql="region = 'EU' AND price BETWEEN 20 AND 50")
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
