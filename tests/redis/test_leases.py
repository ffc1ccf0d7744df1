"""Leases of who fills an entry of a cache on a server: who has one, who waits, and what becomes of one in the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from kvcli.cache import Cache, Vacancy, Vacant
from kvcli.engine import queues
from kvcli.errors import Busy
from kvcli.store import Store
from tests.contract.test_cache import vacancy_of
from tests.redis.cluster import wait_until
from tests.redis.proxy import Proxy
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def cache(server: Server) -> Iterator[Cache]:
    """An empty cache on a server."""
    server.flush()
    with Store(server.url) as store, Cache(store) as opened:
        yield opened


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew a long lease every tenth of a second."""
    monkeypatch.setattr("kvcli.engine.redis.lease.LEASE_MS", 30_000)
    monkeypatch.setattr("kvcli.engine.redis.lease.RENEWALS_PER_LEASE", 300)


def name_of(vacancy: Vacancy) -> str:
    """Give the name of a lease on the server."""
    name: bytes = vacancy._claim.name  # type: ignore[union-attr]
    return name.decode()


def renewing() -> set[threading.Thread]:
    """Give the threads that renew leases."""
    return {thread for thread in threading.enumerate() if thread.name == "lease"}


def test_those_who_wait_have_it_in_turn(cache: Cache) -> None:
    """Of two threads that wait for so long at the most each gets the vacancy, once the one before has dropped it."""
    first = vacancy_of(cache, "k")
    had: list[bool] = []

    def drop() -> None:
        entry = cache.get_or_set("k", timeout=60)
        had.append(isinstance(entry, Vacant))
        entry.vacancy.drop()  # type: ignore[union-attr]

    threads = [threading.Thread(target=drop) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: 2 in [len(queue) for queue in queues._queues.values()])
    first.drop()
    for thread in threads:
        thread.join()
    assert had == [True, True]


def test_lease_is_not_the_childs_to_end(cache: Cache, server: Server) -> None:
    """After a fork the vacancy is the parent's: the child may drop it, and lets nobody in."""
    vacancy = vacancy_of(cache, "k")
    child = os.fork()
    if not child:
        vacancy.drop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert server.cli("EXISTS", name_of(vacancy)) == "1"
    vacancy.drop()


def test_vacancy_is_dropped_where_the_server_is_gone(tmp_path: object) -> None:
    """That is no failure: the lease ends by itself."""
    server = Server(str(tmp_path))
    with Store(server.url, lock_timeout=0.1) as store, Cache(store) as cache:
        vacancy = vacancy_of(cache, "k")
        server.kill()
        vacancy.drop()


@pytest.mark.usefixtures("often")
def test_lease_of_another_is_not_renewed(cache: Cache, server: Server) -> None:
    """Who was stopped for too long finds that somebody else has it: it is left alone, and not looked at again."""
    before = renewing()
    vacancy = vacancy_of(cache, "k")
    name = name_of(vacancy)
    server.cli("SET", name, "another's")
    wait_until(lambda: renewing() <= before)
    vacancy.drop()
    assert server.cli("GET", name) == "another's"


@pytest.mark.usefixtures("often")
def test_renewal_that_failed_is_tried_again(server: Server) -> None:
    """A server that cannot renew a lease just now may do so a moment later."""
    server.flush()
    server.cli("CONFIG", "RESETSTAT")
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "+@all", "-pexpire")

    with Store(server.url.replace("//", "//some:pw@")) as store, Cache(store) as cache:
        vacancy = vacancy_of(cache, "k")
        wait_until(lambda: renewals(server, "rejected_calls") > 0)
        server.cli("ACL", "SETUSER", "some", "+pexpire")
        wait_until(lambda: renewals(server, "calls") > 0)
        vacancy.drop()


def renewals(server: Server, what: str) -> int:
    """Count renewals that were done, or refused."""
    line = server.cli("INFO", "commandstats").partition("cmdstat_pexpire:")[2].partition("\n")[0]
    figures = dict(each.split("=") for each in line.strip().split(",") if each)
    return int(figures.get(what, 0))


def test_lease_that_is_lost_at_the_last_moment_is_left_alone(server: Server) -> None:
    """It is ended only if it is one's own still when the server ends it, not only when one looked."""
    server.flush()
    taken: list[str] = []
    proxy = Proxy(server.port, b"DEL", lambda: server.cli("SET", taken[0], "another's"))
    with Store(proxy.url) as store, Cache(store) as cache:
        vacancy = vacancy_of(cache, "k")
        taken.append(name_of(vacancy))
        vacancy.drop()
    assert (server.cli("GET", taken[0]), proxy.left) == ("another's", 0)
    proxy.close()


def test_too_many_wait(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The impatient get vacancies too, up to so many; then it is told that very many wait."""
    monkeypatch.setattr("kvcli.engine.redis.shelf.RANKS", 2)
    vacancies = [vacancy_of(cache, "k"), cache.get_or_set("k", timeout=0)]
    with pytest.raises(Busy, match="very many"):
        cache.get_or_set("k", timeout=0)
    assert isinstance(vacancies[1], Vacant)
