"""A soak: a door, everybody who comes to it and goes, at random; and at the end a count of what is left over."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import trio

from tests.abuse.arena import Figures, figures_of, resident_bytes, settled
from tests.e2e.door import Door
from tests.soak.churn import Churn, soaked_door

__all__ = ["Found", "soak"]

_BACK_S = 30
_SAMPLE_S = 0.5
_LONG_S = 300
_MIB = 1 << 20


@dataclass(frozen=True)
class Found:
    """What a soak has come to.

    Attributes:
        before, after: what the door held.
        resident: of its memory, in bytes, one sample every half second of the churn.
        done: what the churn has done.
        logged: events of level error, by name.
        growth_allowed: of resident memory in the second half, as a fraction.
    """

    before: Figures
    after: Figures
    resident: list[int]
    done: Counter[str]
    logged: Counter[str]
    growth_allowed: float

    @property
    def resident_bytes(self) -> tuple[int, int]:
        """At the beginning and at the end of the second half, each over a tenth of the soak."""
        tenth = max(1, len(self.resident) // 10)
        half = len(self.resident) // 2
        return int(median(self.resident[half : half + tenth])), int(median(self.resident[-tenth:]))

    @property
    def growth(self) -> float:
        """Of resident memory in the second half, as a fraction."""
        at_half, at_end = self.resident_bytes
        return at_end / at_half - 1

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        faults = [
            f"{name}: {before} before, {after} after"
            for name, before, after in zip(self.before._fields, self.before, self.after, strict=True)
            if before != after
        ]
        if self.growth > self.growth_allowed:
            faults.append(f"resident memory has grown by {self.growth:.1%} in the second half")
        faults += [
            f"the log has {times} times {event}" for event, times in self.logged.items() if event != "reload.failed"
        ]
        faults += [f"no viewer by {way} was shown anything" for way in self._ways if not self.done[f"{way} saw"]]
        return faults

    @property
    def table(self) -> str:
        """All of it, for people."""
        lines = [f"{'':24}{'before':>10}{'after':>10}"]
        lines += [
            f"{name:24}{before:10}{after:10}"
            for name, before, after in zip(self.before._fields, self.before, self.after, strict=True)
        ]
        at_half, at_end = self.resident_bytes
        lines += [
            f"{'':24}{'at half':>10}{'at end':>10}",
            f"{'resident memory, MiB':24}{at_half / _MIB:10.1f}{at_end / _MIB:10.1f}  {self.growth:+.1%}",
            "",
        ]
        lines += [f"{what:24}{times:10}" for what, times in sorted(self.done.items())]
        lines += [f"{f'logged {event}':24}{times:10}" for event, times in sorted(self.logged.items())]
        return "\n".join(lines)

    @property
    def _ways(self) -> list[str]:
        return [what.removesuffix(" came") for what in self.done if what.endswith(" came")]


async def soak(seconds: float, seed: int) -> Found:
    """Churn for so long, and let everything come to rest."""
    resident: list[int] = []
    with tempfile.TemporaryDirectory(prefix="splice-soak-") as directory:
        churn = Churn(seed, Path(directory))
        for name in ("door", "other"):
            Path(directory, name).mkdir()
        flags = ("--demo", "--rtmp", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        async with soaked_door(churn.directory, churn.first_config(), *flags) as door:
            before = await settled(door)
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(churn.run, door)
                    nursery.start_soon(_sample, door, resident)
            churn.reload_with(churn.first_config())
            after = before
            with trio.move_on_after(_BACK_S):
                while (after := await figures_of(door)) != before:
                    await trio.sleep(0.2)
            logged = Counter(event["event"] for event in door.events if event.get("level") in ("error", "critical"))
            await door.stop()
    # Below five minutes most of the second half is still a first time for something.
    return Found(before, after, resident, churn.done, logged, 0.05 if seconds >= _LONG_S else 0.25)


async def _sample(door: Door, resident: list[int]) -> None:
    while True:
        resident.append(resident_bytes(door.child.pid))
        await trio.sleep(_SAMPLE_S)
