"""What a feature is: state that folds and merges, and values finished out of it at an instant. Pure."""
