"""The faults that know this engine: which keys to lie about, which rows to change."""
