"""Readers: what the table of them in LMDB's lock file tells."""

from __future__ import annotations


def behind(listing: str, newest: int) -> int:
    """Say how many revisions the oldest snapshot that is being read lies behind: it keeps all pages freed since.

    `listing` is a head line, then for each reader its process, thread and revision, - where it rests.
    """
    revisions = [line.split()[-1] for line in listing.splitlines()[1:]]
    return newest - min([int(each) for each in revisions if each.isdigit()], default=newest)
