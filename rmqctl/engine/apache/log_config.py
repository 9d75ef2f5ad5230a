"""The logging configuration of Apache's nodes: warnings to the log that `rmqctl logs` shows, the rest beside it.

By default they write a dozen files below the user's home folder, together several gigabytes, in Beijing's time.
"""

from pathlib import Path
from xml.sax.saxutils import escape

_TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by rmqctl up for {node}. -->
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <filter class="ch.qos.logback.classic.filter.ThresholdFilter"><level>WARN</level></filter>
    <encoder><pattern>{pattern}</pattern></encoder>
  </appender>
  <appender name="file" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{log}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{log}.%i</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>4</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>16MB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>{pattern}</pattern></encoder>
  </appender>
  <appender name="file-later" class="ch.qos.logback.classic.AsyncAppender">
    <appender-ref ref="file"/>
  </appender>
  <!-- It writes the lengths of all queues every second. -->
  <logger name="RocketmqWaterMark" level="WARN"/>
  <root level="INFO">
    <appender-ref ref="console"/>
    <appender-ref ref="file-later"/>
  </root>
</configuration>
"""

# As our own nodes write: date, time, level, logger, message.
# The quotes keep logback from taking what is behind the comma for a time zone.
_PATTERN = '%d{"yyyy-MM-dd HH:mm:ss,SSS"} %p %c - %m%n'


def log_config(node: str, logs: Path) -> str:
    """The content of a logback configuration file.

    Args:
        node: Its name.
        logs: The folder of its logs: `rocketmq.log` comes there, 16 MB and four older ones.
    """
    # Logback expands ${…}; a folder may be called so all the same.
    log = escape(str(logs / "rocketmq.log").replace("$", "\\$"))
    return _TEMPLATE.format(node=node, pattern=_PATTERN, log=log)
