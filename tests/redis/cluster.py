"""A cluster for tests: three masters, each with a replica, on loopback."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

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
