"""How a broker's configuration shapes its streams. Values only."""

from typing import NamedTuple


class StreamOptions(NamedTuple):
    """Sizes and times of both ends."""

    batch_size_bytes: int
    """Longest block (`haTransferBatchSize`)."""
    heartbeat_seconds: float
    """After so long without a write each end says that it is there (`haSendHeartbeatInterval`)."""
    silence_seconds_max: float
    """After so long without a byte from the other end the stream is closed (`haHousekeepingInterval`)."""
    pause_seconds: float = 0.0
    """How long a master lets messages gather after a write, so that slave and master have fewer turns under load; 0
    where sends wait for the slave."""
