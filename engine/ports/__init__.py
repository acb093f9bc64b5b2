"""The outside, behind protocols: the agents that plan and build, the sandbox that runs commands."""
