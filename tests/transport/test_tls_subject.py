"""The subject that a certificate has to have, as viewers' files and options write it."""

import pytest

from spicereplay.errors import UsageError
from spicereplay.transport.tls.subject import Subject, parse_subject, same_subject, wrong_subject


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("CN=host", (("CN", "host"),)),
        (
            "C=IL, L=Raanana ,O=Red Hat,CN = My Server",
            (("C", "IL"), ("L", "Raanana"), ("O", "Red Hat"), ("CN", "My Server")),
        ),
        (r"O=Smith\, Sons\\,CN=a=b", (("O", "Smith, Sons\\"), ("CN", "a=b"))),
        ("1.2.3=x", (("1.2.3", "x"),)),
    ],
)
def test_subjects(text: str, entries: Subject) -> None:
    assert parse_subject(text) == entries


@pytest.mark.parametrize("text", ["", "host", "=x", "CN=a,b", ","])
def test_what_is_no_subject(text: str) -> None:
    with pytest.raises(UsageError, match="no subject"):
        parse_subject(text)


def test_case_and_runs_of_spaces_do_not_matter_and_the_order_does() -> None:
    assert same_subject(parse_subject("o=A  b,CN=C"), (("O", "a B"), ("CN", "c")))
    assert not same_subject(parse_subject("CN=c,O=a"), (("O", "a"), ("CN", "c")))


def test_no_certificate_has_no_subject() -> None:
    assert wrong_subject(None, (("CN", "a"),)) == "the certificate's subject is empty, and not CN=a"
