"""Shape limits: files under 500 lines, functions under 50, classes of at most 10 public methods.

A file that is longer says why in a line `# shape: …` near its top; a function, on its `def` line.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES, PUBLIC_METHODS = 500, 50, 10


def main() -> int:
    """Print every place that is past a limit; answers the exit status."""
    found = [place for path in sorted((ROOT / "src").rglob("*.py")) for place in excesses(path)]
    print("\n".join(found) if found else "shape limits hold")
    return 1 if found else 0


def excesses(path: Path) -> list[str]:
    """What is too large in one file and does not say why."""
    text = path.read_text()
    lines = text.splitlines()
    where = path.relative_to(ROOT)
    found = []
    if len(lines) > FILE_LINES and not any(line.startswith("# shape:") for line in lines[:30]):
        found.append(f"{where}: {len(lines)} lines")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if "# shape:" in lines[node.lineno - 1]:
            continue
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        if isinstance(node, ast.ClassDef):
            public = [
                m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef) and m.name[0] != "_"
            ]
            public = [m for m in public if not _is_property(m) and not _is_callback(m)]
            if len(public) > PUBLIC_METHODS:
                found.append(f"{where}:{node.lineno}: class {node.name} has {len(public)} public methods")
        elif size > FUNCTION_LINES:
            found.append(f"{where}:{node.lineno}: {node.name} has {size} lines")
    return found


def _is_property(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in method.decorator_list)


def _is_callback(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Methods that a protocol of asyncio or httptools prescribes."""
    prescribed = ("connection_", "data_received", "eof_received", "pause_", "resume_", "datagram_", "error_received")
    return method.name.startswith(("on_", *prescribed))


if __name__ == "__main__":
    sys.exit(main())
