"""What has a name in space files, the tables of all that there is, and what rooms do for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from groupnas.errors import InputError


class Named:
    """A thing that space files name; one instance of each class is all there is.

    Attributes:
        name: Unique among its like.
    """

    name: ClassVar[str]


ThingT = TypeVar("ThingT", bound=Named)
KindT = TypeVar("KindT", bound=type[Named])
RuleT = TypeVar("RuleT")


class Catalogue(dict[str, ThingT]):
    """The things of one sort, by name.

    Args:
        what: One of them, in words, e.g. ``an activation``.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def register(self, kind: KindT) -> KindT:
        """Add a class's thing; decorates the class.

        Raises:
            InputError: there is one of that name.
        """
        if kind.name in self:
            raise InputError(f"{kind.name!r} is the name of {self.what} already; take another")
        self[kind.name] = kind()  # type: ignore[assignment]
        return kind

    def find(self, name: str) -> ThingT:
        """Return the thing of a name.

        Raises:
            InputError: nothing of that name was registered.
        """
        if name not in self:
            known = ", ".join(self)
            raise InputError(f"{name!r} is not {self.what}; there are {known}")
        return self[name]


class Room(Generic[RuleT]):
    """What one room needs of things of a sort: a rule for each class, which subclasses inherit.

    Args:
        name: Of the room, as errors call it.
        place: The full name that this object has, for those who register a rule.
    """

    def __init__(self, name: str, place: str) -> None:
        self.name, self.place = name, place
        self._rules: dict[type[Any], RuleT] = {}

    def register(self, *kinds: type[Any]) -> Callable[[RuleT], RuleT]:
        """Return a function that takes the rule for some classes, e.g. to decorate it with."""

        def take(rule: RuleT) -> RuleT:
            self._rules.update(dict.fromkeys(kinds, rule))
            return rule

        return take

    def __getitem__(self, thing: Any) -> RuleT:
        """Return the rule for a thing: its class's, or else that of its nearest base class.

        Raises:
            InputError: nobody registered one.
        """
        for kind in type(thing).__mro__:
            if kind in self._rules:
                return self._rules[kind]
        raise InputError(
            f"{self.name} has no rule for {thing.name}; register one with "
            f"{self.place}.register({type(thing).__name__})"
        )
