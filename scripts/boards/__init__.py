"""Emulated boards: Debian with systemd as PID 1, a network of its own and ssh; foreign CPUs through qemu."""
