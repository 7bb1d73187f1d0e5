"""The command line: one file a command, each of them options, one library call and one print."""
