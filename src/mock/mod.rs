//! An LLM that answers, stalls and lies on command.

/// Placeholder until the room is built.
pub fn serve(_plan: crate::config::MockPlan) -> anyhow::Result<()> {
    Ok(())
}
pub struct MockHandle;
impl MockHandle {
    pub fn address(&self) -> std::net::SocketAddr {
        unimplemented!()
    }
}
pub fn start(_plan: crate::config::MockPlan) -> anyhow::Result<MockHandle> {
    anyhow::bail!("no mock yet")
}
