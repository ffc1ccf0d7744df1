"""The contract of wasi:keyvalue, run over every engine."""
