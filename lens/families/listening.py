"""Hear of the attention calls of some modules: and of no other, and only while they run.

A module that is listened to has hooks, which switch torch's attention functions to being watched
when it starts and back when it ends. So whoever listens may stop in any order, and nothing but
attention is slowed. Where torch's own kernel will run, which a watch would keep away, the module
is asked for its pattern in the watch's place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from lens.families.attending import Attended, Watch
from lens.families.native import Question, question

__all__ = ["Listener", "listen"]

#: Told of a call; what it returns, if anything, takes the call's place for those after it.
Listener = Callable[[Attended], "Attended | None"]


def listen(module: nn.Module, listener: Listener) -> Callable[[], None]:
    """Tell `listener` of every attention call that a module makes itself.

    Parameters
    ----------
    module : nn.Module
        One that calls attention; calls of the modules inside of it that are listened to as well
        are theirs.
    listener : callable
        Gets an `Attended` and may return a changed one; several are told in the order in which they
        began to listen.

    Returns
    -------
    callable
        Ends it.
    """
    station = _stations.get(module)
    if station is None:
        station = _stations[module] = _Station(module)
    station.listeners.append(listener)

    def detach() -> None:
        station.leave()  # an interrupt within the module leaves it running, as it were
        if listener in station.listeners:
            station.listeners.remove(listener)
        if not station.listeners and _stations.get(module) is station:
            station.close()
            del _stations[module]

    return detach


class _Station:
    """Who listens to one module."""

    def __init__(self, module: nn.Module) -> None:
        self.listeners: list[Listener] = []
        self._handles = [
            module.register_forward_pre_hook(self._enter, with_kwargs=True),
            # Before hooks of the user's own, who are not to see what the module was asked for.
            module.register_forward_hook(self._answer, prepend=True),
            module.register_forward_hook(self.leave, always_call=True),
        ]

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        running = _here.running
        _here.asked = None
        if not running and (asked := question(module, args, kwargs)) is not None:
            _here.asked = self, asked
            return asked.arguments
        if self in running:  # torn off by an interrupt, the last time
            del running[running.index(self) :]
        elif not running:
            _here.watch.__enter__()
        running.append(self)
        return None

    def _answer(self, module: nn.Module, args: Any, output: Any) -> Any:
        asker, asked = _here.asked or (None, None)
        if asked is None or asker is not self:
            return None
        _here.asked = None
        return asked.answer(output, self.tell)

    def leave(self, *_: Any) -> None:
        running = _here.running
        if self in running:
            del running[running.index(self) :]
            if not running:
                _here.watch.__exit__(None, None, None)

    def tell(self, call: Attended) -> Attended:
        for listener in list(self.listeners):
            call = listener(call) or call
        return call

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


class _Here(threading.local):
    """Which stations' modules run in this thread, innermost last: while any does, it watches.

    One that was asked for its pattern runs unwatched: it has none inside of it.
    """

    def __init__(self) -> None:
        self.running: list[_Station] = []
        self.asked: tuple[_Station, Question] | None = None
        self.watch = Watch(lambda call: self.running[-1].tell(call) if self.running else None)


_here = _Here()
_stations: WeakKeyDictionary[nn.Module, _Station] = WeakKeyDictionary()
