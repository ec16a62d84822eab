"""Draws docs/architecture.svg from the real import graph; `--check` fails when it has drifted.

Boxes are the packages below `headwater`, in the layers that .importlinter names, highest first. An
arrow says "imports"; arrows that follow from others (transitive reduction) are left out, and so are
those to the two lowest layers, which every package may import. The same run refuses any import
cycle between modules, type-checking imports included.
"""

from __future__ import annotations

import argparse
import configparser
import re
import sys
from html import escape
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGE = "headwater"
WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT, MARGIN = 920, 86, 168, 44, 24

_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    'width="{width}" height="{height}" font-family="system-ui, sans-serif">'
)
_ARROW_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#64748b"/></marker></defs>'
)


def layers() -> list[list[str]]:
    """The layers of the contract, highest first; siblings of a layer in their written order."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    lines = parser["importlinter:contract:layers"]["layers"].split("\n")
    return [re.findall(r"\w+", line) for line in lines if line.strip()]


def package_graph(modules: grimp.ImportGraph) -> nx.DiGraph[str]:
    """Which package imports which, with the number of module imports as weight."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for importer in sorted(modules.modules):
        source = _package(importer)
        if source is None:
            continue
        graph.add_node(source)
        for imported in modules.find_modules_directly_imported_by(importer):
            target = _package(imported)
            if target is not None and target != source:
                weight = graph.get_edge_data(source, target, {"weight": 0})["weight"]
                graph.add_edge(source, target, weight=weight + 1)
    return graph


def cycles(modules: grimp.ImportGraph) -> list[list[str]]:
    """Groups of modules that import one another in a ring."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for importer in modules.modules:
        for imported in modules.find_modules_directly_imported_by(importer):
            # A package importing its own child is how `__init__` re-exports; still a cycle if the
            # child imports the package, which this graph then shows.
            graph.add_edge(importer, imported)
    return [sorted(ring) for ring in nx.strongly_connected_components(graph) if len(ring) > 1]


def draw(graph: nx.DiGraph[str], counts: dict[str, int]) -> str:
    """The picture as SVG text; the same graph always gives the same text."""
    rows = [[name for name in layer if name in graph] for layer in layers()]
    rows = [row for row in rows if row]
    place: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        gap = (WIDTH - 2 * MARGIN) / len(row)
        for index, name in enumerate(row):
            # Rows of one box stand in turn left and right, so that long arrows pass beside them.
            lean = (150 if level % 2 else -150) if len(row) == 1 and level < len(rows) - 3 else 0
            x = MARGIN + gap * (index + 0.5) + lean
            place[name] = (x, MARGIN + level * ROW + BOX_HEIGHT / 2)
    height = 2 * MARGIN + (len(rows) - 1) * ROW + BOX_HEIGHT
    parts = [
        _SVG.format(width=WIDTH, height=height),
        "<title>Headwater: which package imports which</title>",
        _ARROW_HEAD,
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    ground = {name for row in rows[-2:] for name in row}
    top = place[rows[-2][0]][1] - BOX_HEIGHT / 2 - 14
    parts.append(
        f'<rect x="{MARGIN}" y="{top:.0f}" width="{WIDTH - 2 * MARGIN}" '
        f'height="{height - top - 10:.0f}" rx="10" fill="#f8fafc" stroke="#cbd5e1"/>'
        f'<text x="{MARGIN + 14}" y="{height - 26}" font-size="11" fill="#475569">'
        "every package may import these</text>"
    )
    reduced = nx.transitive_reduction(graph.subgraph(set(graph) - ground))
    for source, target in sorted(reduced.edges):
        parts.append(_arrow(place[source], place[target]))
    parts.extend(_box(name, *place[name], counts[name]) for row in rows for name in row)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _package(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != PACKAGE or len(parts) < 2 or parts[1] == "__main__":
        return None
    return parts[1]


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    y1, y2 = y1 + BOX_HEIGHT / 2, y2 - BOX_HEIGHT / 2 - 2
    bend = (y2 - y1) / 2
    # Long arrows bow outwards so that they pass beside the boxes between their ends.
    bow = 0.0 if y2 - y1 < ROW else (110.0 if x1 >= WIDTH / 2 else -110.0)
    return (
        f'<path d="M{x1:.0f} {y1:.0f} C{x1 + bow:.0f} {y1 + bend:.0f} {x2 + bow:.0f} '
        f'{y2 - bend:.0f} {x2:.0f} {y2:.0f}" fill="none" stroke="#94a3b8" stroke-width="1.4" '
        'marker-end="url(#head)"/>'
    )


def _box(name: str, x: float, y: float, modules: int) -> str:
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    noun = "module" if modules == 1 else "modules"
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" '
        'fill="#f1f5f9" stroke="#334155"/>'
        f'<text x="{x:.0f}" y="{y - 2:.0f}" text-anchor="middle" font-size="15" '
        f'font-weight="600" fill="#0f172a">{escape(name)}</text>'
        f'<text x="{x:.0f}" y="{y + 14:.0f}" text-anchor="middle" font-size="11" '
        f'fill="#475569">{modules} {noun}</text>'
    )


def main() -> int:
    """Writes the picture, or with `--check` compares it; 1 when a cycle or drift is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check: bool = parser.parse_args().check
    modules = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    rings = cycles(modules)
    for ring in rings:
        print("import cycle: " + " -> ".join(ring), file=sys.stderr)
    graph = package_graph(modules)
    if rings or not nx.is_directed_acyclic_graph(graph):
        return 1
    counts = {
        name: sum(1 for module in modules.modules if _package(module) == name) for name in graph
    }
    text = draw(graph, counts)
    if not check:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(text)
        return 0
    if not PICTURE.exists() or PICTURE.read_text() != text:
        print(
            "docs/architecture.svg has drifted from the imports: run `make docs`", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
