"""Tests over real sockets: a scripted upstream, the real proxy, the real SDKs."""
