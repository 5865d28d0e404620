"""What Claude may do before it answers: `calling` makes the calls of a turn, `http` is the one kind of tool."""

from eventroute_worker.tools.calling import Calling, Notes, Scene, Unknown

__all__ = ["Calling", "Notes", "Scene", "Unknown"]
