"""The import rules of the house, read from the code with `ast`."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import model

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("app", "model")
    for path in sorted((ROOT / package).rglob("*.py"))
}

CLIENT = {  # a distribution of its own
    ".".join(path.relative_to(ROOT / "client/src").with_suffix("").parts): path
    for path in sorted((ROOT / "client/src").rglob("*.py"))
}
WINGS = sorted(path.parent.name for path in (ROOT / "model").glob("*/__init__.py"))
FORMULAS = {"numpy", "model.formulas", "model.errors"}  # all that formulas may know
OPTIONAL = {  # packages of extras, and who may import them: inside a function
    "PIL": {"model.exploration.landscape_drawing"},
    "mlflow": {"model.exporting.mlflow_model", "model.exporting.mlflow_code"},
    "narwhals": {"model.data.frames"},  # required and small, and needed for frames only
    "onnx": {"model.exporting.graph"},
    "pandas": {
        "model.data.frames",
        "model.exporting.mlflow_code",
        "model.exporting.mlflow_model",
        "model.predictions",
    },
    "pyarrow": {
        "model.data.csv_file",
        "model.data.frames",
        "model.data.reading",
        "model.predictions",
        "model.scoring.parquet_source",
    },
    "ray": {
        "app.ray_serve",
        "model.scoring.ray_engine",
        "model.scoring.score",  # which has the name of the engine
    },
    "sklearn": {"model.data.examples", "model.estimators", "model.tasks.baselines"},
    "threadpoolctl": {"model.tasks.baselines"},
    "tqdm": {"model.commands.progress"},
}
LAZY = {  # modules that are loaded when they are used only
    "model.estimators": {"sklearn"},  # by `model`, for their names
    "model.exporting.mlflow_code": {"mlflow", "pandas"},  # by MLflow, which runs a copy
}
AT_THE_EDGES = {  # modules of `model` that take pydantic
    "model.artifact.card",
    "model.artifact.features",
    "model.artifact.folder",
    "model.artifact.landscape",
    "model.artifact.records",
    "model.importing.building",
    "model.importing.specification",
}
READ_ENVIRONMENT = {
    "app.settings",
    "model",  # OMP_WAIT_POLICY: `python -m model` sets it before torch is loaded
    "model.passes.fused",  # MCD_KERNEL: whoever uses `model` alone can switch the kernel off, too
}
FRAMEWORK_FREE = ("app.service", "app.compute", "app.metrics", "app.settings")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((MODULES | CLIENT)[module].read_text())


def imports(module: str, *, top_level: bool = False) -> set[str]:
    """Full names of the modules, or things in modules, that a module imports, in any way."""
    found: set[str] = set()
    nodes = tree(module).body if top_level else ast.walk(tree(module))
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def packages(module: str) -> set[str]:
    """Top-level packages that a module imports."""
    return {name.partition(".")[0] for name in imports(module)}


def inside(package: str) -> Iterator[str]:
    return (module for module in MODULES if module.partition(".")[0] == package)


def room(module: str) -> str:
    """The wing that a module of `model` belongs to; a module at the root is a room of its own."""
    return module.split(".")[1] if "." in module else "model"


def modules_of_model(module: str) -> set[str]:
    """Modules of `model` that a module imports, or imports something of; not `model` itself."""
    known = [name for name in inside("model") if name not in ("model", module)]
    found = set()
    for imported in imports(module):
        holders = [name for name in known if f"{imported}.".startswith(f"{name}.")]
        found |= {max(holders, key=len)} if holders else set()
    return found


def arrows(module: str) -> set[str]:
    """The other rooms of `model` that a module imports."""
    return {room(name) for name in modules_of_model(module)} - {room(module)}


def circle(graph: Mapping[str, set[str]]) -> tuple[str, ...]:
    """A circle in a graph, or nothing."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def test_no_import_inside_model_points_upward() -> None:
    """Rooms that import one another in no circle have an order, in which all imports go down."""
    modules = [name for name in inside("model") if name != "model.__main__" and name != "model"]
    rooms = {room(name): set[str]() for name in modules}
    for name in modules:
        rooms[room(name)] |= arrows(name)
    assert not circle(rooms)
    assert not circle({name: modules_of_model(name) for name in modules})


@pytest.mark.parametrize("module", sorted(inside("model")))
def test_a_wing_is_entered_by_its_door(module: str) -> None:
    for name in imports(module):
        _, wing, *rest = [*name.split("."), "", ""]
        if name.startswith("model.") and wing in WINGS and wing != room(module):
            door = importlib.import_module(f"model.{wing}")
            assert rest[0] in door.__all__, f"{module} imports {name}"


@pytest.mark.parametrize("wing", WINGS)
def test_a_door_names_what_it_exports_and_says_what_the_wing_is_for(wing: str) -> None:
    door = importlib.import_module(f"model.{wing}")
    imported = {name.rpartition(".")[2] for name in imports(f"model.{wing}")}
    assert sorted(door.__all__) == sorted(imported)
    assert door.__doc__
    assert len(door.__doc__.splitlines()) == 1


def test_model_has_few_wings_and_few_modules_at_its_root() -> None:
    loose = [name for name in inside("model") if name.count(".") == 1 and room(name) not in WINGS]
    assert len(WINGS) <= 13  # with `exporting`, whose packages no other wing knows
    assert len([*loose, "model"]) <= 9


def test_formulas_know_numpy_and_errors_only() -> None:
    for module in inside("model"):
        if room(module) == "formulas":
            ours = {f"model.{room(name)}" for name in modules_of_model(module)}
            others = packages(module) - {"model"} - sys.stdlib_module_names
            assert ours | others <= FORMULAS, module


def test_the_commands_go_through_the_door_of_model() -> None:
    """A user of the package can do what the commands do: only cards and messages are extra."""
    assert modules_of_model("model.__main__") == {"model.commands"}
    own = {name for name in inside("model") if room(name) == "commands"}
    extra = {"model.artifact", "model.data", "model.messages"}
    for module in own:
        assert modules_of_model(module) <= own | extra, module


def test_model_knows_neither_the_service_nor_its_frameworks() -> None:
    ours = {"torch", "numpy", "safetensors", "pydantic", "jinja2", "model", *OPTIONAL}
    for module in inside("model"):
        assert packages(module) <= ours | sys.stdlib_module_names, module
        if "pydantic" in packages(module):
            assert module in AT_THE_EDGES


def test_app_enters_model_through_its_door() -> None:
    for module in inside("app"):
        names = {name for name in imports(module) if name.partition(".")[0] == "model"}
        assert names <= {"model", *(f"model.{name}" for name in model.__all__)}, module
        assert not packages(module) & {"torch", "safetensors"}, module


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(FRAMEWORK_FREE)])
def test_the_service_itself_knows_no_web_framework(module: str) -> None:
    assert not packages(module) & {"fastapi", "starlette"}


def test_a_protocol_imports_neither_another_protocol_nor_the_whole_application() -> None:
    for protocol, others in (("app.native", "app.v2"), ("app.v2", "app.native")):
        modules = [name for name in inside("app") if name.startswith(protocol)]
        assert modules
        for module in modules:
            found = [name for name in imports(module) if name.startswith((others, "app.main"))]
            assert not found, module


@pytest.mark.parametrize("module", CLIENT)
def test_the_client_knows_httpx_only_and_frames_inside_functions(module: str) -> None:
    known = {"httpx", "mc_dropout_client"} | sys.stdlib_module_names
    frames = {"pandas", "polars"} if module == "mc_dropout_client.tables" else set()
    assert packages(module) <= known | frames
    eager = {name.partition(".")[0] for name in imports(module, top_level=True)}
    assert eager <= known


def test_nobody_imports_the_client() -> None:
    for module in MODULES:
        assert "mc_dropout_client" not in packages(module), module


def test_the_client_exports_what_its_door_imports() -> None:
    door = importlib.import_module("mc_dropout_client")
    imported = {n.rpartition(".")[2] for n in imports("mc_dropout_client.__init__")}
    assert sorted(door.__all__) == sorted(imported)


def test_nobody_imports_a_host() -> None:
    hosts = ("app.ray_serve", "app.ray_proxy")
    for module in MODULES:
        assert not [name for name in imports(module) if name.startswith(hosts)], module


def test_a_proxy_of_ray_which_must_start_in_seconds_loads_no_torch() -> None:
    script = "import sys, app.ray_proxy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_only_these_modules_read_the_environment() -> None:
    for module in MODULES:
        names = {ast.unparse(n) for n in ast.walk(tree(module)) if isinstance(n, ast.Attribute)}
        reads = {"os.environ", "os.getenv", "os.environb"} & (names | imports(module))
        assert module in READ_ENVIRONMENT or not reads, module


def test_optional_packages_are_imported_where_they_are_needed_only() -> None:
    for module in MODULES:
        for package, allowed in OPTIONAL.items():
            constants = {n.value for n in ast.walk(tree(module)) if isinstance(n, ast.Constant)}
            by_name = {c for c in constants if isinstance(c, str) and " " not in c}
            named = {name for name in by_name if name.partition(".")[0] == package}
            if package in packages(module) or named:
                assert module in allowed, f"{module} imports {package}"
        eager = {name.partition(".")[0] for name in imports(module, top_level=True)}
        assert not (eager & OPTIONAL.keys()) - LAZY.get(module, set()), module


@pytest.mark.parametrize("lazy", LAZY)
def test_nobody_imports_a_module_that_is_loaded_on_use(lazy: str) -> None:
    """`model` itself names it for the type checker, and in its `__getattr__`."""
    assert not any(name.startswith(lazy) for name in imports("model", top_level=True))
    for module in set(MODULES) - {"model", lazy}:
        assert not [name for name in imports(module) if name.startswith(lazy)], module


def test_importing_model_loads_no_optional_package_and_changes_nothing() -> None:
    script = """if True:
        import sys, threading, torch
        before = set(sys.modules)
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        import model
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
        assert torch.equal(state, torch.get_rng_state())
        assert threads == torch.get_num_threads()
        assert threading.active_count() == 1
        """
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "model" in loaded
    assert not loaded & (OPTIONAL.keys() | {"scipy", "pandas", "fastapi", "starlette", "app"})


def test_all_names_exactly_what_model_exports() -> None:
    ours = (name for name in imports("model") - LAZY.keys() if name.startswith("model."))
    imported = {name.rpartition(".")[2] for name in ours}
    assert sorted(imported) == sorted(model.__all__)
    assert all(hasattr(model, name) for name in model.__all__)


@pytest.mark.parametrize("module", [*MODULES, *CLIENT])
def test_modules_and_functions_fit_on_a_screen_or_few(module: str) -> None:
    assert len((MODULES | CLIENT)[module].read_text().splitlines()) <= 400
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 50, f"{node.name} has {lines} lines"
