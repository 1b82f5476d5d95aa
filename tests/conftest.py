"""What all tests rely on."""

import signal

# A shell without job control lets what it starts in the background ignore SIGINT, and every program that a test starts
# would inherit that, and go on when the test interrupts it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
