"""A cluster for tests: three masters, each with a replica, on loopback."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.redis.servers import CLI, PATIENCE_SECONDS, Server

SETTINGS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--appendonly", "no"),
    *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
)


class Cluster:
    """Six servers that know each other."""

    def __init__(self, folders: list[str]) -> None:
        """Start them, each in a folder of its own, and wait until all slots are served and all replicas follow."""
        with ThreadPoolExecutor() as pool:
            self.servers = [*pool.map(lambda folder: Server(folder, *SETTINGS), folders)]
        assert CLI is not None
        places = [f"127.0.0.1:{server.port}" for server in self.servers]
        words = [CLI, "--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_SECONDS * 2)
        wait_until(self.is_whole)

    @property
    def url(self) -> str:
        """Where it is: any two of its servers."""
        return f"redis+cluster://127.0.0.1:{self.servers[0].port},127.0.0.1:{self.servers[1].port}"

    def alive(self) -> list[Server]:
        """Give the servers that run."""
        return [server for server in self.servers if server.process.poll() is None]

    def masters(self) -> list[Server]:
        """Give the servers that are masters now, as they say."""
        return [server for server in self.alive() if server.cli("ROLE").startswith("master")]

    def owner(self, key: str) -> Server:
        """Give the master that has a key."""
        slot = int(self.servers[-1].cli("CLUSTER", "KEYSLOT", key))
        nodes = self.alive()[0].cli("CLUSTER", "NODES").splitlines()
        for line in nodes:
            words = line.split()
            ranges = [each.split("-") for each in words[8:] if each[0] != "["]
            if "master" in words[2] and any(int(each[0]) <= slot <= int(each[-1]) for each in ranges):
                port = int(words[1].split("@")[0].rpartition(":")[2])
                return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def pair(self, key: str) -> tuple[Server, Server]:
        """Give the master that has a key, and another one."""
        owner = self.owner(key)
        return owner, next(server for server in self.masters() if server is not owner)

    def begin_move(self, key: str, source: Server, target: Server) -> str:
        """Begin to move the slot of a key, and give the slot."""
        slot = source.cli("CLUSTER", "KEYSLOT", key)
        target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source.cli("CLUSTER", "MYID"))
        source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target.cli("CLUSTER", "MYID"))
        return slot

    def move(self, key: str, source: Server, target: Server) -> None:
        """Move the slot of a key, and the key."""
        slot, name = self.begin_move(key, source, target), target.cli("CLUSTER", "MYID")
        source.cli("MIGRATE", "127.0.0.1", str(target.port), key, "0", "1000")
        for server in (target, source, *[each for each in self.masters() if each not in {source, target}]):
            server.cli("CLUSTER", "SETSLOT", slot, "NODE", name)

    @contextmanager
    def moved(self, key: str) -> Iterator[Server]:
        """Have the slot of a key at another master, and give this one."""
        source, target = self.pair(key)
        self.move(key, source, target)
        try:
            yield target
        finally:
            self.move(key, target, source)

    @contextmanager
    def moving(self, key: str) -> Iterator[tuple[Server, str]]:
        """Have the slot of a key on the move, and give the master that it is to leave, and the slot. All keys go."""
        source, target = self.pair(key)
        slot = self.begin_move(key, source, target)
        try:
            yield source, slot
        finally:
            for server in (source, target):
                server.cli("CLUSTER", "SETSLOT", slot, "STABLE")
            self.flush()

    def flush(self) -> None:
        """Remove everything."""
        for server in self.masters():
            server.cli("FLUSHALL")

    def is_whole(self) -> bool:
        """Tell whether every server that runs says that the cluster is well, and every replica follows its master."""
        alive = self.alive()
        told = [server.cli("CLUSTER", "INFO") for server in alive]
        roles = [server.cli("ROLE").splitlines() for server in alive]
        well = all("cluster_state:ok" in each and "cluster_slots_ok:16384" in each for each in told)
        return well and all(role[0] == "master" or role[3] == "connected" for role in roles)

    def stop(self) -> None:
        """End them all."""
        for server in self.servers:
            server.stop()


def wait_until(is_so: object) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_SECONDS * 2
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
