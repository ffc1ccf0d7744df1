"""What the machines of tests/models rest on; they run as the campaign `model`."""

from __future__ import annotations

from binascii import crc32

from kvcli.engine.revisions import STRIPES
from tests.models.dictionary import bytes_of
from tests.models.machine import KEYS


def test_keys_of_the_model_have_stripes_of_their_own() -> None:
    """The model may expect a swap to win only if its keys share no stripe."""
    assert len({crc32(bytes_of(key)) % STRIPES for key in KEYS}) == len(KEYS)
