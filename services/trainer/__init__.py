"""The trainer: from the lake to a release that is active if it is good enough."""
