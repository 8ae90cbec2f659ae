"""The commands that the pages name exist, with the options and arguments that the pages give them."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from snowmelt.cli.main import VERBS
from tests.docs.pages import PAGES, ROOT, fences, name, spans

_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
_COMMAND = re.compile(
    r"^(?:\$ )?(?:docker-compose (?:exec|run) .*?)?(?:(?:\S*/)?snowmelt|(?<= )cli) (?P<words>[a-z]+\b.*)$"
)
_COMPOSED = re.compile(r"^docker-compose (?:exec|run)(?: -{1,2}[a-z-]+(?: \"\S+\")?)* (?P<service>[a-z-]+) ")


def _app(verb: str) -> typer.Typer:
    module = importlib.import_module(f"snowmelt.cli.{VERBS[verb][0]}")
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command()(getattr(module, verb))
    return app


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The click command that the words lead to, and the words left for it."""
    verb, *rest = words
    assert verb in VERBS, f"{verb} is not a verb"
    command: Any = typer.main.get_command(_app(verb))
    while rest and getattr(command, "commands", None) and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"{verb} has no {rest[0]}"
        command = command.commands[rest.pop(0)]
    return command, rest


def _shown() -> list[tuple[str, str]]:
    return [(name(page), found["words"]) for page in PAGES for line in fences(page) if (found := _COMMAND.match(line))]


def _mentioned() -> list[tuple[str, str]]:
    return [(name(p), found["words"]) for p in PAGES for span in spans(p) if (found := _COMMAND.match(span))]


def test_the_pages_show_commands() -> None:
    pages = {page for page, _ in _shown()}
    assert {"README.md", "docs/deployment.md", "docs/features.md"} <= pages


@pytest.mark.parametrize(("page", "words"), _shown())
def test_a_command_that_is_shown_can_be_given(page: str, words: str) -> None:
    command, rest = _resolve(shlex.split(words, comments=True))
    command.make_context(words, rest)


@pytest.mark.parametrize(("page", "words"), _mentioned())
def test_a_command_that_is_mentioned_exists(page: str, words: str) -> None:
    command, rest = _resolve(shlex.split(words))
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= options


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = CliRunner().invoke(_app(verb), ["--help"])
    assert done.exit_code == 0, done.output
    assert "Usage:" in done.output


TARGETS = sorted({target for p in PAGES for code in (*fences(p), *spans(p)) for target in _MAKE.findall(code)})


def test_the_two_commands_and_the_tests_are_among_the_targets() -> None:
    assert {"up", "down", "test", "lint", "clean"} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_named_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    found = re.findall(r"^<!-- test-command -->\n```\n(.+)\n```$", (ROOT / "README.md").read_text(), flags=re.M)
    assert found == ["make test"]
    assert "grep -A 2 '<!-- test-command -->' README.md" in (ROOT / ".ci/run").read_text()


def test_services_named_in_compose_commands_exist() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    lines = [*fences(ROOT / "docs/deployment.md"), *_comment_lines(ROOT / "compose.yaml")]
    named = [found["service"] for line in lines if (found := _COMPOSED.match(line))]
    assert len(named) >= 4
    assert set(named) <= set(services)


def _comment_lines(path: Path) -> list[str]:
    return [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
