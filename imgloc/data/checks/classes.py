"""Faults of the classes that annotations name."""

from __future__ import annotations

from collections import Counter

from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault


def find_faults(annotated: AnnotatedFolder) -> list[Fault]:
    """Returns faults for classes that are undeclared, unused, or differ from another one only in case or white space."""
    counts = Counter(name for entry in annotated.images for name in _class_names(entry))
    counts.update(dict.fromkeys(annotated.classes, 0))
    canonical = _canonical_names(counts)
    declared = set(annotated.classes)
    faults = []
    for entry in annotated.images:
        where = entry.where or entry.file
        for name in dict.fromkeys(_class_names(entry)):
            if (common := canonical[name]) != name:
                what = f"class '{name}' of '{entry.file}' differs from '{common}' ({counts[common]:,} times) only in case or white space"
                faults.append(Fault("class_case", where, what))
            elif name not in declared:
                faults.append(Fault("unknown_class", where, f"class '{name}' of '{entry.file}' is not declared"))
    for name in annotated.classes:
        if counts[name] == 0 and canonical[name] != name:
            what = f"class '{name}' is declared beside '{canonical[name]}', which differs only in case or white space"
            faults.append(Fault("class_case", "classes", what))
        elif counts[name] == 0:
            faults.append(Fault("unused_class", "classes", f"class '{name}' is declared, but no image or box has it"))
    return faults


def _class_names(entry: Annotation) -> tuple[str, ...]:
    """Returns the classes of an image and its boxes, without unnamed ones, which the readers report."""
    return tuple(name for name in (*entry.names, entry.label) if name)


def _canonical_names(counts: Counter[str]) -> dict[str, str]:
    """Returns, for each class, the most frequent of the classes that differ from it only in case or white space (or itself)."""
    variants: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        variants.setdefault(" ".join(name.casefold().split()), []).append(name)
    return {name: names[0] for names in variants.values() for name in names}
