//! `homeostat generate`: goes on with a text, piece by piece as it is written.

use std::{
    io::{self, Read, Write},
    ops::ControlFlow,
};

use anyhow::{Context, bail};
use homeostat_artifact::Artifact;
use homeostat_data::{TOKENIZER_FILE, Tokenizer};
use homeostat_task::Task;
use homeostat_tasks::{GenerationConfig, LanguageModel, LanguageModelConfig, LanguageResponse, Prompt, TaskConfig};

use super::Done;
use crate::cli::Generate;

pub(crate) fn run(arguments: &Generate) -> anyhow::Result<Done> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let TaskConfig::LanguageModel(config) = TaskConfig::parse(artifact.kind(), &artifact.task()?)? else {
        bail!("{} is of the kind `{}`, but only a language model writes", artifact.path().display(), artifact.kind());
    };
    let task = open(&config, &artifact)?;
    let device = homeostat_device::open(arguments.device.parse()?)?;
    let model = homeostat_deploy::published(&task, &artifact, &device)?;
    let text = match &arguments.prompt {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read the prompt from standard input")?;
            text
        }
    };
    let input = task.prepare(Prompt { text: text.clone(), how: asked(&config.generation, arguments) })?;
    if input.is_cut {
        let most = input.ids.len();
        tracing::warn!("the prompt has more than {most} tokens: its beginning is cut off");
    }
    let unknown = task.tokenizer().unknown();
    let count = input.ids.iter().filter(|id| Some(**id) == unknown).count();
    if count > 0 {
        tracing::warn!(
            "{count} of the {} tokens of the prompt stand for what the network does not know",
            input.ids.len()
        );
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let response = task.go_on(&model, &input, &mut |_| ControlFlow::Continue(()));
        let value = serde_json::to_value(&response)?;
        writeln!(out, "{value}")?;
        return Ok(Done::Well);
    }
    // The prompt first, so that what stands there is one text.
    write!(out, "{text}")?;
    out.flush()?;
    let mut written = Ok(());
    let mut say = |piece: &str| {
        written = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
        if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let LanguageResponse { .. } = task.go_on(&model, &input, &mut say);
    written?;
    writeln!(out)?;
    Ok(Done::Well)
}

/// The task of an artifact, with its tokenizer.
fn open(config: &LanguageModelConfig, artifact: &Artifact) -> anyhow::Result<LanguageModel> {
    Ok(config.init(tokenizer(artifact)?)?)
}

/// The tokenizer that an artifact carries.
pub(super) fn tokenizer(artifact: &Artifact) -> anyhow::Result<Tokenizer> {
    Ok(Tokenizer::from_json(&artifact.asset(TOKENIZER_FILE)?)?)
}

/// What the artifact says of writing, with what the command line says on top.
fn asked(own: &GenerationConfig, arguments: &Generate) -> GenerationConfig {
    GenerationConfig {
        max_tokens: arguments.max_tokens.unwrap_or(own.max_tokens),
        temperature: arguments.temperature.unwrap_or(own.temperature),
        top_k: arguments.top_k.or(own.top_k),
        top_p: arguments.top_p.or(own.top_p),
        repetition_penalty: arguments.repetition_penalty.unwrap_or(own.repetition_penalty),
        stop: if arguments.stop.is_empty() { own.stop.clone() } else { arguments.stop.clone() },
        seed: arguments.seed.unwrap_or(own.seed),
    }
}
