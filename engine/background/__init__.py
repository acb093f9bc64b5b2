"""The work of a worker: steps, patches, waits, tasks, repairs.

It may import ``usecases`` and what these may import. The api-shim never imports it.
"""
