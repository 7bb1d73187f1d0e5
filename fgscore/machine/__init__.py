"""The processor and the terminal: number formats, threads, timing, progress."""
