"""Throwaway releases and what spoils them. It may import ``contract``."""
