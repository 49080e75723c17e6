"""Formats of strings: what has them, and what does not."""

import pytest

from mizzen.machinery import formats

HAVE = {
    "bsonobjectid": ["507f1f77bcf86cd799439011"],
    "byte": ["YQ==", "YWI=", "YWJj"],
    "cidr": ["1.2.3.4/24", "01.2.3.0/24", "::/0"],
    "creditcard": ["4111-1111-1111-1111", "4111111111111111"],
    "date": ["2024-02-29"],
    "date-time": ["2020-01-01T00:00:00Z", "2020-01-01t23:59:59.5+02:00"],
    "duration": ["1h30m", "0", "2 weeks", "1 day", "5 NS"],
    "email": ["a@b", "A <a@b.c>", '"a b"@c.d'],
    "hexcolor": ["#FFFFFF", "fff"],
    "hostname": ["a", "1", "a.b.de", "xn--bcher-kva.example"],
    "ipv4": ["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4"],
    "ipv6": ["::1", "::ffff:1.2.3.4"],
    "isbn": ["0321751043", "978-0321751041"],
    "isbn10": ["0-321-75104-3"],
    "isbn13": ["978 0321751041"],
    "k8s-long-name": ["a.b-c.d"],
    "k8s-short-name": ["a-b"],
    "mac": ["00:11:22:33:44:55", "00-11-22-33-44-55", "0011.2233.4455"],
    "password": ["", "x"],
    "rgbcolor": ["rgb(255, 0,1)"],
    "ssn": ["111-11-1111", "111 11 1111"],
    "uri": ["http://a/b?c", "/x y", "a:b", "*", "http://[::1]:80/"],
    "uuid": ["123E4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"],
    "uuid4": ["f47ac10b-58cc-4372-a567-0e02b2c3d479"],
}
LACK = {
    "bsonobjectid": ["x"],
    "byte": ["", "a", "YQ", "_-8="],
    "cidr": ["1.2.3.4", "1.2.3.0/33", "::/129", "1.2.3.0/x"],
    "creditcard": ["4111111111111112", "x"],
    "date": ["2020-02-30", "2020-1-1", ""],
    "date-time": ["2020-01-01", "2020-01-01T24:00:00Z", "2020-01-01T00:00:00", ""],
    "duration": ["", "5", "x"],
    "email": ["a", "a@", "a b@c", ""],
    "hexcolor": ["#ffff"],
    "hostname": ["-a", "a_b", "", "a..b", "a" * 64],
    "ipv4": ["1.2.3", "::1", "256.1.1.1"],
    "ipv6": ["1.2.3.4", "g::", "fe80::1%eth0"],
    "isbn": ["x"],
    "isbn10": ["0321751044"],
    "isbn13": ["9780321751042"],
    "k8s-long-name": ["A.b", "-", "a" * 254],
    "k8s-short-name": ["a.b", "A", "", "a" * 64],
    "mac": ["001122334455", "00:11", "00:11-22:33:44:55"],
    "rgbcolor": ["rgb(256,0,0)"],
    "ssn": ["111111111", "x"],
    "uri": ["", "x", "a/b", "://x", "http://a b", "http://[::1", "http://a:b", "http://a/%zz", "\n"],
    "uuid": ["x", "{123e4567-e89b-12d3-a456-426614174000}"],
    "uuid4": ["f47ac10b-58cc-4372-c567-0e02b2c3d479"],
}


@pytest.mark.parametrize("format_", sorted(HAVE))
def test_a_format_is_told_from_what_lacks_it(format_: str) -> None:
    assert [text for text in HAVE[format_] if not formats.has_format(text, format_)] == []
    assert [text for text in LACK.get(format_, ()) if formats.has_format(text, format_)] == []


def test_formats_are_of_types_and_those_unknown_are_no_constraint() -> None:
    asked = [("date", "string"), ("date", ""), ("int32", "integer"), ("double", "number")]
    assert all(formats.is_known(format_, type_) for format_, type_ in asked)
    not_known = [("ip", "string"), ("int32", "string"), ("date", "integer"), ("date", "object")]
    assert not any(formats.is_known(format_, type_) for format_, type_ in not_known)
    assert formats.has_format("anything", "ip")
