//! Rows for the grammar, and agreement with serde_json.
