"""Looks now and then whether the nameservers still have a master's topics, and announces them anew where they do not.

Our nameserver takes back what it lost with each registration. Apache's 4.5.2 passes a registration over whose data
version it knows: a route that somebody deleted there stays away for good. So the broker raises its version then, which
makes every nameserver take all of its topics again, and ends a wiped write permission: only for what is really missing.

How often: once a period of the registration, one list of topics and `ROUTES_MAX` routes from each nameserver; the list
does not say whose topics they are, the routes take turns. While topics stay missing after a raise, twice as rarely each
time, down to once in `PERIODS_MAX` periods.
Source: none in 4.5.2; what 5.x's `RouteInfoManager#isTopicConfigChanged` does at the nameserver.
"""

import logging
from typing import TYPE_CHECKING, Final

import trio

from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import TopicList, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError

if TYPE_CHECKING:
    from rmqnode.broker.registration import Registration

logger = logging.getLogger(__name__)

ROUTES_MAX: Final = 16
"""Routes that one nameserver is asked for in a period: some 10 ms of its time in 30 s."""

PERIODS_MAX: Final = 32
"""At most so many periods between two looks: 16 minutes by default."""

MASTER_ID: Final = 0

_TOPICS_NAMED_MAX: Final = 5
"""Of the missing topics the log names so many."""


class RouteCheck:
    """The look of one master at all its nameservers."""

    def __init__(self, registration: "Registration") -> None:
        self._registration = registration
        self._turn = 0

    async def run(self) -> None:
        """Service: look each period, and announce everything anew when something is missing."""
        periods = 1
        while True:
            await trio.sleep(self._registration.period_seconds * periods)
            missing = await self.missing_topics()
            if not missing:
                periods = 1
                continue
            periods = min(2 * periods, PERIODS_MAX)
            for address, topics in missing.items():
                named = ", ".join(ascii(topic) for topic in sorted(topics)[:_TOPICS_NAMED_MAX])
                logger.warning(
                    "topics are missing at a nameserver, announced again nameserver=%s count=%d topics=%s",
                    address,
                    len(topics),
                    named,
                )
            try:
                self._registration.topics.touch()
            except OSError as error:
                logger.error("topics not announced again, tried again later reason=%s", error)

    async def missing_topics(self) -> dict[str, set[str]]:
        """Return the topics that a nameserver lacks although this version of them was registered there just now."""
        registration = self._registration
        missing: dict[str, set[str]] = {}
        if registration.config.is_slave or registration.config.broker_id != MASTER_ID:
            return missing  # a nameserver takes no topics of it
        for address in registration.config.namesrv_addr:
            if not await self._lacking(address):
                continue
            # A topic may be so young that it is still on its way; and our nameserver takes it back with this.
            version = registration.topics.data_version
            if not await registration.register_at(address):
                continue
            topics = await self._lacking(address) & registration.topics.all.keys()
            if topics and registration.topics.data_version == version:
                missing[address] = topics
        self._turn += ROUTES_MAX
        return missing

    async def _lacking(self, address: str) -> set[str]:
        """Topics of this broker that a nameserver does not list, or has no queues for; none when it does not answer."""
        try:
            answer = await self._ask(address, RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)
            if answer.code != ResponseCode.SUCCESS:
                return set()
            own = self._registration.topics.all.keys()
            lacking = own - set(TopicList.decode(answer.body).topic_list)
            names = sorted(own - lacking)
            for name in {names[(self._turn + step) % len(names)] for step in range(ROUTES_MAX)} if names else ():
                if not await self._has_queues(address, name):
                    lacking.add(name)
        except (RemotingError, ProtocolError):
            # The registration tells of a nameserver that is away.
            return set()
        return lacking

    async def _has_queues(self, address: str, topic: str) -> bool:
        answer = await self._ask(address, RequestCode.GET_ROUTEINTO_BY_TOPIC, topic=topic)
        if answer.code == ResponseCode.TOPIC_NOT_EXIST:
            return False
        if answer.code != ResponseCode.SUCCESS:
            return True
        broker_name = self._registration.config.broker_name
        return any(queues.broker_name == broker_name for queues in TopicRouteData.decode(answer.body).queue_datas)

    async def _ask(self, address: str, code: RequestCode, **fields: str) -> Command:
        timeout = self._registration.timeout_seconds
        command = Command(code=code, ext_fields=fields)
        return await self._registration.client.request(address, command, timeout_seconds=timeout)
