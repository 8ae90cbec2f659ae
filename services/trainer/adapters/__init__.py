"""What the trainer reads from outside."""
