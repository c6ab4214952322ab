"""Who imports whom, read from the source: imports inside functions count too."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = dict[str, set[str]]  # what is imported, by module or by room


def module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The names that a file imports: of `from a import b` both `a` and `a.b`, with dots in front where relative."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (source := f"{'.' * node.level}{node.module or ''}")
            yield from (f"{source}.{alias.name}" for alias in node.names)


def graph(root: Path, packages: tuple[str, ...]) -> Graph:
    """Module -> the modules of the packages that it imports. `from package import module` is of the module alone."""
    paths = {module_of(path, root): path for package in packages for path in sorted((root / package).rglob("*.py"))}
    found: Graph = {}
    for module, path in paths.items():
        named = {name for name in imports(path) if name in paths}
        inside = {name for name in named if any(other.startswith(f"{name}.") for other in named)}
        packages_only = {name for name in inside if paths[name].name == "__init__.py" and not uses(path, name, paths)}
        found[module] = named - packages_only - {module}
    return found


def uses(path: Path, package: str, modules: Mapping[str, Path]) -> bool:
    """Whether a file imports a name of the package itself, and not only modules in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            if any(f"{package}.{alias.name}" not in modules for alias in node.names):
                return True
        elif isinstance(node, ast.Import) and any(alias.name == package for alias in node.names):
            return True
    return False


def room_of(module: str) -> str:
    """A sub-package, or a module that stands beside them: the first two names."""
    return ".".join(module.split(".")[:2])


def rooms(modules: Graph) -> Graph:
    """The graph between rooms."""
    found: Graph = {}
    for module, named in modules.items():
        room = room_of(module)
        found.setdefault(room, set()).update({room_of(name) for name in named} - {room})
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The sets of more than one node that reach each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            members = stack[at:]
            del stack[at:]
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def upward(graph: Graph, floors: tuple[tuple[str, ...], ...]) -> list[str]:
    """The arrows between rooms of `floors`, lowest first, that do not point to a lower floor; and rooms on no floor."""
    height = {room: number for number, floor in enumerate(floors) for room in floor}
    packages = {room.partition(".")[0] for room in height}
    found = []
    for room, named in sorted(graph.items()):
        if room.partition(".")[0] not in packages or room in packages:
            continue
        if room not in height:
            found.append(f"{room} stands on no floor")
            continue
        found += [f"{room} -> {other}" for other in sorted(named) if height.get(other, -1) >= height[room]]
    return found
