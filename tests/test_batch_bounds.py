"""Bounds of batch: memory and time, whatever comes in."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from kvcli.store import Store
from tests.processes import MEASURE, ROOT

MEBIBYTE = 1 << 20
BATCH = [sys.executable, "-m", "kvcli", "batch"]


def feed(path: str, script: str, *options: str) -> tuple[int, bytes, int, float]:
    """Pipe what a line of shell prints into a batch; give exit code, answers, peak memory in MiB, seconds."""
    start = time.monotonic()
    source = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(path + ".out", "w+b") as out, open(path + ".peak", "w+b") as peak:
        command = [sys.executable, "-c", MEASURE, str(peak.fileno()), *BATCH, *options, "-s", path]
        streams = {"stdin": source.stdout, "stdout": out, "stderr": subprocess.DEVNULL, "pass_fds": [peak.fileno()]}
        subprocess.run(command, cwd=ROOT, check=True, **streams)  # type: ignore[call-overload]
        assert source.stdout is not None
        source.stdout.close()
        source.wait()
        out.seek(0)
        answers = out.read()
    with open(path + ".peak", encoding="ascii") as file:
        code, memory, _ = map(int, file.read().split())
    return code, answers, memory // 1024, time.monotonic() - start


LONG = "head -c 1073741824 /dev/zero"


@pytest.mark.parametrize("form", ["rubbish", "value", "array", "element"])
def test_line_of_a_gibibyte_is_refused(path: str, form: str) -> None:
    """It is not read whole: exit 65, and little memory, whether it is rubbish or might be JSON."""
    before = {
        "rubbish": "",
        "value": """printf '{"op":"set","key":"a","value":"'; """,
        "array": "printf '['; ",
        "element": """printf '["'; """,
    }
    script = before[form] + LONG + " | tr '\\0' a"
    code, out, memory, _ = feed(path, script)
    assert code == 65
    assert out.count(b"\n") == 1
    assert memory < 256


def test_line_after_one_that_is_too_long_is_read(path: str) -> None:
    """Who keeps going gets to it."""
    script = """echo '{"op":"set","key":"a","value":"1"}'; head -c 200000000 /dev/zero; echo; echo '{"op":"get","key":"a"}'"""
    code, out, memory, _ = feed(path, script, "--keep-going")
    assert code == 4
    assert [b'"ok":true' in line for line in out.splitlines()] == [True, False, True]
    assert b"line 2: longer than" in out
    assert memory < 256


def test_memory_does_not_grow_with_the_input(path: str) -> None:
    """Once chunk follows chunk, five times as many lines take as much memory, within 20 %."""
    keys = """awk 'BEGIN { for (i = 0; i < %d; i++) printf "{\\"op\\":\\"set\\",\\"key\\":\\"k%%d\\",\\"value\\":\\"v%%d\\"}\\n", i %% 50000, i }'"""
    small, large = feed(path + "1", keys % 800_000), feed(path + "2", keys % 4_000_000)
    assert (small[0], large[0]) == (0, 0)
    assert large[1].count(b"\n") == 4_000_000
    # As chunks happen to meet, it is 30 or 40 MB at rest; what is kept of each line would be hundreds.
    assert large[2] < max(small[2], 40) * 1.2


def test_large_values_take_the_memory_of_few(path: str) -> None:
    """Lines of a mebibyte are not collected by the fifty thousand."""
    value = "v" * MEBIBYTE
    with open(path + ".in", "w", encoding="ascii") as file:
        file.writelines(f'{{"op":"set","key":"k{number % 4}","value":"{value}"}}\n' for number in range(120))
    code, out, memory, _ = feed(path, f"cat {path}.in")
    assert (code, out.count(b"\n")) == (0, 120)
    assert memory < 256


# Lines that once took minutes or gibibytes: their operation, and whether it is one.
COSTLY = {
    "name twice in an id of many": (
        """printf '{"op":"get","key":"a","token":true,"id":{'; seq -f '"k%.0f":0,' 100000; printf '"z":1,"z":2}}'""",
        65,
    ),
    "escapes": ("""printf '{"op":"set","key":"a","value":"'; yes '\\n' | head -20000000; printf '"}'""", 0),
    "escapes in an id": ("""printf '{"op":"exists","key":"a","id":"'; yes '\\n' | head -20000000; printf '"}'""", 0),
    "very many keys": ("""printf '{"op":"get_many","keys":["a"'; yes ',"k"' | head -8000000; printf ']}'""", 65),
    "very many items": ("""printf '{"op":"set_many","items":[0'; yes ',0' | head -20000000; printf ']}'""", 65),
    "very many lists": ("""printf '{"op":"get","key":"a","id":[0'; yes ',[]' | head -20000000; printf ']}'""", 65),
    "long name of a field": ("""printf '{"op":"get","'; yes k | head -60000000; printf '":1}'""", 65),
    "long name of a bucket": ("""printf '{"op":"get","key":"a","bucket":"'; yes k | head -60000000; printf '"}'""", 65),
    "long cursor": ("""printf '{"op":"list","cursor":"'; yes k | head -60000000; printf '"}'""", 65),
    "long prefix": ("""printf '{"op":"list","prefix":"'; yes k | head -60000000; printf '"}'""", 0),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_long_line_costs_a_few_times_its_length(path: str, kind: str) -> None:
    """Whatever it is made of; and what is said of it is short."""
    script, expected = COSTLY[kind]
    Store(path).close()
    code, out, memory, _ = feed(path, f"{{ {script}; }} | tr -d '\\n'; echo")
    assert (code, len(out) < 4096 or "id" in kind) == (expected, True)
    assert memory < 256


@pytest.mark.parametrize("options", [(), ("--atomic",)])
def test_long_line_among_others_is_held_three_times(path: str, options: tuple[str, ...]) -> None:
    """As it was read, decoded, and as bytes again, with --atomic, which reads everything twice, as without."""
    Store(path).close()
    other = """echo '{"op":"exists","key":"a"}'"""
    long = """printf '{"op":"get","key":"'; head -c 60000000 /dev/zero | tr '\\0' k; echo '"}'"""
    code, _, memory, _ = feed(path, f"{other}; {long}; {other}", *options)
    assert (code, memory < 3 * 58 + 40) == (65, True)


@pytest.mark.parametrize("piece", ["[", ",1", '"",'])
def test_crowded_element_is_refused_soon(path: str, piece: str) -> None:
    """An element of an array that is made of very many parts is not read to its end, however long it is."""
    code, out, memory, _ = feed(path, f"printf '[[1'; yes '{piece}' | head -c 40000000 | tr -d '\\n'")
    assert (code, b"too many" in out, memory < 256) == (65, True, True)


def test_value_of_commas_is_no_crowd(path: str) -> None:
    """What stands inside of a text counts as one, however it looks."""
    script = """printf '{"op":"set","key":"a","value":"'; yes ',[{' | head -5000000 | tr -d '\\n'; echo '"}'"""
    assert feed(path, script)[0] == 0
