"""One execution of a study: build, ship, run, record; stop and go on."""
