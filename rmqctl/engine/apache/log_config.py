"""The logging configuration of Apache's nodes: their usual files, in the node's own folder and with a cap.

Warnings come to the console too, that is to the log which `rmqctl logs` shows first. By default they write the same
files below the user's home folder, together several gigabytes, in Beijing's time.
Source: `conf/logback_broker.xml`, `conf/logback_namesrv.xml` (RocketMQ 4.5.2): names of loggers and files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from rmqctl.profile.model import NodeKind

FOLDER = "rocketmqlogs"
"""Of the files, below the node's logs: what Apache calls it."""


class _LogFiles(NamedTuple):
    root: str
    """Takes what no other file takes."""
    loggers: Mapping[str, str]
    """Logger → file."""


_FILES: Mapping[NodeKind, _LogFiles] = {
    "broker": _LogFiles(
        "broker_default.log",
        {
            "RocketmqBroker": "broker.log",
            "RocketmqCommon": "broker.log",
            "RocketmqProtection": "protection.log",
            "RocketmqWaterMark": "watermark.log",
            "RocketmqStore": "store.log",
            "RocketmqStoreError": "storeerror.log",
            "RocketmqTransaction": "transaction.log",
            "RocketmqRebalanceLock": "lock.log",
            "RocketmqRemoting": "remoting.log",
            "RocketmqStats": "stats.log",
            "RocketmqCommercial": "commercial.log",
            "RocketmqFilter": "filter.log",
        },
    ),
    "nameserver": _LogFiles(
        "namesrv_default.log",
        {"RocketmqNamesrv": "namesrv.log", "RocketmqCommon": "namesrv.log", "RocketmqRemoting": "namesrv.log"},
    ),
}

_QUIET = ("RocketmqWaterMark",)
"""Loggers that write the lengths of all queues every second."""

_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by rmqctl up for {node}. -->
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <filter class="ch.qos.logback.classic.filter.ThresholdFilter"><level>WARN</level></filter>
    <encoder><pattern>{pattern}</pattern></encoder>
  </appender>
{appenders}
{loggers}
  <root level="INFO">
    <appender-ref ref="console"/>
    <appender-ref ref="{root}-later"/>
  </root>
</configuration>
"""

_APPENDER = """  <appender name="{name}" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{path}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{path}.%i</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>{files}</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>{kibibytes}KB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>{pattern}</pattern></encoder>
  </appender>
  <appender name="{name}-later" class="ch.qos.logback.classic.AsyncAppender"><appender-ref ref="{name}"/></appender>"""

_LOGGER = """  <logger name="{logger}" level="{level}" additivity="false">
    <appender-ref ref="console"/>
    <appender-ref ref="{name}-later"/>
  </logger>"""

# As our own nodes write: date, time, level, logger, message.
# The quotes keep logback from taking what is behind the comma for a time zone.
_PATTERN = '%d{"yyyy-MM-dd HH:mm:ss,SSS"} %p %c - %m%n'

_SHARE = 4
"""A node writes to four of its files in earnest: each may take this part of what the node may."""


def log_config(node: str, kind: NodeKind, logs: Path, size_mib: int, files: int) -> str:
    """The content of a logback configuration file.

    Args:
        node: Its name.
        kind: Decides which files there are.
        logs: The folder of its logs.
        size_mib: What a log of a node may grow to before it is renamed.
        files: How many renamed ones are kept.
    """
    known = _FILES[kind]
    appenders = [
        _APPENDER.format(
            name=name,
            # Logback expands ${…}; a folder may be called so all the same.
            path=escape(str(logs / FOLDER / name).replace("$", "\\$")),
            files=max(1, files),
            kibibytes=size_mib * 1024 // _SHARE,
            pattern=_PATTERN,
        )
        for name in dict.fromkeys([known.root, *known.loggers.values()])
    ]
    loggers = [
        _LOGGER.format(logger=logger, name=name, level="WARN" if logger in _QUIET else "INFO")
        for logger, name in known.loggers.items()
    ]
    return _DOCUMENT.format(
        node=node, pattern=_PATTERN, appenders="\n".join(appenders), loggers="\n".join(loggers), root=known.root
    )


def main_log(kind: NodeKind) -> str:
    """Where a node says most, below the node's logs."""
    return f"{FOLDER}/{'broker' if kind == 'broker' else 'namesrv'}.log"
