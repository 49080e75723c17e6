"""What two samples of a node's counters say together."""

from hypothesis import given
from hypothesis import strategies as st

from mizzen.server.metricsapi.samples import Point, Sample, parse
from mizzen.server.metricsapi.usage import Reading, Usage, read

TEXT = """
# HELP container_cpu_usage_seconds_total Cumulative CPU time
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="c",namespace="default",pod="web"} 1.5 1700000000500
container_memory_working_set_bytes{container="c",namespace="default",pod="web"} 2048 1700000000500
container_start_time_seconds{container="c",namespace="default",pod="web"} 1.69999999e+09
container_cpu_usage_seconds_total{container="half",namespace="default",pod="web"} 1
node_cpu_usage_seconds_total 100.25
node_memory_working_set_bytes 4096
nonsense{ 1
also_nonsense abc
"""


def test_the_text_of_a_node_is_read() -> None:
    sample = parse(TEXT, 1_700_000_001.0)
    assert sample.machine == Point(1_700_000_001.0, 100.25, 4096)
    assert sample.containers == {("default", "web", "c"): Point(1_700_000_000.5, 1.5, 2048, 1_699_999_990.0)}


@given(st.text(max_size=200))
def test_noise_is_passed_over(noise: str) -> None:
    assert parse(noise, 0.0).machine is None


def sample(at: float, machine: float, started: float = 0.0, **containers: float) -> Sample:
    points = {("ns", "pod", name): Point(at, used, 10, started) for name, used in containers.items()}
    return Sample(Point(at, machine, 99), points)


def test_cpu_is_the_average_of_the_window_and_memory_the_last_value() -> None:
    seen = read(read(Reading(), sample(1000, 50, c=5)), sample(1015, 65, c=8))
    assert seen.machine == Usage(1015, 15, 1_000_000_000, 99)
    assert seen.pods == {("ns", "pod"): {"c": Usage(1015, 15, 200_000_000, 10)}}


def test_one_sample_says_nothing_of_what_is_old() -> None:
    seen = read(Reading(), sample(1000, 50, started=100, c=5))
    assert seen.machine is None
    assert seen.pods == {}


def test_a_young_container_is_measured_from_its_start() -> None:
    seen = read(Reading(), sample(1000, 50, started=990, c=5))
    assert seen.pods[("ns", "pod")]["c"] == Usage(1000, 10, 500_000_000, 10)


def test_a_restarted_container_is_not_measured_from_its_former_run() -> None:
    before = read(Reading(), sample(1000, 50, started=100, c=5))
    assert read(before, sample(1015, 50, started=1014.9, c=0.1)).pods == {}
    assert read(before, sample(1015, 50, started=1005, c=2)).pods[("ns", "pod")]["c"].cpu_nanocores == 200_000_000


def test_a_pod_shows_only_when_all_of_its_containers_are_measured() -> None:
    before = read(Reading(), sample(1000, 50, c=5))
    assert read(before, sample(1015, 50, c=6, new=1)).pods == {}


def test_samples_too_close_together_change_nothing() -> None:
    before = read(Reading(), sample(1000, 50, c=5))
    assert read(before, sample(1000.1, 51, c=6)) is before


def test_counters_that_fall_back_are_not_negative_usage() -> None:
    seen = read(read(Reading(), sample(1000, 50, c=5)), sample(1015, 40, c=1))
    assert seen.machine is None
    assert seen.pods == {}
