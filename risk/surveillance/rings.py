"""Rings: which accounts of a graph of trades can all be reached from one another, however the goods went around."""

from collections.abc import Mapping, Set


def strongly_connected(graph: Mapping[int, Set[int]]) -> list[frozenset[int]]:
    """The strongly connected components of more than one account; `graph`: seller -> its buyers.

    Tarjan's algorithm (SIAM Journal on Computing 1, 1972), with a stack of its own instead of recursion.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    found: list[frozenset[int]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            node, buyers = work[-1]
            for buyer in buyers:
                if buyer not in index:
                    index[buyer] = low[buyer] = len(index)
                    path.append(buyer)
                    on_path.add(buyer)
                    work.append((buyer, iter(graph.get(buyer, frozenset()))))
                    break
                if buyer in on_path:
                    low[node] = min(low[node], index[buyer])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    found.append(_component(path, on_path, node))
    return [component for component in found if len(component) > 1]


def _component(path: list[int], on_path: set[int], root: int) -> frozenset[int]:
    cut = path.index(root)
    members = frozenset(path[cut:])
    del path[cut:]
    on_path -= members
    return members
