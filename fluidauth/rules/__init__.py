"""What may happen to a session: pure functions of policy, values and the time. Nothing here waits."""
