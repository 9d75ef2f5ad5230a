"""What a broker says about itself, and how its configuration is changed while it runs.

Source: `AdminBrokerProcessor` (RocketMQ 4.5.2).
"""

import logging

from rmqnode.broker.outcome import AfterRegistration
from rmqnode.broker.runtime_info import runtime_info
from rmqnode.broker.state import Broker
from rmqnode.config import ConfigError, config_properties, masked_properties, parse_properties, render_properties
from rmqnode.config_changes import NotChangeable
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import NoHeader
from rmqnode.protocol.headers.administration import GetBrokerConfigResponseHeader
from rmqnode.protocol.routes import Reply, Request

logger = logging.getLogger(__name__)


def get_broker_runtime_info(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer the broker's figures; a slave asks its master for the ends of its log here."""
    broker.look_at_refused_keys()
    return Reply(body=KVTable(table=runtime_info(broker)).encode())


def get_broker_config(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer every key that this broker acts on, as it counts now, in properties text; secrets are `***`."""
    header = GetBrokerConfigResponseHeader(version=broker.config_version.encode().decode())
    return Reply(header=header, body=render_properties(masked_properties(config_properties(broker.config))).encode())


def update_broker_config(broker: Broker, request: Request[NoHeader]) -> Reply | AfterRegistration:
    """Change keys of the configuration and keep them; what counts when is in `config_changes`."""
    try:
        changes = parse_properties(request.body, "update").as_mapping()
        had_permission = broker.config.broker_permission
        broker.change_config(changes)
    except ConfigError as error:
        raise RequestError(ResponseCode.SYSTEM_ERROR, "; ".join(error.problems)) from None
    except NotChangeable as error:
        raise RequestError(ResponseCode.NO_PERMISSION, str(error)) from None
    except OSError as error:
        logger.error("configuration not changed reason=%s", error)
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"not changed, the file can't be written: {error}") from None
    return Reply() if broker.config.broker_permission == had_permission else AfterRegistration(Reply())
