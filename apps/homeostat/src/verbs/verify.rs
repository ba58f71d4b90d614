//! `homeostat verify`: does an artifact still answer as at the end of its training?

use std::io::Write;

use homeostat_artifact::Artifact;
use homeostat_deploy::{Endpoint, OpenEndpoint, verify};
use homeostat_tasks::TaskConfig;

use super::Done;
use crate::cli::Verify;

pub(crate) fn run(arguments: &Verify) -> anyhow::Result<Done> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let endpoint = open(&artifact, &arguments.device)?;
    let verified = verify(endpoint.as_ref(), &artifact)?;
    let mut out = std::io::stdout().lock();
    if arguments.output.json {
        let value = serde_json::json!({ "artifact": artifact.path(), "verified": true, "requests": verified.requests, "digest": artifact.digest() });
        writeln!(out, "{value}")?;
    } else if !arguments.output.quiet {
        writeln!(
            out,
            "{} answers all {} golden requests as at the end of its training",
            arguments.artifact.display(),
            verified.requests
        )?;
    }
    Ok(Done::Well)
}

/// An artifact at work on a device.
pub(super) fn open(artifact: &Artifact, device: &str) -> anyhow::Result<Box<dyn Endpoint>> {
    let device = homeostat_device::open(device.parse()?)?;
    let task = TaskConfig::parse(artifact.kind(), &artifact.task()?)?;
    Ok(task.open(OpenEndpoint { artifact, device: &device })??)
}
