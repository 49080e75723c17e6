import gzip

import pytest

from mizzen.server.subresources import links

BASE, HOST = "/api/v1/namespaces/d/pods/web/proxy", "10.0.0.1:80"


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ('<a href="/rewriteme">test</a>', f'<a href="{BASE}/rewriteme">test</a>'),
        ("<A class=x HREF='/a?b=c#d'>", f"<A class=x HREF='{BASE}/a?b=c#d'>"),
        ('<img alt="/a" src=/logo.png>', f'<img alt="/a" src="{BASE}/logo.png">'),
        ('<script src="http://10.0.0.1:80/x.js"></script>', f'<script src="{BASE}/x.js"></script>'),
        ('<form action="/go/"><p title="/no">', f'<form action="{BASE}/go/"><p title="/no">'),
    ],
)
def test_absolute_links_are_led_to_below_the_proxy(page: str, shown: str) -> None:
    assert links.led(page.encode(), BASE, HOST) == shown.encode()


@pytest.mark.parametrize(
    "page",
    [
        '<a href="relative">',
        '<a href="https://example.org/x">',
        '<a href="//example.org/x">',
        f'<a href="{BASE}/already">',
        '<a href="#part">',
        'no tag: href="/x" 1 < 2',
        "<p>\xff</p>",
    ],
)
def test_all_other_links_stay(page: str) -> None:
    assert links.led(page.encode("latin-1"), BASE, HOST) == page.encode("latin-1")


def test_only_pages_are_touched_also_compressed_ones() -> None:
    assert links.is_page({"content-type": "text/html; charset=utf-8"})
    assert not links.is_page({"content-type": "text/plain"})
    assert not links.is_page({"content-type": "text/html", "content-encoding": "br"})
    assert links.plain(gzip.compress(b"page"), "gzip") == b"page"
    with pytest.raises(ValueError, match="gzip"):
        links.plain(b"page", "gzip")
