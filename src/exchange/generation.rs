//! What a shard is told of a plan. Only data: made once by whoever reads the
//! plan, and shared by all shards.

use std::sync::Arc;

use super::{pages::Pages, rule_counts::RuleCounts, settings::Settings};
use crate::{
    balance::{BackendId, Fleet},
    route::RouteTable,
    rt::ConnectAddress,
};

/// One generation of the plan. `T` is what connections to a backend are secured
/// with.
pub struct Generation<T> {
    /// The first is 1, and each following one is one more.
    pub number: u64,
    pub settings: Settings,
    pub pages: Pages,
    pub fleet: Arc<Fleet>,
    /// Where requests go.
    pub routes: Arc<RouteTable>,
    /// How often each rule has decided, for all shards.
    pub rules: Arc<RuleCounts>,
    /// By backend, in the order of the settings: what connections to it are
    /// secured with, …
    pub security: Vec<T>,
    /// … its addresses, as last resolved, …
    pub addresses: Vec<Vec<ConnectAddress>>,
    /// … and which one it was in the generation before, where connections to
    /// it may go on.
    pub kept: Vec<Option<BackendId>>,
}
