"""The map of the source, docs/map.md: every package with its purpose and its modules, by layer.

`map.py` writes it, `map.py --check` fails when it is stale, and `map.py WORD…` prints the modules that speak of all
these words in their path or in the first line of their docstring.
"""

import ast
import re
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mizzen"
MAP = ROOT / "docs" / "map.md"
HEAD = """# Map

Written by `make map` from the docstrings, from the uppermost layer of imports to the lowest. `python tools/map.py
WORD…` finds modules by what they say they are for.
"""


def main(arguments: list[str]) -> int:
    """Do what the arguments ask for; answers the exit status."""
    if arguments == ["--check"]:
        current = MAP.exists() and MAP.read_text() == drawn()
        print("the map is current" if current else "docs/map.md is stale: run `make map`")
        return 0 if current else 1
    if arguments:
        print("\n".join(found([word.lower() for word in arguments])))
    else:
        MAP.write_text(drawn())
    return 0


def drawn() -> str:
    """The text of docs/map.md."""
    parts = [HEAD]
    for packages in layers():
        parts.append(f"## {', '.join(packages)}\n")
        for top in packages:
            inits = sorted((SOURCE / top).rglob("__init__.py"), key=lambda path: path.parent.parts)
            entries = [entry(init.parent) for init in inits if init.stat().st_size]
            parts += [*entries, ""] if entries else []
    return "\n".join(parts).rstrip() + "\n"


def layers() -> list[list[str]]:
    """The packages of each layer that import-linter holds, uppermost first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    order = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip().removeprefix("mizzen.") for name in re.split("[|:]", layer)] for layer in order]


def entry(package: Path) -> str:
    """The lines of one package: what it is for, and below it the names of its modules."""
    path = package.relative_to(SOURCE).as_posix()
    modules = " ".join(f"`{module.stem}`" for module in sorted(package.glob("*.py")) if module.stem != "__init__")
    lines = [f"- **[{path}](../src/mizzen/{path})**: {purpose(package / '__init__.py')}"]
    return "\n".join(lines + textwrap.wrap(modules, 118, initial_indent="  ", subsequent_indent="  "))


def purpose(module: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(module.read_text())) or "").partition("\n")[0]


def found(words: list[str]) -> list[str]:
    """A line for each module that speaks of all the words."""
    lines = [f"{path.relative_to(ROOT)}: {purpose(path)}" for path in sorted(SOURCE.rglob("*.py"))]
    return [line for line in lines if all(word in line.lower() for word in words)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
