"""The one exception that means "what the user gave is at fault"."""


class InputError(ValueError):
    """A file, an option or a value from outside is wrong; the message says which, and what to do.

    The command line turns it into one line on standard error and exit code 2. Bugs of groupnas
    itself must never be raised as this class.
    """
