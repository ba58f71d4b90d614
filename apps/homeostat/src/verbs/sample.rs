//! `homeostat sample`: a sheet of pictures that a network makes.

use std::{fs, io::Write};

use anyhow::{Context, bail};
use homeostat_artifact::Artifact;
use homeostat_data::Image;
use homeostat_deploy::Endpoint;
use homeostat_experiment::sheet;
use homeostat_tasks::{GeneratedImage, PictureRequest, TaskConfig};

use super::{Done, table::counted};
use crate::{args, cli::Sample};

/// Pictures made in one batch.
const BATCH: usize = 64;

pub(crate) fn run(arguments: &Sample) -> anyhow::Result<Done> {
    args::check_ending(&arguments.png, &["png"])?;
    let artifact = Artifact::open(&arguments.artifact)?;
    if !matches!(TaskConfig::parse(artifact.kind(), &artifact.task()?)?, TaskConfig::ImageGeneration(_)) {
        bail!("{} makes no pictures: it is of the kind `{}`", artifact.path().display(), artifact.kind());
    }
    let endpoint = super::verify::open(&artifact, &arguments.device)?;
    let requests = requests(arguments);
    let pictures: Vec<Image> = requests
        .chunks(BATCH)
        .map(|requests| made(endpoint.as_ref(), requests))
        .collect::<anyhow::Result<Vec<_>>>()?
        .concat();
    let rows: Vec<Vec<Image>> = pictures.chunks(usize::from(arguments.columns)).map(<[Image]>::to_vec).collect();
    fs::write(&arguments.png, sheet(&rows).encode_png())
        .with_context(|| format!("cannot write {}", arguments.png.display()))?;
    let mut out = std::io::stdout().lock();
    if arguments.output.json {
        let value = serde_json::json!({ "png": arguments.png, "pictures": pictures.len(), "seed": arguments.seed });
        writeln!(out, "{value}")?;
    } else if !arguments.output.quiet {
        writeln!(out, "{} has {}", arguments.png.display(), counted(pictures.len(), "picture"))?;
    }
    Ok(Done::Well)
}

/// What is asked for, row by row.
fn requests(arguments: &Sample) -> Vec<PictureRequest> {
    let (count, columns) = (u64::from(arguments.count), u64::from(arguments.columns));
    let seed = |at: u64| arguments.seed.wrapping_add(at);
    if !arguments.between {
        return (0..count).map(|at| PictureRequest::Seed(seed(at))).collect();
    }
    let step = |at: u64| PictureRequest::Between {
        seeds: [seed(at / columns), seed(at / columns + 1)],
        at: (at % columns) as f64 / (columns - 1).max(1) as f64,
    };
    (0..count).map(step).collect()
}

/// The answers, all of which are pictures.
fn made(endpoint: &dyn Endpoint, requests: &[PictureRequest]) -> anyhow::Result<Vec<Image>> {
    let bytes: Vec<Vec<u8>> = requests.iter().map(PictureRequest::to_bytes).collect();
    let answers = endpoint.answer(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>());
    answers.into_iter().map(|answer| Ok(serde_json::from_value::<GeneratedImage>(answer?)?.image()?)).collect()
}
