"""One function per thing that one can ask of the engine."""
