"""A data set becomes a catalogue, users and events: MovieLens, Online Retail, your own folder, a simulated shop."""
