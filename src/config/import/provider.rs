//! The providers whose API a backend here may speak, by LiteLLM's prefix.

use crate::llm::Dialect;

/// How far a provider is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its API is passed on as it is.
    Same,
    /// LiteLLM speaks another API of the same server.
    OtherApi,
    /// Paths and credentials of its own, beside ones that fit.
    Azure,
}

#[derive(Debug)]
pub(super) struct Provider {
    pub prefix: &'static str,
    pub dialect: Dialect,
    /// What stands before `/v1/…` where the configuration names no address.
    pub base: Option<&'static str>,
    /// Where LiteLLM finds the key that is not written.
    pub key: Option<&'static str>,
    pub fit: Fit,
}

const fn openai(
    prefix: &'static str,
    base: Option<&'static str>,
    key: Option<&'static str>,
) -> Provider {
    Provider { prefix, dialect: Dialect::OpenAi, base, key, fit: Fit::Same }
}

const fn public(prefix: &'static str, base: &'static str, key: &'static str) -> Provider {
    openai(prefix, Some(base), Some(key))
}

const fn own_server(prefix: &'static str) -> Provider {
    openai(prefix, None, None)
}

const fn ollama(prefix: &'static str) -> Provider {
    let base = Some("http://localhost:11434");
    Provider { fit: Fit::OtherApi, ..openai(prefix, base, None) }
}

const PROVIDERS: &[Provider] = &[
    public("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    public("text-completion-openai", "https://api.openai.com", "OPENAI_API_KEY"),
    Provider {
        dialect: Dialect::Anthropic,
        ..public("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY")
    },
    public("mistral", "https://api.mistral.ai", "MISTRAL_API_KEY"),
    public("groq", "https://api.groq.com/openai", "GROQ_API_KEY"),
    public("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    public("together_ai", "https://api.together.xyz", "TOGETHERAI_API_KEY"),
    public("openrouter", "https://openrouter.ai/api", "OPENROUTER_API_KEY"),
    public("xai", "https://api.x.ai", "XAI_API_KEY"),
    public("fireworks_ai", "https://api.fireworks.ai/inference", "FIREWORKS_AI_API_KEY"),
    public("cerebras", "https://api.cerebras.ai", "CEREBRAS_API_KEY"),
    public("nvidia_nim", "https://integrate.api.nvidia.com", "NVIDIA_NIM_API_KEY"),
    own_server("hosted_vllm"),
    own_server("openai_like"),
    own_server("custom_openai"),
    own_server("litellm_proxy"),
    own_server("lm_studio"),
    own_server("llamafile"),
    own_server("xinference"),
    ollama("ollama"),
    ollama("ollama_chat"),
    Provider { fit: Fit::Azure, ..openai("azure", None, Some("AZURE_API_KEY")) },
];

/// The provider and its own name of the model, of a name with or without a
/// prefix.
pub(super) fn of(model: &str) -> Option<(&'static Provider, &str)> {
    match model.split_once('/') {
        Some((prefix, rest)) => Some((by_prefix(prefix)?, rest)),
        None => Some((by_prefix(maker(model)?)?, model)),
    }
}

pub(super) fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.prefix == prefix)
}

/// Names whose maker nobody doubts.
fn maker(model: &str) -> Option<&'static str> {
    let starts = |start: &&str| model.starts_with(*start);
    let openai = ["gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-3", "text-embedding-ada"];
    if openai.iter().any(starts) {
        return Some("openai");
    }
    model.starts_with("claude-").then_some("anthropic")
}
