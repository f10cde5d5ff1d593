"""Time, chance, environment and tasks come in as arguments: what is not passed cannot be replayed."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.code import dotted, modules

BANNED = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid4",
    "os.environ",
    "os.getenv",
    "os.urandom",
    "secrets.token_bytes",
    "secrets.token_hex",
    "asyncio.create_task",
    "asyncio.ensure_future",
}
DRAWS = {"choice", "choices", "gauss", "randint", "random", "randrange", "sample", "shuffle", "uniform", "expovariate"}
MAY = {
    "keeper/adapters/clock.py": {"time.time_ns"},
    "keeper/settings/load.py": {"os.environ"},
    # Tasks that are awaited where they are made: waiting for one of several boards, the loops of one wallet, the page
    # of logs that is fetched while the one before it is worked on, endpoints that are asked or sent to at once.
    "keeper/runtime/supervisor.py": {"asyncio.ensure_future"},
    "keeper/runtime/board.py": {"asyncio.ensure_future"},
    "keeper/services/outbox/service.py": {"asyncio.ensure_future"},
    "keeper/adapters/rpc_pages.py": {"asyncio.ensure_future"},
    "keeper/adapters/rpc_pool.py": {"asyncio.ensure_future"},
    "keeper/adapters/rpc_fanout.py": {"asyncio.ensure_future"},
}


def _ambient(tree: ast.Module) -> set[str]:
    names = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    return {name for name in names if name in BANNED or (name.startswith("random.") and name[7:] in DRAWS)}


@pytest.mark.parametrize("path", [path for path in modules() if not path.startswith(("keeper/app/", "keeper/devnet/"))])
def test_module__outside_app_and_devnet__reads_nothing_ambient(path: str) -> None:
    found = _ambient(modules()[path]) - MAY.get(path, set())
    assert not found, f"{path}: take {', '.join(sorted(found))} as an argument"
