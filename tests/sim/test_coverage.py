"""No controller runs that no simulation has seen."""

import ast
import re
from pathlib import Path

from mizzen.controllers import all as everything

HERE = Path(__file__).parent


def test_every_controller_lives_in_a_simulated_world() -> None:
    told = [path.read_text() for path in sorted(HERE.glob("test_*.py")) if path != Path(__file__)]
    missing = [name for name in _listed() if not any(_speaks_of(name, text) for text in told)]
    assert not missing, f"no world has {', '.join(missing)}"


def _listed() -> list[str]:
    """The entries of the tuple of all controllers, as they are written there."""
    tree = ast.parse(Path(everything.__file__).read_text())
    [found] = [node.value for node in tree.body if isinstance(node, ast.AnnAssign)]
    assert isinstance(found, ast.Tuple)
    return [ast.unparse(one) for one in found.elts]


def _speaks_of(name: str, text: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if re.search(rf"\b{re.escape(name)}\b", text):
        return True
    return bool(re.search(rf"from mizzen\.controllers\.(\w+\.)?{module} import [^\n]*\b{attribute}\b", text))
