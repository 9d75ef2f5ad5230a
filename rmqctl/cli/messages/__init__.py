"""Commands about messages: `send`, `tail`, `message`; `rendering` is how they print one."""
