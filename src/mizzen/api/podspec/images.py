"""References to images: which tag a reference means, and what that says about pulling."""

import re

_reference = re.compile(
    r"(?:[A-Za-z0-9][-A-Za-z0-9.]*(?::\d+)?/|\[[0-9a-fA-F:]+\](?::\d+)?/)?"  # registry and port
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*"  # path
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
).fullmatch


def pull_policy(image: str) -> str:
    """When an image is pulled if nobody said: always for `latest`, named or implied; else if it is not there."""
    match = _reference(image)
    if match is None:
        return "IfNotPresent"
    tag = match["tag"]
    latest = tag == "latest" or (tag is None and match["digest"] is None)
    return "Always" if latest else "IfNotPresent"
