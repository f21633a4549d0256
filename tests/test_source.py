"""The package's own source: what it must not import, call or compare, and who may import whom."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

import fluidauth
from fluidauth import Session
from harness import ROOT
from harness.imports import FLOORS, HEIGHTS, TREES, imports_of, own_imports, package_of, room_of

Lint = Callable[[ast.Module], list[str]]


THIRD_PARTY = {
    "keys.key": {"cryptography"},
    "formats.encryption": {"cryptography"},
    "formats.one_time": {"cryptography"},
    "concurrency": {"asgiref"},
    "stores.bridge": {"asgiref"},
    "stores.postgres.connection": {"psycopg", "psycopg_pool"},
    "stores.postgres.store": {"psycopg", "psycopg_pool"},
    "stores.postgres.async_store": {"psycopg", "psycopg_pool"},
    "stores.redis.connection": {"hiredis"},
    "stores.redis.async_connection": {"hiredis"},
    "stores.redis.attempts": {"hiredis"},
    "stores.redis.routing": {"hiredis"},
    "stores.redis.refusals": {"hiredis"},
    **{
        f"cli.{name}": {"click"}
        for name in (
            "options",
            "keys",
            "keys_revoke",
            "sessions",
            "sessions_all",
            "sessions_list",
            "sessions_revoke",
            "token",
            "doctor",
            "commands",
        )
    },
    "cli.output": {"click", "rich"},
    **{
        f"integrations.django.{name}": {"django"}
        for name in (
            "adopters",
            "apps",
            "checks",
            "configuration",
            "facts",
            "impersonation",
            "middleware",
            "request_session",
            "serving",
            "store",
            "base",
            "states",
            "under_test",
        )
    },
    "integrations.django.status_page": {"asgiref", "django"},
    "integrations.fastapi": {"fastapi", "starlette"},
    "integrations.flask.interface": {"flask", "werkzeug"},
    "integrations.flask.responses": {"werkzeug"},
    "integrations.flask.adopters": {"flask", "itsdangerous", "msgspec", "redis"},
    "integrations.flask.login_signals": {"flask", "flask_login", "flask_security"},
    "integrations.flask.mirror": {"flask"},
    "integrations.flask.sessions": {"flask", "werkzeug"},
    "integrations.flask.settings": {"flask"},
    "integrations.flask.tagged_json": {"flask"},
    **{f"integrations.litestar.{name}": {"litestar"} for name in ("config", "middleware", "store", "visits")},
    "integrations.quart": {"flask", "quart"},
    "integrations.starlette": {"itsdangerous", "starlette"},
    "pytest_plugin": {"pytest"},
    "testing.fixtures": {"pytest"},
}
RANDOM_SOURCES = {
    "formats.tokens": {"token_bytes"},
    "operations.adopt": {"token_hex"},
    "keys.strength": {"token_urlsafe"},
    "formats.encryption": {"urandom"},
    "formats.form_tokens": {"urandom"},
    "formats.one_time": {"token_urlsafe"},
    "stores.postgres.statements": {"urandom"},
    "stores.redis.scripts": {"urandom"},
    "stores.migrating.handover": {"urandom"},
}


# -- imports ------------------------------------------------------------------------------------


def test_every_room_has_its_floor() -> None:
    """A new package is put into the list above before anything imports it."""
    assert sorted(HEIGHTS) == sorted({room_of(module) for module in TREES})
    assert len(FLOORS) <= 12
    assert len(HEIGHTS) <= 25


@pytest.mark.parametrize("module", TREES)
def test_imports_point_down(module: str) -> None:
    """No package knows what is built on it, or beside it."""
    room = room_of(module)

    upward = {other for other in own_imports(module) if HEIGHTS[room_of(other)] >= HEIGHTS[room]}

    assert {other for other in upward if room_of(other) != room} == set()


def test_no_imports_go_in_circles() -> None:
    """Within a package the modules have an order as well."""
    graph = {module: own_imports(module) for module in TREES}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


@pytest.mark.parametrize("module", [name for name in TREES if name.startswith("stores")])
def test_a_store_knows_records_alone(module: str) -> None:
    """Neither keys nor cookies nor rules: what it cannot see it cannot leak or misjudge."""
    others = {name for name in own_imports(module) if not name.startswith("stores")}

    assert others <= {"errors", "records", "after_fork", "secrecy", "concurrency", "recent"}


def test_the_import_lint_sees_imports() -> None:
    """Relative and absolute ones, of modules and of names, also within functions."""
    tree = ast.parse(
        "import json, http.cookies\nfrom os import path as p\nfrom . import tokens\nfrom .keys import Key\n"
        "def f():\n    from ..records import SessionRecord\n    import fluidauth.engine as e\n"
    )

    assert list(imports_of(tree, "fluidauth.stores")) == [
        "json",
        "http.cookies",
        "os.path",
        "fluidauth.stores.tokens",
        "fluidauth.stores.keys.Key",
        "fluidauth.records.SessionRecord",
        "fluidauth.engine",
    ]
    assert own_imports("stores.memory") == {"errors", "records", "stores.base", "stores.delegating"}
    assert "formats.tokens" in own_imports("rules.versions")


def behind_the_wall(tree: ast.Module) -> list[str]:
    """Return what *tree* touches of a session that is not its own, nor anybody's but the session's."""
    private = {name for name in dir(Session) if name.startswith("_") and not name.endswith("__")}
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in private and ast.unparse(node.value) != "self"
    ]


@pytest.mark.parametrize("module", [name for name in TREES if room_of(name) != "session"])
def test_a_session_has_a_wall(module: str) -> None:
    """What stands behind it is asked of its visit."""
    assert behind_the_wall(TREES[module]) == []


def test_the_wall_is_seen() -> None:
    """A session's slot and its methods are found; those of an object itself are its own."""
    tree = ast.parse("session._visit\nself.plain._read()\nself._read()\nother._change().state")

    assert behind_the_wall(tree) == ["session._visit", "self.plain._read", "other._change"]


@pytest.mark.parametrize("module", TREES)
def test_each_library_is_imported_where_it_is_needed(module: str) -> None:
    """Two libraries in three modules; the rest is Python's own."""
    tops = {name.partition(".")[0] for name in imports_of(TREES[module], package_of(module))}

    foreign = tops - sys.stdlib_module_names - {"fluidauth", "_typeshed"}

    assert foreign == THIRD_PARTY.get(module, set())


def test_importing_the_package_imports_no_framework(tmp_path: Path) -> None:
    """Nor a driver or a command-line library; and it starts no thread and writes no file."""
    program = (
        "import sys, threading, fluidauth\n"
        "print(threading.active_count(), *{name.partition('.')[0] for name in sys.modules})"
    )
    unwanted = {
        *("starlette", "fastapi", "flask", "werkzeug", "django", "litestar", "aiohttp", "quart", "tornado"),
        *("redis", "hiredis", "psycopg", "psycopg2", "asyncpg", "sqlalchemy", "aiosqlite", "pymongo"),
        *("click", "typer", "rich", "uvicorn", "gunicorn", "anyio", "trio", "httpx"),
        *("pytest", "hypothesis", "jinja2", "pydantic", "itsdangerous", "yaml"),
    }

    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    threads, *modules = done.stdout.split()

    assert threads == "1"
    assert "fluidauth" in modules
    assert unwanted.intersection(modules) == set()
    assert list(tmp_path.iterdir()) == []


def test_what_an_application_may_need_is_seen_without_running_it(tmp_path: Path) -> None:
    """As by PyInstaller: what no import statement names is missing in an application that it freezes."""
    program = tmp_path / "program.py"
    program.write_text("from fluidauth import SessionEngine\n")
    finder = ModuleFinder(path=[str(ROOT)])

    finder.run_script(str(program))

    needed = {f"fluidauth.{module}" for module in TREES if module.startswith(("engine", "stores"))}
    assert needed - finder.modules.keys() == set()


def test_the_package_has_at_most_27_names() -> None:
    """Each imported under its own name; beside them a docstring, the version and the list of them."""
    statements = [node for node in TREES[""].body if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in statements for alias in node.names]

    assert len(names) <= 27
    assert sorted(names) == sorted(fluidauth.__all__)
    assert len(TREES[""].body) == len(statements) + 3


# -- folders ------------------------------------------------------------------------------------


# Lowest first: of these, each may import what stands before it. A tool or a benchmark is tested as well.
FOLDERS = ("fluidauth", "harness", "benchmarks", "tools", "tests")
OUTSIDE = sorted(path for folder in FOLDERS[1:] for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_folders_are_in_no_circle(path: Path) -> None:
    """Tools and benchmarks take from the harness what they share with tests, and nothing from tests."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))

    above = FOLDERS[FOLDERS.index(path.relative_to(ROOT).parts[0]) + 1 :]

    assert {name for name in imports_of(tree, package) if name.partition(".")[0] in above} == set()


# -- lints --------------------------------------------------------------------------------------


def banned_modules(tree: ast.Module) -> list[str]:
    """Weak randomness, ids that are too short, code in data, and the cookie parser that loses cookies."""
    banned = ("uuid", "random", "pickle", "marshal", "shelve", "dbm", "yaml", "http.cookies", "jsonpickle")
    return [
        name
        for name in imports_of(tree)
        if any(name == module or name.startswith(f"{module}.") for module in banned)
    ]


def code_from_data(tree: ast.Module) -> list[str]:
    """Calls that run text."""
    return [
        call.func.id
        for call in calls(tree)
        if isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec", "compile", "__import__")
    ]


def other_algorithms(tree: ast.Module) -> list[str]:
    """Ciphers but AES-GCM, and hashes but SHA-256."""
    ciphers = [
        name for name in imports_of(tree) if ".ciphers" in name and not name.endswith(".ciphers.aead.AESGCM")
    ]
    hashes = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("hashlib", "hashes")
        and node.attr.lower() != "sha256"
    ]
    return ciphers + hashes


def comparisons_of_secrets(tree: ast.Module) -> list[str]:
    """``==`` on a tag, MAC or token tells its beginning by the time it takes."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
        and any(is_secret(side) for side in (node.left, *node.comparators))
    ]


def is_secret(node: ast.expr) -> bool:
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    words = re.split(r"_+", name)
    return not {"mac", "macs", "tag", "token", "digest", "hexdigest", "signature", "secret"}.isdisjoint(
        words
    ) or name.endswith("session_id")


def built_statements(tree: ast.Module) -> list[str]:
    """SQL that is put together from pieces, at its execution or before."""
    found = [
        ast.unparse(call)
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("execute")
        and not (call.args and is_constant_statement(call.args[0]))
    ]
    for node in ast.walk(tree):
        pieces: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            pieces = node.values[:1]
        elif isinstance(node, ast.BinOp):
            pieces = [node.left, node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            pieces = [node.func.value]
        found += [ast.unparse(node) for piece in pieces if is_sql(piece)]
    return found


def is_constant_statement(node: ast.expr) -> bool:
    table = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id.isupper()
    return isinstance(node, ast.Name | ast.Constant) or table


def is_sql(node: ast.expr) -> bool:
    start = r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|DROP|PRAGMA|BEGIN|WITH|WHERE|SET) "
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(start, node.value) is not None
    )


def assertions(tree: ast.Module) -> list[str]:
    """A check that ``python -O`` leaves out is none."""
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def broad_handlers(tree: ast.Module) -> list[str]:
    """A bare ``except`` swallows what nobody thought of, Ctrl-C included."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


LINTS: dict[Lint, str] = {
    banned_modules: "import uuid\nimport random\nfrom pickle import loads\nfrom http import cookies",
    code_from_data: "eval(text)\nexec(text)\nx = compile(text, '', 'exec')\n__import__(name)",
    other_algorithms: (
        "from cryptography.hazmat.primitives.ciphers import Cipher\n"
        "from cryptography.hazmat.primitives.ciphers.aead import AESCCM\n"
        "hashlib.md5(b'')\nhashes.SHA1()"
    ),
    comparisons_of_secrets: (
        "mac == given\nours != record_mac(text)\ntoken[42:] == tag\nself._mac(head) == token[42:]\n"
        "known.session_id == session_id\nh.hexdigest() == x"
    ),
    built_statements: (
        "c.execute(f'SELECT {x}')\nc.execute('DELETE FROM t WHERE id = %s' % x)\n"
        "c.executescript('DROP TABLE ' + x)\nc.executemany(make(x), rows)\n"
        "statement = 'UPDATE t SET a = {}'.format(x)\nc.execute()"
    ),
    assertions: "assert x\nassert isinstance(y, str), 'text'",
    broad_handlers: "try:\n    f()\nexcept:\n    pass",
}
REQUIREMENTS = {
    banned_modules: ("1", "42", "44"),
    code_from_data: ("42",),
    other_algorithms: ("38",),
    comparisons_of_secrets: ("28",),
    built_statements: ("54",),
}
CASES = [
    pytest.param(
        lint,
        module,
        id=f"{lint.__name__}-{module or 'fluidauth'}",
        marks=pytest.mark.requirement(*REQUIREMENTS[lint]) if lint in REQUIREMENTS else (),
    )
    for lint in LINTS
    for module in TREES
    if lint is not assertions
    or module not in ("testing.contract", "testing.remote", "testing.async_remote")  # suites
]


@pytest.mark.parametrize(("lint", "module"), CASES)
def test_the_source_is_free_of(lint: Lint, module: str) -> None:
    """Each lint finds nothing in each module."""
    assert lint(TREES[module]) == []


@pytest.mark.parametrize(("lint", "bad"), LINTS.items(), ids=[lint.__name__ for lint in LINTS])
def test_a_lint_finds_what_it_is_for(lint: Lint, bad: str) -> None:
    """Each statement of its bad example, so that finding nothing means something."""
    statements = ast.parse(bad).body

    missed = [ast.unparse(node) for node in statements if not lint(ast.Module([node], []))]

    assert missed == []


@pytest.mark.parametrize(
    ("lint", "good"),
    [
        (
            comparisons_of_secrets,
            "token[:2] != '1.'\nlen(token) != TOKEN_LENGTH\nhandle == other\nn == stage",
        ),
        (built_statements, "c.execute(_GET, values)\nc.execute('BEGIN')\nc.execute(_TABLE[x])\nf'SQL {x}'"),
        (other_algorithms, "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\nhashes.SHA256()"),
    ],
)
def test_a_lint_lets_pass_what_is_right(lint: Lint, good: str) -> None:
    """Comparing with a public constant, or executing a constant statement."""
    assert lint(ast.parse(good)) == []


@pytest.mark.requirement("1", "38")
@pytest.mark.parametrize("module", TREES)
def test_randomness_has_one_source_for_each_purpose(module: str) -> None:
    """Ids from ``secrets.token_bytes``, nonces from ``os.urandom``, users' secrets from ``token_urlsafe``."""
    random = re.compile(
        r"token_(bytes|hex|urlsafe)|u?random|getrandom|getrandbits|choices?|rand\w+|uuid\d|generate_key"
    )

    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute | ast.Name)
        and random.fullmatch(node.attr if isinstance(node, ast.Attribute) else node.id)
    }

    assert used == RANDOM_SOURCES.get(module, set())
