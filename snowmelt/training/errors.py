"""What training and data sets say when data cannot be used."""


class BadDataError(Exception):
    """The data cannot be used as it is; the message names file and row, or what is missing. Exit code 65."""
