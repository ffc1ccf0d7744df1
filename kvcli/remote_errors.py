"""Errors of stores on servers; they belong to the family of kvcli/errors.py, which shows where."""

from __future__ import annotations

from kvcli.errors import AccessDenied, Busy, InputOutput, InvalidArgument, Other


class CrossSlot(InvalidArgument):
    """Keys that are to change together live in several slots of a cluster, which cannot do that."""

    code = "cross-slot"


class WrongKind(Other):
    """The key holds what no command of kvcli's reads or writes: a server's hash, list or set. It was left alone."""

    code = "wrong-kind"
    exit_code = 5


class OutcomeUnknown(InputOutput):
    """A server was asked to write, and went away without an answer: it may have happened. kvcli does not repeat it."""

    code = "outcome-unknown"


class Unavailable(Busy):
    """A server cannot be reached, or cannot serve just now. What was asked for did not happen."""

    code = "unavailable"


class PasswordNeeded(AccessDenied):
    """A server asks for a password, and none was given."""
