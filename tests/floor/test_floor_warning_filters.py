"""Warnings ignored in a block, by several threads at once."""

import threading
import warnings

import pytest

from xnat_pic.warning_filters import ignore_warnings


def test_a_block_ignores_and_then_all_is_as_before():
    before = list(warnings.filters)
    with ignore_warnings():
        warnings.warn("odd value", stacklevel=1)
    assert warnings.filters == before
    with pytest.raises(UserWarning, match="odd value"):
        warnings.warn("odd value", stacklevel=1)


def test_only_the_category_and_the_beginning_of_the_message_are_ignored():
    with ignore_warnings(UserWarning, "Odd .*"):
        warnings.warn("odd value", stacklevel=1)
        with pytest.raises(UserWarning, match="An odd"):
            warnings.warn("An odd value", stacklevel=1)
        with pytest.raises(FutureWarning):
            warnings.warn("odd", FutureWarning, stacklevel=1)


def test_a_block_that_ends_leaves_the_filter_to_the_others():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with ignore_warnings():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with ignore_warnings():
        thread.start()
        assert inside.wait(20)
    warnings.warn("the other is still inside", stacklevel=1)
    leave.set()
    thread.join(20)
    with pytest.raises(UserWarning):
        warnings.warn("nobody is inside", stacklevel=1)


def test_the_first_that_ends_takes_nothing_from_the_second():
    """As two comparisons of a verification, where the one that began first ends first."""
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    raised = []

    def first():
        with ignore_warnings():
            first_in.set()
            second_in.wait(20)
        first_out.set()

    def second():
        assert first_in.wait(20)
        with ignore_warnings():
            second_in.set()
            assert first_out.wait(20)
            try:
                warnings.warn("odd value", stacklevel=1)
            except UserWarning as error:
                raised.append(error)

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert raised == []


def test_a_filter_of_the_person_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = list(warnings.filters)
        with ignore_warnings():
            pass
        assert warnings.filters == before


def test_it_is_a_decorator_too():
    @ignore_warnings(UserWarning)
    def read():
        warnings.warn("odd", stacklevel=1)
        return 3

    assert [read(), read()] == [3, 3]
