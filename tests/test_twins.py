"""Each method that is written twice, for blocking and for asynchronous code, says the same both times."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from harness.imports import TREES

Function = ast.FunctionDef | ast.AsyncFunctionDef

# What an asynchronous twin names otherwise, besides the methods that begin with an "a".
WORDS = {
    "twin": "store",
    "asynccontextmanager": "contextmanager",
    "AsyncIterator": "Iterator",
    "AsyncSessionStore": "SessionStore",
    "aperform_here": "perform",
}
# What only asynchronous code has to do first: it may be doing something else meanwhile.
AWAITED_ALONE = (
    "await self.quiet()",
    "await Loading.aload(self)",
    "await Session.aload(session)",
    "await session.aload()",
    "await self._mirror.plain.aload()",
)
# Why two that look like twins are not.
DIFFERENT = {
    "engine.access.StoreAccess.perform": "the awaited one is shielded from its caller's cancellation",
    "engine.adopters.AdopterList.find": "an adopter that blocks is read in a thread",
    "engine.adopters.AdopterList.forget": "the awaited one is this one, in a thread",
    "engine.visit.Visit.carry_out": "the awaited one may be cancelled, and then goes on",
    "engine.visit.Visit.load": "flat for its speed, where the awaited one prefetches",
    "integrations.django.middleware.SessionMiddleware.__call__": "the awaited one needs a type",
    "integrations.django.request_session.followed": "it yields from its chunks, where each is awaited",
    "integrations.flask.methods.Methods.save": "what was not read is read, or awaited",
    "middleware.visits.MiddlewareVisit.take_in": "what was not read is read, or awaited",
    "middleware.shared_scope._Ended.load": "the awaited one leaves the values to the next access",
    "operations.locks.locked": "a lock of threads, or tasks that are woken",
    "operations.runner._do": "a pause is a sleep, or none under trio",
    "operations.runner.run": "on a bridged store all steps are one call",
    "session.loading.Loading.save": "what was not read is read, or awaited",
    "session.one_time.OneTime.issue": "the awaited one is this one, when the session is read",
    "stores.sqlite.group_commit.GroupCommit.run": "a thread waits for its turn, a task is told",
}


class Pair(NamedTuple):
    name: str
    blocking: Function
    awaited: Function


def pairs() -> Iterator[Pair]:
    """Yield each function of the package that has a twin beside it, whose name begins with one "a" more."""
    for module, tree in TREES.items():
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        scopes: list[ast.Module | ast.ClassDef] = [tree, *classes]
        for scope in scopes:
            functions = {node.name: node for node in scope.body if isinstance(node, Function)}
            for name, function in functions.items():
                stem = name.lstrip("_")
                twin = functions.get(name.replace(stem, f"a{stem}")) if stem else None
                if twin is not None:
                    inside = f".{scope.name}" if isinstance(scope, ast.ClassDef) else ""
                    yield Pair(f"{module}{inside}.{name}", function, twin)


class _Blocking(ast.NodeTransformer):
    """Makes blocking code of awaited code: without ``await`` and ``async``, by the twins' names."""

    def __init__(self, known: set[str]) -> None:
        self.known = known

    def name_of(self, name: str) -> str:
        if name in WORDS:
            return WORDS[name]
        stem = name.lstrip("_")
        shorter = name.replace(stem, stem[1:], 1)
        return shorter if stem.startswith("a") and shorter in self.known else name

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if ast.unparse(node) in AWAITED_ALONE else self.generic_visit(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(node.items, node.body))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(node.target, node.iter, node.body, node.orelse))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.name_of(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Attribute(self.visit(node.value), self.name_of(node.attr), node.ctx)


def said(function: Function, known: set[str]) -> str:
    """Return what *function* does, as text, without its docstring and its types."""
    blocking: Any = _Blocking(known).visit(ast.parse(ast.unparse(function)).body[0])
    body = blocking.body[1:] if ast.get_docstring(blocking) is not None else blocking.body
    arguments = [argument.arg for argument in blocking.args.args]
    statements = [ast.unparse(ast.fix_missing_locations(statement)) for statement in body]
    return "\n".join([f"({', '.join(arguments)})", *statements])


def words_of(function: Function) -> set[str]:
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


PAIRS = list(pairs())


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_twins_say_the_same(pair: Pair) -> None:
    """But for ``await``, statement by statement; those that do not have a reason above."""
    known = words_of(pair.blocking)

    same = said(pair.blocking, known) == said(pair.awaited, known)

    assert same == (pair.name not in DIFFERENT), said(pair.awaited, known)


def test_twins_are_found() -> None:
    """Those of the engine, of visits, responses and frameworks; no reason is left of one that has gone."""
    names = {pair.name for pair in PAIRS}

    assert len(names) >= 40
    assert names >= {"engine.one_session.OneSession.edit", "middleware.response.ResponseVisit.save_head"}
    assert names >= DIFFERENT.keys()
