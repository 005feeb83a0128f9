"""What meters read, from the files of a made-up kernel and from this machine."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trivet.adapters.linux.cgroups import cpu_group, memory_group
from trivet.adapters.linux.meter import LinuxMeter
from trivet.adapters.linux.powercap import PowerCounters
from trivet.adapters.nvml.meter import NvmlMeter
from trivet.adapters.psutil.meter import PsutilMeter

V2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = (
    "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "36 31 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
NO_LIMIT = "9223372036854771712"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_limits_of_the_second_version_are_the_tightest_on_the_way_up(tmp_path: Path) -> None:
    at = "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "proc/self/mountinfo": V2,
            f"{at}/pod/memory.max": "1000\n",
            f"{at}/pod/memory.current": "700\n",
            f"{at}/pod/memory.stat": "anon 1\ninactive_file 200\n",
            f"{at}/pod/box/memory.max": "max\n",
            f"{at}/pod/cpu.max": "max 100000\n",
            f"{at}/pod/box/cpu.max": "150000 100000\n",
            f"{at}/pod/box/cpu.stat": "usage_usec 2500000\n",
        },
    )
    memory, cpu = memory_group(root), cpu_group(root)
    assert memory is not None
    assert cpu is not None
    assert (memory.limit, memory.memory_bytes()) == (1000, 500)
    assert (cpu.limit, cpu.cpu_s()) == (1.5, 2.5)


def test_limits_of_the_first_version_are_seen_from_within_a_container(tmp_path: Path) -> None:
    memory_at, cpu_at = "sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n",
            "proc/self/mountinfo": V1,
            f"{memory_at}/memory.limit_in_bytes": "2000",
            f"{memory_at}/memory.usage_in_bytes": "900",
            f"{memory_at}/memory.stat": "total_inactive_file 100\n",
            f"{cpu_at}/cpu.cfs_quota_us": "200000",
            f"{cpu_at}/cpu.cfs_period_us": "100000",
            f"{cpu_at}/cpuacct.usage": "3000000000",
        },
    )
    memory, cpu = memory_group(root), cpu_group(root)
    assert memory is not None
    assert cpu is not None
    assert (memory.limit, memory.memory_bytes()) == (2000, 800)
    assert (cpu.limit, cpu.cpu_s()) == (2.0, 3.0)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "nonsense", "proc/self/mountinfo": "x"},
        {"proc/self/cgroup": "0::/../..\n", "proc/self/mountinfo": V2},
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n",
            "proc/self/mountinfo": V1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT,
        },
    ],
)
def test_without_a_limit_there_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    root = write(tmp_path, files)
    assert memory_group(root) is None
    assert cpu_group(root) is None


def proc(busy: int, idle: int, sectors: int, received: int) -> dict[str, str]:
    eth, lo = (f"{n} 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0" for n in (received, 10**12))
    disk = f"254 0 vda 1 0 {sectors} 0 1 0 {2 * sectors} 0 0 0 0"
    return {
        "proc/stat": f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n",
        "proc/diskstats": f"{disk}\n254 1 vda1 1 0 999 0 1 0 999 0 0 0 0\n",
        "proc/net/dev": f"Inter-|\n face |\n    lo: {lo}\n  eth0: {eth}\n",
        "proc/meminfo": "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n",
        "proc/self/statm": "700 400 1 1 0 1 0\n",
        "proc/cpuinfo": "processor : 0\nmodel name : Abacus 3000\n",
    }


def test_rates_are_those_since_the_last_reading(tmp_path: Path) -> None:
    times = iter([10.0, 12.0])
    root = write(tmp_path, proc(100, 100, 1000, 5000))
    meter = LinuxMeter(root, tmp_path, lambda: next(times))
    first = meter.read().figures
    assert first["memory_percent"] == 75.0
    assert "cpu_percent" not in first
    write(tmp_path, proc(130, 110, 1004, 5100))
    figures = meter.read().figures
    assert figures["cpu_percent"] == 75.0
    assert figures["disk_read_bytes_per_second"] == 4 * 512 / 2
    assert figures["disk_written_bytes_per_second"] == 8 * 512 / 2
    assert figures["network_received_bytes_per_second"] == 50.0
    assert figures["network_sent_bytes_per_second"] == 0.0
    assert meter.describe().cpu == "Abacus 3000"
    assert meter.describe().memory_bytes == 1_024_000


def test_a_kernel_that_tells_nothing_fails_nobody(tmp_path: Path) -> None:
    meter = LinuxMeter(tmp_path / "none", tmp_path)
    meter.read()
    assert set(meter.read().figures) <= {"process_cpu_percent", "disk_percent"}
    assert meter.describe().processors >= 1


def test_energy_is_counted_once_and_round_the_counter_s_end(tmp_path: Path) -> None:
    at = "sys/class/powercap"

    def counters(package: int) -> dict[str, str]:
        files: dict[str, str] = {}
        zones = {"intel-rapl:0": ("package-0", package), "intel-rapl:0:0": ("core", 5 * package)}
        for zone, (name, count) in {**zones, "intel-rapl:1": ("psys", package)}.items():
            files |= {
                f"{at}/{zone}/name": name,
                f"{at}/{zone}/max_energy_range_uj": "10000000",
                f"{at}/{zone}/energy_uj": str(count),
            }
        return files

    root = write(tmp_path, counters(9_000_000))
    power = PowerCounters(root)
    write(tmp_path, counters(500_000))
    assert power.joules() == pytest.approx(1.5)
    assert PowerCounters(tmp_path / "none").joules() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_says_how_it_is(tmp_path: Path) -> None:
    meter = LinuxMeter(folder=tmp_path)
    meter.read()
    sum(range(200_000))
    figures = meter.read().figures
    assert {"process_cpu_percent", "memory_percent", "process_memory_bytes"} <= set(figures)
    assert all(value >= 0 for value in figures.values())
    assert figures["memory_percent"] <= 100
    assert meter.describe().memory_bytes > 1 << 20


def test_psutil_tells_the_same_names(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    meter = PsutilMeter(tmp_path)
    meter.read()
    sum(range(200_000))
    figures = meter.read().figures
    ours = {"cpu_percent", "process_cpu_percent", "memory_bytes", "memory_percent", "disk_percent"}
    assert ours | {"process_memory_bytes"} <= set(figures)
    assert meter.describe().memory_bytes > 1 << 20


class Driver:
    """Two graphics processors as NVML shows them; the second one has no counter of energy."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.millijoules = 1_000_000
        self.milliwatts = 100_000

    def nvmlInit(self) -> None: ...  # noqa: N802  # the library's names, here and below
    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetUUID(self, number: int) -> str:  # noqa: N802
        return f"GPU-{number}aa"

    def nvmlDeviceGetName(self, number: int) -> bytes:  # noqa: N802
        return b"Abacus H"

    def nvmlDeviceGetMemoryInfo(self, number: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=25, total=100)

    def nvmlDeviceGetUtilizationRates(self, number: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetPowerUsage(self, number: int) -> int:  # noqa: N802
        return self.milliwatts

    def nvmlDeviceGetTemperature(self, number: int, sensor: int) -> int:  # noqa: N802
        raise self.NVMLError("not supported")

    def nvmlDeviceGetTotalEnergyConsumption(self, number: int) -> int:  # noqa: N802
        if number:
            raise self.NVMLError("not supported")
        return self.millijoules


def test_graphics_processors_tell_what_they_can() -> None:
    times = iter([0.0, 10.0])
    driver = Driver()
    meter = NvmlMeter(driver, {}, lambda: next(times))
    assert meter.read().joules == {"gpu": 0.0}
    driver.millijoules += 30_000
    driver.milliwatts = 200_000
    reading = meter.read()
    assert reading.joules == {"gpu": 30.0 + 10 * 150}  # by the counter, and by the power over time
    assert reading.figures == {
        f"gpu{number}/{name}": value
        for number in (0, 1)
        for name, value in {
            "percent": 50.0,
            "memory_bytes": 25.0,
            "memory_percent": 25.0,
            "power_watts": 200.0,
        }.items()
    }
    assert [gpu.name for gpu in meter.describe().gpus] == ["Abacus H", "Abacus H"]


@pytest.mark.parametrize(
    ("visible", "seen"), [("1", {1}), ("GPU-0", {0}), ("0,7,1", {0}), ("1,GPU-0aa", {0, 1})]
)
def test_a_process_tells_of_the_graphics_processors_it_may_see(
    visible: str, seen: set[int]
) -> None:
    meter = NvmlMeter(Driver(), {"CUDA_VISIBLE_DEVICES": visible})
    names = {int(name.partition("/")[0][3:]) for name in meter.read().figures}
    assert names == seen


@pytest.mark.parametrize("visible", ["", "-1", "9"])
def test_without_a_graphics_processor_there_is_no_meter(visible: str) -> None:
    with pytest.raises(OSError, match="no graphics processor"):
        NvmlMeter(Driver(), {"CUDA_VISIBLE_DEVICES": visible})
