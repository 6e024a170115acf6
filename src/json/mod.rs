//! JSON skimming: spans of what we must know, no tree.
