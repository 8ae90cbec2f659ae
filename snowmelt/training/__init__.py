"""From a pinned lake to a release: labels, features as of each label's time, trees, the gate."""
