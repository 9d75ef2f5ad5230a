"""The command that starts a supervisor, and the supervisor's ties to it until the cluster serves."""
