"""Apache TVM: importers, levels, passes, schedules, targets. Every build runs in a child process."""
