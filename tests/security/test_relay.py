"""The search that the other tests trust: a token is found however it is written."""

from base64 import b64encode

import pytest

from tests.security.relay import found

PLANTED = "zqplantedk7"


@pytest.mark.parametrize("written", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_token_is_found_however_it_is_written(written: str) -> None:
    token = f"Patient {PLANTED.upper()}^Jane".encode(written)
    assert found(PLANTED, b"\0\1" + token)
    assert not found(PLANTED, b"\0\1" + token.replace("Q".encode(written), b""))


@pytest.mark.parametrize("before", range(4))
def test_a_token_is_found_in_base64_and_hexadecimal(before: int) -> None:
    content = bytes(before) + PLANTED.encode() + b"^jane"
    assert found(PLANTED, b64encode(content))
    assert found(PLANTED, content.hex().upper().encode())
