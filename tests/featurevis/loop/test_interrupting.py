import signal
import threading

import pytest

from lens.featurevis.loop.interrupting import undivided


def test_an_interrupt_waits_for_the_end_of_the_block():
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), undivided():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"] and signal.getsignal(signal.SIGINT) is before


def test_the_handler_comes_back_after_an_exception():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), undivided():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_has_nothing_to_wait_for():
    done = []

    def work() -> None:
        with undivided():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGINT)]
