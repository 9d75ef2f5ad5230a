"""What differs between two models of a cluster, in words: what `up` would change on a running one."""

from collections.abc import Collection

from rmqctl.profile.model import ClusterModel, JavaSettings, Node


def describe_changes(old: ClusterModel, new: ClusterModel) -> list[str]:
    """One line per difference; empty when both mean the same cluster."""
    lines = []
    if old.profile != new.profile:
        lines.append(f"profile: {old.profile} → {new.profile}")
    if old.engine != new.engine:
        lines.append(f"engine: {old.engine} → {new.engine}")
    if old.broker_ip != new.broker_ip:
        lines.append(f"address for clients (brokerIP1): {old.broker_ip} → {new.broker_ip} ({new.broker_ip_reason})")
    old_nodes = {node.name: node for node in old.nodes}
    new_nodes = {node.name: node for node in new.nodes}
    lines += [f"{name}: added" for name in new_nodes if name not in old_nodes]
    lines += [f"{name}: removed" for name in old_nodes if name not in new_nodes]
    follows = _values_that_follow(old, new)
    for name, node in new_nodes.items():
        if name in old_nodes:
            lines += [f"{name}: {line}" for line in describe_node_changes(old_nodes[name], node, follows)]
    return lines


def _values_that_follow(old: ClusterModel, new: ClusterModel) -> set[tuple[str, str]]:
    """Pairs of values that differ only because the address or the number of nameservers did."""
    pairs = {(old.broker_ip, new.broker_ip)}
    for key in ("bindAddress", "namesrvAddr"):
        for before in old.nodes:
            after = new.node(before.name)
            if after is not None and key in before.properties and key in after.properties:
                moved = before.properties[key].replace(old.broker_ip, new.broker_ip)
                if moved == after.properties[key] or len(old.nameservers) != len(new.nameservers):
                    pairs.add((before.properties[key], after.properties[key]))
    return pairs


def describe_node_changes(old: Node, new: Node, follows: Collection[tuple[str | None, str | None]] = ()) -> list[str]:
    """What differs in one node, without its name; pairs of values in `follows` are left out."""
    lines = []
    if old.engine != new.engine:
        lines.append(f"engine {old.engine} → {new.engine}")
    elif old.java != new.java:
        lines.append(f"{_java(old.java)} → {_java(new.java)}")
    for key in sorted(old.properties.keys() | new.properties.keys()):
        before, after = old.properties.get(key), new.properties.get(key)
        if before != after and (before, after) not in follows:
            lines.append(f"{key} {_shown(before)} → {_shown(after)}")
    return lines


def _java(settings: JavaSettings | None) -> str:
    if settings is None:
        return "(nothing)"
    said = [f"RocketMQ {settings.rocketmq_home or settings.version}", f"heap {settings.heap_mib} MiB"]
    said += [f"direct memory {settings.direct_memory_mib} MiB", *settings.jvm_options]
    return ", ".join(said)


def _shown(value: str | None) -> str:
    return "(default)" if value is None else value
