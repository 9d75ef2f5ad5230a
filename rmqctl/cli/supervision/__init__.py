"""What the commands about clusters and nodes share: who asks the supervisor, and what is shown of what it does."""
