from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from fgscore.machine.lazy import lazy


def test_a_value_is_computed_once_for_each_instance_and_named_by_its_function() -> None:
    class Counted:
        calls = 0

        @lazy
        def value(self) -> int:
            """How many."""
            Counted.calls += 1
            return Counted.calls

    first, second = Counted(), Counted()
    assert [first.value, first.value, second.value, first.value] == [1, 1, 2, 1]
    assert Counted.value.__doc__ == "How many."


def test_threads_compute_the_property_of_two_instances_at_the_same_time() -> None:
    class Met:
        both = Barrier(2)

        @lazy
        def value(self) -> int:
            return self.both.wait(timeout=10)  # broken, with an error, where one has to wait for the other to return

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda met: met.value, [Met(), Met()])) == [0, 1]
