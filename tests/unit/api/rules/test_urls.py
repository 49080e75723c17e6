import pytest

from mizzen.api.rules import urls, webhooks


@pytest.mark.parametrize(
    "url",
    [
        "https://a.b/c",
        "https://a:443/%20",
        "https://[::1]:8/",
        "https:///x",
        "mailto:a%b",
        "a/b:c",
        "",
        "//h/p",
        "HTTPS://a",
    ],
)
def test_what_can_be_read(url: str) -> None:
    assert urls.problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "::",
        ":x",
        "https://a b/",
        "https://a:b/",
        "https://[::1/",
        "https://a/%zz",
        "a:1"[::-1] + ":",
        "https://u s@a/",
        "https://a\n",
    ],
)
def test_what_cannot_be_read(url: str) -> None:
    assert urls.problem(url)


def test_a_url_that_cannot_be_read_is_one_mistake_and_one_that_nobody_wants_several() -> None:
    def found(url: str) -> list[str]:
        return [str(error.cause).removeprefix("FieldValue") for error in webhooks.client_errors("c", {"url": url})]

    assert found("::") == ["Required"]
    assert found("HTTPS://host/path") == []
    assert found("http://u:p@host/path?q#f") == ["Invalid"] * 4
    assert found("") == ["Invalid"] * 2
