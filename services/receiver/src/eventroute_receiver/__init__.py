"""The internet-facing program: verify, de-duplicate, queue durably, acknowledge. Claude is never called here.

The way of a request: `webhook` (the order of steps) → `body` → eventroute.schemes → `admit` (one Lua call) → answer.
"""
