"""What holds imgloc together, read from its source without importing it: levels, jax-free rooms, sizes, tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "imgloc"

#: The one rule: a file imports from its own room, from rooms before it in this line, and from the files in the package's root.
ORDER = (
    "config", "devices", "nn", "image", "features", "operations", "models", "pretrained", "explanation", "losses", "data", "detection",
    "tracking", "score_maps", "tasks", "runs", "inference", "deployment", "evaluation", "training", "reporting", "serving", "sweeps",
    "experiments", "api", "cli",
)  # fmt: skip
ROOT_FILES = ("types", "interfaces", "boxes", "errors", "files", "randomness", "draw")
WITHOUT_JAX = (
    *ROOT_FILES, "config.schema", "config.recipes", "config.registry", "detection", "tracking", "score_maps", "tasks", "runs",
    "evaluation.metrics", "evaluation.statistics", "evaluation.scoring", "evaluation.group_comparison", "evaluation.variances",
    "evaluation.permutation", "evaluation.aggregates", "evaluation.power", "evaluation.coco_files", "evaluation.wsol",
    "api.score_maps", "reporting",
)  # fmt: skip
ACCELERATED = {"jax", "jaxlib", "flax", "optax", "orbax", "grain", "tensorflow_datasets"}
FLAG_READERS = {
    "config/overrides.py": "--config.key=value",
    "data/batches/pipeline.py": "marks Grain's flags as parsed in its workers",
    "deployment/locate_exported.py": "a program of its own",
}
LONG_FUNCTIONS = {("training/loop.py", "training_steps"), ("config/schema.py", "base")}  # the one loop; a list of keys
# Files whose tests stand in a file of another name: module -> that file.
TESTED_ELSEWHERE = {
    "errors": "test_errors_and_files", "files": "test_errors_and_files", "types": "test_architecture",
    "interfaces": "test_scoring", "image/luma": "test_scale", "config/recipes": "test_schema", "config/resolve": "test_build",
    "devices/mesh": "test_devices", "devices/multihost": "test_devices",
    "nn/cells/elman": "test_cells", "nn/cells/irnn": "test_cells", "nn/cells/lstm": "test_cells",
    "nn/cells/gru": "test_cells", "nn/cells/minimal_gru": "test_cells",
    "losses/box_l1": "test_losses", "losses/giou": "test_losses", "losses/iou": "test_losses", "losses/diou": "test_losses",
    "losses/ciou": "test_losses", "losses/geometry/similarities": "test_losses",
    "losses/cross_entropy": "test_losses",
    "data/checks/boxes": "test_check", "data/checks/classes": "test_check", "data/checks/images": "test_check",
    "data/checks/folder": "test_check", "data/checks/dataset": "test_check", "data/images/headers": "test_decode",
    "data/images/picture": "test_decode", "inference/export": "test_exports", "inference/explain": "test_explaining",
    "inference/predictions": "test_python", "inference/score_maps": "test_localize_from_labels",
    "evaluation/image_sizes": "test_exports", "detection/objects": "test_average_precision",
    "detection/matching": "test_average_precision", "detection/curves": "test_average_precision",
    "detection/at_threshold": "test_detection_at_threshold",
    "losses/dense_class": "test_dense_losses", "losses/dense_box": "test_dense_losses",
    "losses/geometry/dense_targets": "test_dense_losses", "losses/geometry/locations": "test_dense_losses",
    "losses/assignments/task_aligned": "test_dense_losses", "losses/assignments/fcos": "test_dense_losses",
    "losses/assignments/center": "test_dense_losses", "losses/set_class": "test_set_losses", "losses/set_box": "test_set_losses",
    "losses/set_presence": "test_set_losses", "losses/geometry/set_targets": "test_set_losses",
    "losses/matchings/hungarian": "test_set_losses", "losses/matchings/reinspect": "test_set_losses",
    "losses/matchings/left_to_right": "test_set_losses", "losses/matchings/large_to_small": "test_set_losses",
    "data/annotated/annotations": "test_faults", "data/annotated/assemble": "test_reader",
    "data/prepared/opening": "test_tfds", "data/prepared/parsing": "test_tfds", "data/prepared/classes": "test_tfds",
    "data/augmentations/none": "test_augmentations", "data/augmentations/photographs": "test_augmentations",
    "data/augmentations/light": "test_augmentations",
    "tasks/classify": "test_tasks", "tasks/localize": "test_tasks", "tasks/read_sequence": "test_tasks",
    "evaluation/metrics/classification": "test_metrics", "evaluation/metrics/localization": "test_metrics",
    "evaluation/explanation_metrics": "test_explanations",
    "tracking/rows": "test_single_object", "data/sources/video_folder": "test_sequences",
    "evaluation/metrics/single_object_tracking": "test_track",
    "evaluation/metrics/multi_object_tracking": "test_multi_object", "losses/track_score": "test_track_box",
    "evaluation/target": "test_evaluate", "evaluation/examples": "test_evaluate", "evaluation/predictors": "test_evaluate",
    "runs/partial_predictions": "test_saved_partial_predictions", "runs/provenance": "test_run_dir",
    "runs/metrics_log": "test_metric_writer",
    "training/start": "test_fit", "training/validation": "test_loop", "nn/fitted": "test_classical",
    "training/checkpoint": "test_resume", "training/preemption": "test_resume",
    "explanation/rules": "test_methods", "explanation/linear": "test_methods", "explanation/averages": "test_methods",
    "explanation/question": "test_layers", "explanation/requests": "test_targets", "explanation/method": "test_methods",
    "explanation/jaxprs": "test_layers", "explanation/keys": "test_methods",
    "sweeps/executor": "test_executors", "sweeps/work": "test_run",
    "deployment/int8": "test_export_command", "evaluation/exported": "test_exported",
}  # fmt: skip
TESTED_AS_A_ROOM = {
    "pretrained": "pretrained/test_originals", "operations": "operations/test_all_operations",
    "reporting": "reporting/test_page", "cli": "cli/test_cli", "models": "test_contracts", "evaluation/baselines": "test_contracts",
    "evaluation/slicings": "evaluation/test_scoring", "api": "api/test_python", "inference/exports": "inference/test_exports",
    "sweeps/executors": "sweeps/test_executors",
    "training/loggers": "training/test_run_loggers",
    "explanation/methods": "explanation/test_methods", "explanation/quality": "explanation/test_quality",
    "serving": "serving/test_serving", "experiments": "experiments/test_declared",
    "deployment/formats": "deployment/test_exported", "deployment/onnx_writer": "deployment/test_onnx_writer",
}  # fmt: skip


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the package by its path, parsed."""
    return {str(p.relative_to(PACKAGE)): ast.parse(p.read_text(), str(p)) for p in sorted(PACKAGE.rglob("*.py"))}


def module_name(path: str) -> str:
    """`data/digits.py` -> `data.digits`; a package is its folder."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def room(name: str) -> str:
    return "imgloc" if name in ("__init__", "") else name.split(".", maxsplit=1)[0]


@cache
def modules() -> dict[str, str]:
    return {"imgloc" if path == "__init__.py" else module_name(path): path for path in sources()}


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names that a file imports anywhere, functions included; `from a import b` gives `a.b`. Not those for type checking alone."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typing_only = {inner for guard in guards for statement in guard.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def imports_of_ours(path: str) -> Iterator[tuple[str, int]]:
    """The modules of imgloc that a file imports, as `data.batches.pipeline`; `imgloc` for the package's own names."""
    for name, line in imported(sources()[path]):
        if name.split(".")[0] != "imgloc":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in modules():
            parts = parts[:-1]
        yield ".".join(parts) or "imgloc", line


def test_there_is_something_to_read() -> None:
    assert len(sources()) > 30
    assert {"types.py", "nn/conv.py", "models/second_look.py"} <= set(sources())
    edges = {(path, target) for path in sources() for target, _ in imports_of_ours(path)}
    assert {("config/resolve.py", "config.schema"), ("inference/predict.py", "data.batches.pipeline"), ("__main__.py", "cli.main")} <= edges


def test_the_root_holds_few_files_and_every_room_has_its_place() -> None:
    rooms = {room(module_name(path)) for path in sources()}
    assert rooms - {"imgloc", "__main__"} == {*ROOT_FILES, *ORDER}, "say in ORDER where a new room stands"
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 10


def test_imports_go_one_way() -> None:
    place = {
        **dict.fromkeys(ROOT_FILES, -1),
        **{name: i for i, name in enumerate(ORDER)},
        "imgloc": len(ORDER) - 1.5,
        "__main__": len(ORDER),
    }
    wrong = []
    for path in sources():
        own = room(module_name(path))
        for target, line in imports_of_ours(path):
            there = room(target)
            if place[there] > place[own] or (there != own and place[there] == place[own] >= 0):
                wrong.append(f"{path}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: {target for target, _ in imports_of_ours(path)} for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"imports in a circle: {' -> '.join((*above, module))}"
        if module not in done:
            for target in graph[module] - {module}:
                visit(target, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def reached(path: str) -> set[str]:
    """Paths of all modules of ours that a file imports, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [modules()[target] for target, _ in imports_of_ours(current) if target != "imgloc"]
    return found


def test_scoring_and_reporting_know_nothing_of_jax() -> None:
    wrong = []
    for path in sources():
        if f"{module_name(path)}.".startswith(tuple(f"{name}." for name in WITHOUT_JAX)):
            for other in reached(path):
                wrong += [f"{path} by way of {other}: {n}" for n, _ in imported(sources()[other]) if n.split(".")[0] in ACCELERATED]
    assert not wrong, "\n".join(wrong)


def test_scoring_a_table_never_loads_jax() -> None:
    names = [module for module in modules() if f"{module}.".startswith(tuple(f"{name}." for name in WITHOUT_JAX))]
    code = "\n".join([
        "import sys", *(f"import imgloc.{name}" for name in names),
        "from imgloc.evaluation import scoring",
        "row = {'id': 'a', 'group': 'a', 'label': 0, 'top_labels': [0], 'boxes': [[0, 0, 1, 1]], 'labels': [0], 'pred_box': [0, 0, 1, 1]}",
        "assert scoring.means([row])['top1_loc_50'] == 1.0",
        f"print(sorted({ACCELERATED!r} & set(sys.modules)))",
    ])  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_modules_are_imported_by_name_in_one_place() -> None:
    callers = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "import_module") or (isinstance(node, ast.Name) and node.id == "__import__")
    }
    assert callers == {"config/registry.py"}
    assert not [path for path, tree in sources().items() for name, _ in imported(tree) if name == "importlib.import_module"]


def test_packages_are_empty_but_the_top_one() -> None:
    for path, tree in sources().items():
        if path.endswith("__init__.py") and path != "__init__.py":
            assert not tree.body, f"{path} holds code"


def test_only_commands_read_flags() -> None:
    for path, tree in sources().items():
        readers = {name.split(".")[0] for name, _ in imported(tree)} & {"absl", "argparse", "click", "getopt", "optparse"}
        known = path in FLAG_READERS and readers <= {"absl", "argparse"}
        assert not readers or path.startswith("cli/") or known, f"{path} imports {readers}"


def test_files_and_functions_are_short_and_well_named() -> None:
    wrong = []
    for path, tree in sources().items():
        length = len((PACKAGE / path).read_text().splitlines())
        wrong += [f"{path}: {length} lines"] if length >= 300 else []
        wrong += [f"{path}: a name that says nothing"] if Path(path).stem in ("utils", "util", "helpers", "common", "misc") else []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines >= 60 and (path, node.name) not in LONG_FUNCTIONS:
                    wrong.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not wrong, "\n".join(wrong)


def test_inheritance_stops_at_what_libraries_ask_for() -> None:
    allowed = {"nn.Module", "NamedTuple", "Protocol", "Exception", "msgspec.Struct", "tfds.core.GeneratorBasedBuilder"}
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                assert {ast.unparse(b) for b in node.bases} <= allowed, f"{path}:{node.lineno} class {node.name}"


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes of a file, and the public methods of its classes that are neither a property nor a path."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def test_modules_and_public_functions_have_docstrings() -> None:
    wrong = []
    for path, tree in sources().items():
        if tree.body and not ast.get_docstring(tree):
            wrong.append(f"{path}: the module")
        wrong += [f"{path}:{node.lineno} {node.name}" for node in public(tree) if not ast.get_docstring(node)]
    assert not wrong, "\n".join(wrong)


def test_every_file_postpones_its_annotations() -> None:
    for path, tree in sources().items():
        defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree))
        postponed = "__future__.annotations" in {name for name, _ in imported(tree)}
        assert postponed or not defines, f"{path} lacks `from __future__ import annotations`"


def test_tests_mirror_the_package() -> None:
    tests = {p.stem for p in (ROOT / "tests").rglob("test_*.py")}
    missing = []
    for path in sources():
        stem = Path(path).stem
        if stem.startswith("__") or path.startswith(tuple(f"{name}/" for name in TESTED_AS_A_ROOM)):
            continue
        if f"test_{stem}" not in tests and TESTED_ELSEWHERE.get(path.removesuffix(".py")) not in tests:
            missing.append(path)
    missing += [name for name, tests_file in TESTED_AS_A_ROOM.items() if not (ROOT / "tests" / f"{tests_file}.py").is_file()]
    assert not missing, f"no tests file for {missing}"
    gone = [module for module in TESTED_ELSEWHERE if f"{module}.py" not in sources()]
    assert not gone, f"TESTED_ELSEWHERE names what is no more: {gone}"
