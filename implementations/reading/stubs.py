"""Modules that stand for those that are not installed."""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable
from typing import Any

MOST_STUBS = 20  # third-party imports that are missing in one file


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules that are not installed: they import, and fail where something of them is used."""

    def __init__(self, instead: Callable[..., Any] | None = None) -> None:
        """No module yet.

        Args:
            instead: given the name of what is called, and arguments; it may return NotImplemented.
        """
        self.names: set[str] = set()
        self.instead = instead

    def add(self, name: str | None) -> bool:
        """Whether it is a new one."""
        top = (name or "").split(".")[0]
        if not top or top in self.names or top in sys.modules or len(self.names) >= MOST_STUBS:
            return False
        self.names.add(top)
        return True

    def answer(self) -> None:
        """Let modules that are stubs already give the same."""
        for module in list(sys.modules.values()):
            if isinstance(module, _StubModule):
                vars(module)["__instead"] = self.instead

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Of a module that is one of them."""
        if name.split(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """One with nothing in it but stubs."""
        made = _StubModule(spec.name)
        vars(made)["__instead"] = self.instead
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing in it."""


class _StubModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Stub(f"{self.__name__}.{name}", vars(self).get("__instead"))


class _Stub:
    """Something of a module that is not installed."""

    def __init__(self, name: str, instead: Callable[..., Any] | None = None) -> None:
        self._name, self._instead = name, instead

    def __call__(self, *args: object, **kwargs: object) -> Any:
        if self._instead is not None:
            given = self._instead(self._name, *args, **kwargs)
            if given is not NotImplemented:
                return given
        top = self._name.split(".")[0]
        raise ImportError(f"{self._name} is used, and {top} is not installed here")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Stub(f"{self._name}.{name}", self._instead)

    def __mro_entries__(self, bases: object) -> tuple[type, ...]:
        return ()
