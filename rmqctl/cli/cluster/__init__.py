"""Commands about a whole cluster: `up`, `scale`, `down`, `status`, `wait`, `systemd`."""
