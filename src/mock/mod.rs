//! An LLM that answers, stalls and lies on command.
