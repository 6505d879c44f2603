"""What the engine says can be translated: when it is read, in the language of whoever reads it."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reid_engine import errors, messages
from reid_engine.messages import Message

ENGINE = Path(messages.__file__).parent
SOURCES = [path for path in sorted(ENGINE.rglob("*.py")) if "tests" not in path.parts and path.name != "errors.py"]
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
PLACEHOLDER = re.compile(r"%\((\w+)\)")


@pytest.fixture
def chinese() -> None:
    messages.install({"No %(thing)s here": "这里没有%(thing)s", "crop": "行人图"}.get)


def test_an_error_is_translated_when_it_is_read(chinese: None) -> None:
    error = errors.BadDataset("No %(thing)s here", thing=Message("crop"))
    assert str(error) == "这里没有行人图"
    messages.install(str)
    assert str(error) == "No crop here"


def test_an_error_of_another_process_says_the_same() -> None:
    error = errors.BadPhoto("No %(thing)s here, 5 %% at most", thing="photo", reason="too_small")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (errors.BadPhoto, "No photo here, 5 % at most")
    assert again.data == error.data


@pytest.mark.parametrize("language", ["zh_CN.UTF-8", "zh-hans"])
def test_a_shell_in_chinese_gets_the_compiled_catalogue(language: str) -> None:
    assert messages.catalogue(language)("photo") == "照片"
    assert messages.catalogue("fr")("photo") == "photo"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_every_error_says_a_marked_template_and_brings_its_data(path: Path) -> None:
    for function in [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]:
        texts = dict(_marked_names(function))
        for call, template in _said(function):
            where = f"{path.name}:{call.lineno}"
            if isinstance(template, ast.Name) and template.id == "template":
                continue  # passed on: its caller is checked
            text = texts.get(template.id) if isinstance(template, ast.Name) else _marked(template)
            assert text is not None, f"{where}: the words must be _('...') as they stand, without an f"
            given = {keyword.arg for keyword in call.keywords}
            assert None in given or set(PLACEHOLDER.findall(text)) <= given, f"{where}: {text} lacks data"


def _said(function: ast.FunctionDef) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Every call that makes an error, with the argument that holds its words."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in KINDS | {"Message"}:
                yield node, node.args[0]
            elif node.func.id == "_corrupt":
                yield node, node.args[1]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).lower().endswith("layout.error"):
            yield node, node.args[1]


def _marked_names(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _marked(node.value)
            if text is not None:
                yield node.targets[0].id, text


def _marked(node: ast.expr) -> str | None:
    """The literal inside _("..."), where that is what stands there."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
        literal = node.args[0]
        return literal.value if isinstance(literal, ast.Constant) else None
    return None
