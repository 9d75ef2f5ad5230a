"""A profile with other numbers of nameservers, brokers and slaves. Pure."""

import string
from collections.abc import Iterator

import msgspec

from rmqctl.errors import UsageError
from rmqctl.profile.library import NamedProfile
from rmqctl.profile.schema import BrokerSection, Profile

_BROKERS_MAX = 100
_SCALED = " (scaled)"


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that are wanted; None leaves one as it is."""

    nameservers: int | None = None
    brokers: int | None = None
    slaves: int | None = None
    """Of each broker name."""


def scaled(named: NamedProfile, scale: Scale) -> NamedProfile:
    """The profile with other numbers; new broker names follow the alphabet, the last ones go first.

    Raises:
        UsageError: Nothing was asked for, or a number cannot be.
    """
    if scale == Scale():
        raise UsageError("rmqctl scale needs to know what to scale", cure="rmqctl scale --brokers 3 --slaves 1")
    if scale.brokers is not None and not 1 <= scale.brokers <= _BROKERS_MAX:
        raise UsageError(f"--brokers {scale.brokers}: a cluster has 1 to {_BROKERS_MAX} broker names")
    profile = named.profile
    brokers = _brokers(profile, scale.brokers or len(profile.brokers))
    if scale.slaves is not None:
        brokers = [msgspec.structs.replace(broker, slaves=scale.slaves) for broker in brokers]
    nameservers = profile.nameservers
    if scale.nameservers is not None:
        nameservers = msgspec.structs.replace(nameservers, count=scale.nameservers)
    source = named.source if named.source.endswith(_SCALED) else named.source + _SCALED
    return NamedProfile(source, msgspec.structs.replace(profile, brokers=brokers, nameservers=nameservers))


def _brokers(profile: Profile, count: int) -> list[BrokerSection]:
    known = list(profile.brokers)
    names = _free_names({broker.name for broker in known})
    slaves = known[-1].slaves
    return known[:count] + [BrokerSection(name=next(names), slaves=slaves) for _ in range(count - len(known))]


def _free_names(taken: set[str]) -> Iterator[str]:
    for letter in string.ascii_lowercase:
        if f"broker-{letter}" not in taken:
            yield f"broker-{letter}"
    for number in range(1, _BROKERS_MAX + 1):
        if f"broker-{number}" not in taken:
            yield f"broker-{number}"
