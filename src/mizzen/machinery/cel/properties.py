"""How expressions name the properties of objects: those that are no identifiers, or words of CEL, are escaped.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from functools import lru_cache

# Words that CEL keeps for itself, which a property may still be named.
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


@lru_cache(maxsize=4096)
def escaped(name: str) -> str:
    """A property's name as rules write it: `foo-bar` is `foo__dash__bar`."""
    if name in _RESERVED:
        return f"__{name}__"
    for mark, text in _ESCAPES:
        name = name.replace(mark, text)
    return name
