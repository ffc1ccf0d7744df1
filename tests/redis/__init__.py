"""Stores on servers: real ones, on loopback, that the tests start and end."""
