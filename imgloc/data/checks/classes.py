"""What is wrong with the classes that annotations name."""

from __future__ import annotations

from collections import Counter

from imgloc.data.annotated.annotations import Annotated, Annotation, Fault


def faults(annotated: Annotated) -> list[Fault]:
    """Classes that are not declared, that differ in case or blanks only, or that nothing is of."""
    used = Counter(name for entry in annotated.images for name in _names(entry))
    used.update(dict.fromkeys(annotated.classes, 0))
    meant = _meant(used)
    known = set(annotated.classes)
    found = []
    for entry in annotated.images:
        where = entry.where or entry.file
        for name in dict.fromkeys(_names(entry)):
            if meant[name] != name:
                what = f"class '{name}' of '{entry.file}' differs from '{meant[name]}' ({used[meant[name]]:,} times) in case or blanks only"
                found.append(Fault("class_case", where, what))
            elif name not in known:
                found.append(Fault("unknown_class", where, f"class '{name}' of '{entry.file}' is not among the classes that are declared"))
    for name in annotated.classes:
        if used[name] == 0 and meant[name] != name:
            what = f"class '{name}' is declared beside '{meant[name]}', which differs in case or blanks only"
            found.append(Fault("class_case", "classes", what))
        elif used[name] == 0:
            found.append(Fault("unused_class", "classes", f"class '{name}' is declared, and nothing is of it"))
    return found


def _names(entry: Annotation) -> tuple[str, ...]:
    """Of its boxes and its own; not those without a name, which readers tell of."""
    return tuple(name for name in (*entry.names, entry.label) if name)


def _meant(used: Counter[str]) -> dict[str, str]:
    """For each class the commonest of those that are written alike but for case and blanks: most often it is the class itself."""
    alike: dict[str, list[str]] = {}
    for name in sorted(used, key=lambda name: (-used[name], name)):
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    return {name: names[0] for names in alike.values() for name in names}
