"""Single settings: which key of broker.conf or nameserver.conf gets which value, on which nodes, and who said so."""

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

from rmqctl.errors import UsageError
from rmqctl.profile.model import Role
from rmqctl.profile.schema import Profile, PropertiesSection, text_of

GROUPS_OF_ROLE: dict[Role, tuple[str, ...]] = {
    Role.NAMESERVER: ("cluster", "nameservers"),
    Role.MASTER: ("cluster", "brokers", "masters"),
    Role.SLAVE: ("cluster", "brokers", "slaves"),
}
"""The groups that a node belongs to, from the widest to the narrowest; a narrower one wins."""

_SET = re.compile(r"(?:(?P<target>[^:=]+):)?(?P<key>[^:=\s]+)\s*=(?P<value>.*)", re.DOTALL)


class Setting(msgspec.Struct, frozen=True):
    """One key and value for a group of nodes or for one node."""

    target: str
    """`cluster`, `nameservers`, `brokers`, `masters`, `slaves`, or the name of a node."""
    key: str
    value: str
    source: str
    """Who said so, for errors and for `rmqctl profile show`."""


def parse_set_options(options: Sequence[str]) -> list[Setting]:
    """Parse the values of `--set [NODE:]key=value`; without a node, the whole cluster is meant.

    Raises:
        UsageError: A value has another form.
    """
    settings = []
    for text in options:
        match = _SET.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--set {text!r} is not a setting",
                "a setting is key=value, or NODE:key=value",
                "--set broker-a-0:flushDiskType=SYNC_FLUSH",
            )
        source = f"--set {text}"
        settings.append(Setting((match["target"] or "cluster").strip(), match["key"], match["value"], source))
    return settings


def profile_settings(profile: Profile, source: str) -> list[Setting]:
    """The settings that a profile makes under `[properties.…]`."""
    settings = []
    groups = [name for name in PropertiesSection.__struct_fields__ if name != "nodes"]
    for group in groups:
        for key, value in getattr(profile.properties, group).items():
            settings.append(Setting(group, key, text_of(value), f"{source}: properties.{group}.{key}"))
    for node, values in profile.properties.nodes.items():
        for key, value in values.items():
            settings.append(Setting(node, key, text_of(value), f"{source}: properties.nodes.{node}.{key}"))
    return settings


def settings_for(
    node: str, role: Role, in_profile: Iterable[Setting], on_command_line: Iterable[Setting]
) -> list[Setting]:
    """The settings that reach a node, in the order in which they apply: the last one for a key wins.

    The command line beats the profile; in each of them a narrower group beats a wider one.
    """
    order = (*GROUPS_OF_ROLE[role], node)

    def reaching(settings: Iterable[Setting]) -> list[Setting]:
        found = [setting for setting in settings if setting.target in order]
        return sorted(found, key=lambda setting: order.index(setting.target))

    return [*reaching(in_profile), *reaching(on_command_line)]


def check_targets(settings: Iterable[Setting], node_names: Sequence[str]) -> None:
    """Refuse a setting for a node or group that this cluster does not have; raises UsageError."""
    groups = list(dict.fromkeys(group for names in GROUPS_OF_ROLE.values() for group in names))
    known = [*node_names, *groups]
    for setting in settings:
        if setting.target not in known:
            near = difflib.get_close_matches(setting.target, known, 1, 0.5)
            raise UsageError(
                f"{setting.source}: this cluster has no node {setting.target!r}",
                f"nodes: {', '.join(node_names)}; groups: {', '.join(groups)}",
                f"did you mean {near[0]!r}?" if near else None,
            )
