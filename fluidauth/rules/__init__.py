"""What may happen to a session: pure functions of policy, values and the time. Nothing here waits.

Internal: it may change from one release to the next.
"""
