"""A module is one noun, a function fits on a screen, and the ten steps fit on one."""

from tests.architecture.source_tree import Function, Module, modules

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70  # exclusive
PIPELINE_LINES_MAX = 120  # exclusive
NOT_A_NOUN = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "shared"})


def lines_of(module: Module) -> int:
    return len(module.text.splitlines())


def length(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def long_functions(module: Module) -> list[str]:
    return [
        f"{module.name}: {function.name} has {length(function)} lines"
        for function in module.functions()
        if length(function) >= FUNCTION_LINES_MAX
    ]


def test_no_module_is_too_long():
    sizes = {module.name: lines_of(module) for module in modules()}
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def test_no_function_is_too_long():
    assert [found for module in modules() for found in long_functions(module)] == []


def test_the_ten_steps_fit_on_a_screen():
    (pipeline,) = modules("gateway/pipeline.py")
    assert lines_of(pipeline) < PIPELINE_LINES_MAX


def test_every_module_is_named_for_what_it_is():
    parts = {module.name: set(module.name.removesuffix(".py").split("/")) for module in modules()}
    assert [name for name, words in parts.items() if words & NOT_A_NOUN] == []


def test_a_long_function_is_seen():
    body = "    pass\n" * (FUNCTION_LINES_MAX - 1)
    assert long_functions(Module.of("planted.py", f"async def run():\n{body}"))
    shorter = body.removesuffix("    pass\n")
    assert not long_functions(Module.of("planted.py", f"async def run():\n{shorter}"))
