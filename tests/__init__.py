"""The tests of wiretape."""
