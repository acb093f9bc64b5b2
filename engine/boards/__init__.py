"""The operator boards: pages of the api-shim, made from the answers of its own API.

May import ``api`` and what stands below it. A page asks the operations of the API in this process,
so it has no second truth. Only a page loads the templates' library.
"""
