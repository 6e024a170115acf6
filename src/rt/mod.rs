//! The runtime seam: a small set of traits, and monoio behind them.
