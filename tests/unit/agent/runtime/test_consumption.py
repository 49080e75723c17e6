"""What control groups have consumed, in both versions."""

from collections.abc import Mapping
from pathlib import Path

from mizzen.agent.runtime import consumption
from mizzen.agent.runtime.base import Share, Stall, Transfers, Usage


def written(at: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (at / name).write_text(text)
    return at


def test_a_group_of_version_2_is_read_from_one_directory(tmp_path: Path) -> None:
    told = "some avg10=1.50 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    at = written(
        tmp_path,
        {
            "cpu.stat": "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\nnr_periods 9\nnr_throttled 4\n"
            "throttled_usec 500000\n",
            "memory.current": "1000\n",
            "memory.stat": "anon 300\nfile 600\nfile_mapped 50\ninactive_file 400\npgfault 7\npgmajfault 1\n",
            "memory.events": "low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\n",
            "memory.peak": "2000\n",
            "memory.swap.current": "8\n",
            "pids.current": "3\n",
            "io.stat": "250:999 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n251:999 \n",
            "cpu.pressure": told,
        },
    )
    brief = Usage(cpu_seconds=3.0, memory_bytes=1000, working_set_bytes=600, swap_bytes=8)
    assert consumption.brief_unified(at) == brief
    assert consumption.of_unified(at) == Usage(
        cpu_seconds=3.0, cpu_user_seconds=2.0, cpu_system_seconds=1.0, periods=9, throttled_periods=4,
        throttled_seconds=0.5, memory_bytes=1000, working_set_bytes=600, rss_bytes=300, cache_bytes=600,
        mapped_bytes=50, most_bytes=2000, limit_hits=5, oom_kills=2, page_faults=7, major_page_faults=1, pids=3,
        swap_bytes=8, transfers={"250:999": Transfers(1, 2, 4096, 8192)},
        stalls={"cpu": Stall(Share(2.5, 1.5, 0.5, 0.1), Share())},
    )  # fmt: skip


def test_a_group_of_version_1_is_read_from_a_directory_for_each_controller(tmp_path: Path) -> None:
    at = written(
        tmp_path,
        {
            "cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 500000000\n",
            "cpuacct.usage": "3000000000\n",
            "cpuacct.stat": "user 200\nsystem 100\n",
            "memory.usage_in_bytes": "1000\n",
            "memory.stat": "total_rss 300\ntotal_cache 600\ntotal_mapped_file 50\ntotal_inactive_file 400\n"
            "total_pgfault 7\ntotal_pgmajfault 1\ntotal_swap 8\n",
            "memory.max_usage_in_bytes": "2000\n",
            "memory.failcnt": "5\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "pids.current": "3\n",
            "blkio.throttle.io_serviced_recursive": "250:999 Read 1\n250:999 Write 2\n250:999 Total 3\nTotal 3\n",
            "blkio.throttle.io_service_bytes_recursive": "250:999 Read 4096\n250:999 Write 8192\nTotal 12288\n",
        },
    )
    brief = Usage(cpu_seconds=3.0, memory_bytes=1000, working_set_bytes=600, swap_bytes=8)
    assert consumption.brief_split(at, at) == brief
    assert consumption.of_split(at, at, at, at, at) == Usage(
        cpu_seconds=3.0, cpu_user_seconds=2.0, cpu_system_seconds=1.0, periods=9, throttled_periods=4,
        throttled_seconds=0.5, memory_bytes=1000, working_set_bytes=600, rss_bytes=300, cache_bytes=600,
        mapped_bytes=50, most_bytes=2000, limit_hits=5, oom_kills=2, page_faults=7, major_page_faults=1, pids=3,
        swap_bytes=8, transfers={"250:999": Transfers(1, 2, 4096, 8192)},
    )  # fmt: skip


def test_a_group_that_is_gone_consumes_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert consumption.of_unified(gone) == consumption.brief_unified(gone) == Usage()
    assert consumption.of_split(gone, gone, gone, gone, gone) == consumption.brief_split(gone, gone) == Usage()
