"""What Claude may do before it answers: `calling` makes the calls of a turn, by one module for each kind of tool.

A new kind is a module here that does what `kinds` says, and a line in `Calling`; its entry in `eventroute.route_table`,
its model in the manifest (`eventroute.crd.v1alpha1`), and how one becomes the other (`eventroute.compile.tools`).
"""

from eventroute_worker.tools.calling import Calling, Notes, Scene, Unknown

__all__ = ["Calling", "Notes", "Scene", "Unknown"]
