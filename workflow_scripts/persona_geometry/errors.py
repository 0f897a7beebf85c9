"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """Bad input, in one sentence that names the file, the row or key, and the remedy."""
