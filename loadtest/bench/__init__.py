"""The parts of `loadtest/compare`: processes, proxies, load, scenarios, figures."""
