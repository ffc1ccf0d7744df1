"""The tests of kvcli. Real stores in temporary folders, real processes; never a fake database."""
