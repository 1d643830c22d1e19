"""The words of proxies: answers and logins."""

import pytest

from pulse.core.network.proxying import Answer, Login


def test_no_two_answers_are_one() -> None:
    assert len(Answer) == len({each.value for each in Answer})
    assert (Answer.NOT_ALLOWED.code, Answer.NOT_ALLOWED.status) == (2, 403)


@pytest.mark.parametrize(
    ("user", "password", "good"),
    [
        (b"ann", b"secret", True),
        (b"ann", b"secreT", False),
        (b"bob", b"secret", False),
        (b"", b"", False),
        (b"ann", b"", False),
        (b"annsecret", b"", False),
    ],
)
def test_a_login_is_both_user_and_password(user: bytes, password: bytes, good: bool) -> None:
    assert Login(b"ann", b"secret").fits(user, password) is good


def test_a_login_shows_no_secret() -> None:
    assert "secret" not in repr(Login(b"ann", b"secret"))
